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
            COALESCE(evidence, 'self') AS evidence, "user", team,
            CASE WHEN status = 'revoked' THEN 1 ELSE 0 END AS is_revoked
        FROM statements
        WHERE task IS NOT NULL AND status IN ({_VERDICTS})
    """,
    # Revoking a task as a whole revokes each of its references that was accepted until then.
    "taken_back": """
        SELECT r.event_id, r.ts, r.task, r.status, s.claim, r.evidence, r."user", r.team,
            r.is_revoked, s.status AS until_then,
            ROW_NUMBER() OVER (PARTITION BY r.event_id, s.claim
                ORDER BY s.ts DESC, s.is_revoked DESC, s.event_id DESC) AS back
        FROM said AS r JOIN said AS s ON s.task = r.task
        WHERE r.status = 'revoked' AND r.claim = '' AND s.claim <> '' AND (s.ts < r.ts
            OR (s.ts = r.ts AND (s.is_revoked = 0 OR s.event_id < r.event_id)))
    """,
    "claimed": """
        SELECT event_id, ts, task, status, claim, evidence, "user", team, is_revoked FROM said
        UNION ALL
        SELECT event_id, ts, task, status, claim, evidence, "user", team, is_revoked
        FROM taken_back WHERE back = 1 AND until_then = 'accepted'
    """,
    "ordered": """
        SELECT event_id, ts, task, status, claim, evidence, "user", team,
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
    "standing": """
        SELECT o.task, o.claim, c.holds AS status, MIN(o.ts) AS since,
            MIN(CASE WHEN o.n = c.before + 1 THEN o.event_id END) AS first_id,
            MIN(o.n_of_task) AS n_of_task,
            MIN(CASE WHEN o.evidence <> 'self' THEN o.n END) AS witness,
            MIN(CASE WHEN o."user" IS NOT NULL THEN o.n END) AS names_user,
            MIN(CASE WHEN o.team IS NOT NULL THEN o.n END) AS names_team
        FROM ordered AS o JOIN changes AS c ON c.task = o.task AND c.claim = o.claim
        WHERE o.n > c.before
        GROUP BY o.task, o.claim, c.holds
    """,
    # One reference is the outcome of one task: of the first whose acceptance stands.
    "owners": """
        SELECT task, claim, ROW_NUMBER() OVER (
            PARTITION BY claim ORDER BY since, first_id) AS place
        FROM standing WHERE status = 'accepted' AND claim <> ''
    """,
    "claims": """
        SELECT s.task, s.claim, s.status, s.since, s.n_of_task,
            w.evidence, u."user", t.team,
            CASE WHEN COALESCE(o.place, 1) > 1 THEN 1 ELSE 0 END AS is_disputed
        FROM standing AS s
        LEFT JOIN owners AS o ON o.task = s.task AND o.claim = s.claim
        LEFT JOIN ordered AS w ON w.task = s.task AND w.claim = s.claim AND w.n = s.witness
        LEFT JOIN ordered AS u ON u.task = s.task AND u.claim = s.claim AND u.n = s.names_user
        LEFT JOIN ordered AS t ON t.task = s.task AND t.claim = s.claim AND t.n = s.names_team
    """,
    "ranked_claims": """
        SELECT task, status, since, evidence, "user", team,
            ROW_NUMBER() OVER (PARTITION BY task ORDER BY
                CASE WHEN status = 'accepted' THEN 0 ELSE 1 END,
                CASE WHEN status = 'accepted' THEN n_of_task ELSE -n_of_task END, claim) AS place,
            MAX(CASE WHEN status = 'accepted' AND evidence IS NOT NULL THEN 1 ELSE 0 END)
                OVER (PARTITION BY task) AS is_witnessed
        FROM claims WHERE is_disputed = 0
    """,
    # A task is accepted when one of its claims is; else its latest statement says what it is.
    "settled": """
        SELECT task, status, since AS decided, "user", team,
            CASE WHEN status = 'accepted' AND is_witnessed = 0 THEN 1 ELSE 0 END AS is_self_declared
        FROM ranked_claims WHERE place = 1
    """,
}
"""Relations over ``statements``; ``settled`` has a row for each task of which anything holds:
``task``, ``status``, ``decided`` (since when), ``user`` and ``team`` (whom the statement that
decided it names), ``is_self_declared`` (accepted, and nobody but whoever did the work says so)."""
