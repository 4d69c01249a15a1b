"""Ledgers of any size as Parquet, the same each time: a company of 500 people in 20 teams.

A task has some 100 calls of one person, in two runs of agents; of three tasks two have an outcome;
every tenth call is on no task, and some of these name nobody. The times are those of 90 days.
``python bench/ledgers.py FILE EVENTS`` writes one.
"""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb

from tokenmeter.compaction import columns_of

CALLS_OF_A_TASK = 100
CALLS_OF_A_RUN = 50

_BEGIN = "TIMESTAMPTZ '2026-08-17 00:00:00+00'"
_SPAN_US = 90 * 86_400 * 1_000_000

# Ten tasks are worked on at the same time, by different people.
_WHO = f"""
    SELECT *, 'user-' || person AS "user", 'team-' || person % 20 AS team
    FROM (
        SELECT *, pick(task_no, 1, 500) AS person,
            {_BEGIN} + to_microseconds(CAST(i / n * {_SPAN_US} AS BIGINT)) AS ts
        FROM (
            SELECT i, n, (i // {10 * CALLS_OF_A_TASK}) * 10 + pick(i, 0, 10) AS task_no
            FROM numbers
        )
    )
"""

_CALLS = """
    SELECT 'call' AS kind, made_id('c', i) AS event_id, 1 AS schema, ts,
        model[1] AS provider, 'chat' AS operation,
        model[2] AS request_model, model[2] || '-2026' AS response_model,
        CASE WHEN pick(i, 2, 50) = 0 THEN 'failed' ELSE 'completed' END AS status,
        CASE WHEN pick(i, 2, 50) = 0 THEN 'RateLimitError' END AS error_type,
        0 AS attempt,
        (pick(i, 3, 20000)) / 1000.0 AS duration_s,
        (pick(i, 3, 900)) / 1000.0 AS time_to_first_chunk_s,
        CASE WHEN pick(i, 2, 50) <> 0 THEN pick(i, 4, 5000) END AS input_tokens,
        CASE WHEN pick(i, 2, 50) <> 0 THEN pick(i, 5, 1000) END AS output_tokens,
        pick(i, 4, 5000) // 4 AS cache_read_tokens,
        CASE WHEN pick(i, 2, 50) = 0 THEN 'none' ELSE 'reported' END AS input_provenance,
        CASE WHEN pick(i, 2, 50) = 0 THEN 'none'
            WHEN pick(i, 6, 20) = 0 THEN 'estimated' ELSE 'reported' END AS output_provenance,
        CASE WHEN pick(i, 2, 50) <> 0
            THEN CAST(pick(i, 4, 5000) * 0.0000012 AS DECIMAL(18, 9)) END AS cost_amount,
        CASE WHEN pick(i, 2, 50) <> 0 THEN 'USD' END AS cost_currency,
        CASE WHEN pick(i, 8, 200) > 0 THEN "user" END AS "user",
        CASE WHEN pick(i, 8, 200) > 0 THEN team END AS team,
        CASE WHEN pick(i, 8, 10) > 0 THEN 'task-' || task_no END AS task,
        CASE WHEN pick(i, 8, 10) > 0 THEN ['planner', 'planner/researcher'][side] END AS agent,
        CASE WHEN pick(i, 8, 10) > 0 THEN made_id('r', task_no * 2 + side) END AS run_id,
        CASE WHEN pick(i, 8, 10) > 0 AND side = 2
            THEN made_id('r', task_no * 2 + 1) END AS parent_run_id,
        'service-' || person % 7 AS service, 'prod' AS environment,
        'host-' || person % 50 AS host, 1000 + person AS pid,
        MAP {'env': 'prod', 'feature': 'feature-' || task_no % 12} AS tags
    FROM (
        SELECT *, [['openai', 'gpt-5-mini'], ['anthropic', 'claude-opus-4'], ['google', 'gemini-3']]
            [1 + pick(task_no, side, 3)] AS model
        FROM (SELECT *, 1 + pick(i, 9, 2) AS side FROM who)
    )
"""

_RUNS = """
    SELECT 'run' AS kind, made_id('e', task_no * 2 + side) AS event_id, 1 AS schema, ts,
        'completed' AS status, 60.0 + side AS duration_s, "user", team, 'task-' || task_no AS task,
        ['planner', 'planner/researcher'][side] AS agent,
        made_id('r', task_no * 2 + side) AS run_id,
        CASE WHEN side = 2 THEN made_id('r', task_no * 2 + 1) END AS parent_run_id
    FROM (SELECT *, unnest([1, 2]) AS side FROM tasks)
"""

_OUTCOMES = """
    SELECT 'outcome' AS kind, made_id('o', task_no) AS event_id, 1 AS schema,
        ts + INTERVAL 1 HOUR AS ts,
        CASE WHEN pick(task_no, 2, 5) = 0 THEN 'rejected' ELSE 'accepted' END AS status,
        CASE WHEN pick(task_no, 3, 10) = 0 THEN 'self' ELSE 'ci' END AS evidence,
        'pr-' || task_no AS reference, "user", team, 'task-' || task_no AS task
    FROM tasks WHERE pick(task_no, 4, 3) > 0
"""

_MACROS = """
    CREATE MACRO pick(n, which, many) AS
        CAST(hash(n + which::BIGINT * 1000000007) % many AS BIGINT);
    CREATE MACRO made_id(kind, n) AS
        printf('%08x-', n // 65536) || printf('%04x-7', n % 65536)
        || substr(md5(kind || n), 1, 3) || '-a' || substr(md5(kind || n), 4, 3) || '-'
        || substr(md5(kind || n), 7, 12)
"""


def make(path: Path, events: int, *, memory: str = "2GB") -> int:
    """Write a ledger of about so many events, and say how many they are."""
    nothing = ", ".join(f'CAST(NULL AS {kind}) AS "{name}"' for name, kind in columns_of().items())
    with duckdb.connect() as connection:
        connection.execute(f"SET memory_limit = '{memory}'; SET TimeZone = 'UTC'")
        connection.execute(f"SET temp_directory = '{path.parent}'; SET enable_progress_bar = false")
        connection.execute(_MACROS)
        connection.execute(
            f"""COPY (
                WITH numbers AS (SELECT range AS i, {events} AS n FROM range({events})),
                who AS ({_WHO}),
                tasks AS (
                    SELECT task_no, MAX(i) AS i, MAX(ts) AS ts, ANY_VALUE("user") AS "user",
                        ANY_VALUE(team) AS team
                    FROM who GROUP BY task_no
                )
                SELECT {nothing} WHERE false
                UNION ALL BY NAME ({_CALLS})
                UNION ALL BY NAME ({_RUNS})
                UNION ALL BY NAME ({_OUTCOMES})
            ) TO '{path}' (FORMAT parquet, COMPRESSION zstd)"""
        )
        found = connection.execute(f"SELECT count(*) FROM '{path}'").fetchone()
    assert found is not None
    return int(found[0])


if __name__ == "__main__":
    print(make(Path(sys.argv[1]), int(sys.argv[2])))
