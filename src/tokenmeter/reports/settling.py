"""What became of each task, as SQL: the rules of `tokenmeter.settlement`, said in relations.

A test holds that both say the same of whatever statements.
"""

from __future__ import annotations

from collections.abc import Mapping

from tokenmeter.errors import ConfigurationError
from tokenmeter.event import Attribution
from tokenmeter.outcomes import VERDICTS
from tokenmeter.quoting import text
from tokenmeter.reports.columns import TAG, only
from tokenmeter.reports.relations import at
from tokenmeter.reports.scope import Scope

_VERDICTS = ", ".join(map(text, VERDICTS))
_SAID = frozenset((
    *Attribution.__struct_fields__, "day", "week", "month", "service", "environment", "host",
    "evidence", "reference",
))  # fmt: skip
"""What outcomes say as calls do, besides tags; their status is another one than that of calls."""

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
    # Since when it holds: after the last statement that says something else. All of it is said in
    # windows, because engines that copy a relation wherever it is named copied joins by the dozen.
    "held": """
        SELECT *, MAX(CASE WHEN back = 1 THEN status END) OVER (PARTITION BY task, claim) AS holds
        FROM ordered
    """,
    "changes": """
        SELECT *, MAX(CASE WHEN status <> holds THEN n ELSE 0 END)
            OVER (PARTITION BY task, claim) AS n_before
        FROM held
    """,
    # Whom it names: the first of the statements that say so and name a person, else the first.
    "namers": """
        SELECT *, MIN(CASE WHEN "user" IS NOT NULL THEN n END)
            OVER (PARTITION BY task, claim) AS n_of_namer
        FROM changes WHERE n > n_before
    """,
    "identified": """
        SELECT task, claim, holds, MIN(ts) AS since, MIN(n_of_task) AS n_of_task,
            MIN(CASE WHEN n = n_before + 1 THEN event_id END) AS first_id,
            MIN(CASE WHEN n = COALESCE(n_of_namer, n_before + 1) THEN event_id END) AS named_by,
            MAX(CASE WHEN evidence <> 'self' THEN 1 ELSE 0 END) AS is_witnessed,
            MAX(CASE WHEN holds = 'accepted' THEN 1 ELSE 0 END) AS is_accepted,
            MAX(CASE WHEN holds = 'accepted' AND claim <> '' THEN 1 ELSE 0 END) AS is_owner
        FROM namers GROUP BY task, claim, holds
    """,
    # One reference is the outcome of one task: of the first whose acceptance stands.
    "owners": """
        SELECT *, ROW_NUMBER() OVER (PARTITION BY is_owner, claim ORDER BY since, first_id) AS nth
        FROM identified
    """,
    "undisputed": """
        SELECT task, claim, holds AS status, since, n_of_task, named_by, is_witnessed, is_accepted
        FROM owners WHERE is_owner = 0 OR nth = 1
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


def settling(scope: Scope) -> dict[str, str]:
    """Give `SETTLING`, and ``said_last``: the statements that decided tasks in the period.

    Each has the columns of its event, ``verdict`` and ``is_self_declared``; those are left out
    that have not the values which the scope asks of calls.

    Raises:
        ConfigurationError: It asks for values of a column that outcomes do not have.
    """
    condition = only(scope)
    for name, value in scope.only.items():
        if name not in _SAID and not name.startswith(TAG):
            raise ConfigurationError(
                f"outcomes do not say the {name} of calls: with only {name}={value} nothing would "
                "be accepted; leave it out, or see what these calls cost: tokenmeter report"
            )
    since = f" AND s.decided >= {at(scope.since)}" if scope.since else ""
    return {
        **SETTLING,
        "verdicts": "SELECT status AS verdict, is_self_declared, named_by, decided FROM settled",
        "said_last": (
            "SELECT st.*, s.verdict, s.is_self_declared FROM verdicts AS s "
            "JOIN statements AS st ON st.event_id = s.named_by "
            f"WHERE 1 = 1{since}{condition}"
        ),
    }
