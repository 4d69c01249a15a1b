"""What became of each task, as SQL: the rules of `tokenmeter.settlement`, said in relations.

A test holds that both say the same of whatever statements.
"""

from __future__ import annotations

from collections.abc import Mapping

from tokenmeter.outcomes import VERDICTS
from tokenmeter.reports.columns import text

_VERDICTS = ", ".join(map(text, VERDICTS))

SETTLING: Mapping[str, str] = {
    # What is said: a claim is a task with a reference, or without one.
    "said": f"""
        SELECT event_id, ts, task, status, COALESCE(reference, '') AS claim,
            COALESCE(evidence, 'self') AS evidence, "user",
            CASE WHEN status = 'revoked' THEN 1 ELSE 0 END AS is_revoked
        FROM statements
        WHERE task IS NOT NULL AND status IN ({_VERDICTS})
    """,
    # Revoking a task as a whole revokes each of its references that was accepted until then.
    "taken_back": """
        SELECT r.event_id, r.ts, r.task, r.status, s.claim, r.evidence, r."user",
            r.is_revoked, s.status AS until_then,
            ROW_NUMBER() OVER (PARTITION BY r.event_id, s.claim
                ORDER BY s.ts DESC, s.is_revoked DESC, s.event_id DESC) AS back
        FROM said AS r JOIN said AS s ON s.task = r.task
        WHERE r.status = 'revoked' AND r.claim = '' AND s.claim <> '' AND (s.ts < r.ts
            OR (s.ts = r.ts AND (s.is_revoked = 0 OR s.event_id < r.event_id)))
    """,
    "claimed": """
        SELECT event_id, ts, task, status, claim, evidence, "user", is_revoked FROM said
        UNION ALL
        SELECT event_id, ts, task, status, claim, evidence, "user", is_revoked
        FROM taken_back WHERE back = 1 AND until_then = 'accepted'
    """,
    "ordered": """
        SELECT event_id, ts, task, status, claim, evidence, "user",
            ROW_NUMBER() OVER (
                PARTITION BY task, claim ORDER BY ts, is_revoked, event_id) AS n,
            ROW_NUMBER() OVER (
                PARTITION BY task, claim ORDER BY ts DESC, is_revoked DESC, event_id DESC) AS back,
            RANK() OVER (PARTITION BY task ORDER BY ts, is_revoked, event_id) AS n_of_task
        FROM claimed
    """,
    "latest": "SELECT task, claim, status AS holds FROM ordered WHERE back = 1",
    # Since when it holds: after the last statement that says something else.
    "changes": """
        SELECT o.task, o.claim, l.holds,
            MAX(CASE WHEN o.status <> l.holds THEN o.n ELSE 0 END) AS before
        FROM ordered AS o JOIN latest AS l ON l.task = o.task AND l.claim = o.claim
        GROUP BY o.task, o.claim, l.holds
    """,
    # Whom it names: the first of the statements that say so and name a person, else the first.
    "standing": """
        SELECT o.task, o.claim, c.holds AS status, MIN(o.ts) AS since,
            MIN(o.n_of_task) AS n_of_task, c.before + 1 AS n,
            MIN(CASE WHEN o."user" IS NOT NULL THEN o.n END) AS n_of_namer,
            MAX(CASE WHEN o.evidence <> 'self' THEN 1 ELSE 0 END) AS is_witnessed
        FROM ordered AS o JOIN changes AS c ON c.task = o.task AND c.claim = o.claim
        WHERE o.n > c.before
        GROUP BY o.task, o.claim, c.holds, c.before
    """,
    "identified": """
        SELECT s.task, s.claim, s.status, s.since, s.n_of_task, s.is_witnessed,
            f.event_id AS first_id, w.event_id AS named_by
        FROM standing AS s
        JOIN ordered AS f ON f.task = s.task AND f.claim = s.claim AND f.n = s.n
        JOIN ordered AS w
            ON w.task = s.task AND w.claim = s.claim AND w.n = COALESCE(s.n_of_namer, s.n)
    """,
    # One reference is the outcome of one task: of the first whose acceptance stands.
    "owners": """
        SELECT task, claim,
            ROW_NUMBER() OVER (PARTITION BY claim ORDER BY since, first_id) AS place
        FROM identified WHERE status = 'accepted' AND claim <> ''
    """,
    "undisputed": """
        SELECT i.task, i.claim, i.status, i.since, i.n_of_task, i.named_by, i.is_witnessed,
            CASE WHEN i.status = 'accepted' THEN 1 ELSE 0 END AS is_accepted
        FROM identified AS i LEFT JOIN owners AS o ON o.task = i.task AND o.claim = i.claim
        WHERE COALESCE(o.place, 1) = 1
    """,
    "placed": """
        SELECT task, status, since, named_by,
            ROW_NUMBER() OVER (PARTITION BY task ORDER BY is_accepted DESC,
                CASE WHEN is_accepted = 1 THEN n_of_task ELSE -n_of_task END, claim) AS place,
            MAX(CASE WHEN is_accepted = 1 THEN is_witnessed ELSE 0 END)
                OVER (PARTITION BY task) AS is_witnessed
        FROM undisputed
    """,
    # A task is accepted when one of its claims is; else its latest statement says what it is.
    "settled": """
        SELECT task, status, since AS decided, named_by,
            CASE WHEN status = 'accepted' AND is_witnessed = 0 THEN 1 ELSE 0 END AS is_self_declared
        FROM placed WHERE place = 1
    """,
}
"""Relations over ``statements``; ``settled`` has a row for each task of which anything holds:
``task``, ``status``, ``decided`` (since when), ``is_self_declared`` (accepted, and nobody but
whoever did the work says so) and ``named_by`` (the statement by whose columns it is counted)."""
