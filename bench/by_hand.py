"""The reports as somebody would write them by hand for DuckDB, over one Parquet file.

They give the columns and the total of the report, and leave out what a query for one company can:
statements that take others back (the latest one of a task decides), currencies, agents that are
known only as parents, groups too small to be shown.
"""

from __future__ import annotations

ONCE = "SELECT count(*) = count(DISTINCT event_id) FROM '{file}'"
"""What must be true of a file whose events are counted without looking for doubles."""

_TOKENS = """
    sum(coalesce(input_tokens, CASE WHEN input_provenance = 'none' THEN 0 END)) AS input_tokens,
    sum(coalesce(output_tokens, CASE WHEN output_provenance = 'none' THEN 0 END)) AS output_tokens
"""
_COUNTABLE = "(input_provenance <> 'none' OR output_provenance <> 'none')"
_NOBODY = (
    '"user" IS NULL AND team IS NULL AND task IS NULL AND agent IS NULL AND conversation IS NULL'
)
_SIDES = "".join(
    f", count(*) FILTER ({_COUNTABLE} AND "
    f"(input_provenance = '{word}' OR output_provenance = '{word}')) AS {word}"
    for word in ("estimated", "partial", "unknown")
)
_PARTS = "".join(
    f", sum({name}_tokens) AS {name}_tokens"
    for name in ("cache_read", "cache_write", "cache_write_5m", "cache_write_1h", "input_text",
                 "input_audio", "input_image", "reasoning", "output_text", "output_audio",
                 "output_image")
)  # fmt: skip

REPORT = f"""
    SELECT "user", task, model, count(*) FILTER (coalesce(attempt, 0) = 0) AS calls,
        count(*) AS attempts, count(*) FILTER (status = 'failed') AS failed,
        count(*) FILTER (status = 'abandoned') AS abandoned,
        count(*) FILTER (status = 'refused') AS refused, {_TOKENS}{_PARTS},
        sum(cost_amount) AS cost_amount,
        count(*) FILTER ({_COUNTABLE} AND cost_amount IS NULL) AS unpriced{_SIDES},
        count(*) FILTER ({_NOBODY}) AS unattributed,
        quantile_cont(duration_s, [0.5, 0.95]) FILTER (status = 'completed') AS duration,
        quantile_cont(time_to_first_chunk_s, 0.5) FILTER (status = 'completed') AS first_chunk,
        grouping("user") AS is_total
    FROM (
        SELECT *, coalesce(request_model, response_model) AS model
        FROM '{{file}}' WHERE kind = 'call'
    )
    GROUP BY GROUPING SETS (("user", task, model), ())
"""

_SETTLED = """
    SELECT task, max(ts) AS decided, arg_max(status, ts) AS status,
        arg_max("user", ts) AS "user", bool_and(evidence = 'self') AS is_self_declared
    FROM '{file}' WHERE kind = 'outcome' GROUP BY task
"""

TASKS = f"""
    WITH settled AS ({_SETTLED}),
    spent AS (
        SELECT c.task, any_value(s.status) AS status,
            count(*) FILTER (coalesce(attempt, 0) = 0) AS calls, {_TOKENS},
            sum(cost_amount) AS cost_amount,
            sum(cost_amount) FILTER (c.ts > s.decided) AS cost_after,
            sum(cost_amount) FILTER (c.task IS NOT NULL AND s.decided IS NULL) AS cost_undecided,
            sum(cost_amount) FILTER (c.task IS NULL) AS cost_without_task,
            count(*) FILTER ({_COUNTABLE} AND cost_amount IS NULL) AS unpriced,
            any_value(s.status = 'accepted' AND NOT is_self_declared) AS is_accepted,
            any_value(s.status = 'accepted' AND is_self_declared) AS is_self_declared
        FROM '{{file}}' AS c LEFT JOIN settled AS s USING (task)
        WHERE c.kind = 'call' GROUP BY c.task
    )
    SELECT task, any_value(status) AS status, count(task) AS tasks,
        count(*) FILTER (is_accepted) AS accepted,
        count(*) FILTER (is_self_declared) AS self_declared,
        count(*) FILTER (status <> 'accepted') AS not_accepted,
        count(*) FILTER (task IS NOT NULL AND status IS NULL) AS undecided,
        sum(calls) AS calls, sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens,
        sum(cost_amount) AS cost_amount, sum(cost_after) AS cost_after,
        sum(cost_undecided) AS cost_undecided, sum(cost_without_task) AS cost_without_task,
        sum(unpriced) AS unpriced, sum(cost_amount::DOUBLE ** 2) AS sum_xx,
        sum(cost_amount::DOUBLE) FILTER (is_accepted) AS sum_xy, grouping(task) AS is_total
    FROM spent GROUP BY GROUPING SETS ((task), ())
"""

TREE = f"""
    SELECT agent, c.calls, attempts, failed, input_tokens, output_tokens, cost_amount, unpriced,
        runs, began, r.duration_s, 0 AS is_total
    FROM (
        SELECT agent, count(*) FILTER (coalesce(attempt, 0) = 0) AS calls, count(*) AS attempts,
            count(*) FILTER (status = 'failed') AS failed, {_TOKENS},
            sum(cost_amount) AS cost_amount,
            count(*) FILTER ({_COUNTABLE} AND cost_amount IS NULL) AS unpriced,
            count(DISTINCT run_id) AS runs, epoch_us(min(ts)) AS began
        FROM '{{file}}' WHERE kind = 'call' GROUP BY agent
    ) AS c
    LEFT JOIN (
        SELECT agent, sum(duration_s) AS duration_s
        FROM '{{file}}' WHERE kind = 'run' GROUP BY agent
    ) AS r USING (agent)
"""

COVERAGE = f"""
    SELECT service, provider, operation, count(*) AS attempts,
        count(*) FILTER ({_COUNTABLE}) AS countable,
        count(*) FILTER ({_COUNTABLE} AND input_provenance IN ('reported', 'none')
            AND output_provenance IN ('reported', 'none')) AS reported{_SIDES},
        count(*) FILTER ({_COUNTABLE} AND cost_amount IS NULL) AS unpriced,
        count(*) FILTER ("user" IS NULL) AS without_user,
        count(*) FILTER (team IS NULL) AS without_team,
        count(*) FILTER (task IS NULL) AS without_task,
        count(*) FILTER ({_NOBODY}) AS unattributed,
        grouping(service) AS is_total
    FROM '{{file}}' WHERE kind = 'call'
    GROUP BY GROUPING SETS ((service, provider, operation), ())
"""

LEADERBOARD = f"""
    WITH settled AS ({_SETTLED}),
    accepted AS (
        SELECT "user", count(*) FILTER (status = 'accepted' AND NOT is_self_declared) AS accepted,
            count(*) FILTER (status = 'accepted' AND is_self_declared) AS self_declared
        FROM settled GROUP BY "user"
    ),
    spent AS (
        SELECT "user", count(*) FILTER (coalesce(attempt, 0) = 0) AS calls, {_TOKENS},
            sum(cost_amount) AS cost_amount,
            count(*) FILTER ({_COUNTABLE} AND cost_amount IS NULL) AS unpriced
        FROM '{{file}}' WHERE kind = 'call' GROUP BY "user"
    )
    SELECT spent."user", accepted, self_declared, calls, input_tokens, output_tokens, cost_amount,
        unpriced, cost_amount / nullif(accepted, 0) AS cost_per_accepted,
        rank() OVER (ORDER BY accepted DESC) AS place_by_accepted,
        rank() OVER (ORDER BY cost_amount / nullif(accepted, 0)) AS place_by_cost, 0 AS is_total
    FROM spent LEFT JOIN accepted ON accepted."user" IS NOT DISTINCT FROM spent."user"
"""

ADOPTION = f"""
    WITH used AS (
        SELECT DISTINCT "user", team, ts::DATE AS day FROM '{{file}}'
        WHERE kind = 'call' AND "user" IS NOT NULL AND status = 'completed' AND {_COUNTABLE}
    ),
    days AS (
        SELECT "user", date_trunc('week', day) AS week, count(DISTINCT day) AS days
        FROM used GROUP BY ALL
    ),
    every AS (
        SELECT week, "user", team, coalesce(days, 0) AS days
        FROM (SELECT DISTINCT week FROM days) CROSS JOIN (SELECT DISTINCT "user", team FROM used)
        LEFT JOIN days USING (week, "user")
    )
    SELECT week, team, count(*) AS people, count(*) FILTER (days >= 2) AS active,
        count(*) FILTER (days >= 2) / count(*) AS active_share,
        count(*) FILTER (days = 1) AS one_day_only, count(*) FILTER (days = 0) AS no_day,
        quantile_cont(days, 0.5) AS median_days, 0 AS is_total
    FROM every GROUP BY GROUPING SETS ((week, team), (week))
"""

QUERIES = {
    "report": REPORT, "tasks": TASKS, "tree": TREE, "coverage": COVERAGE,
    "leaderboard": LEADERBOARD, "adoption": ADOPTION,
}  # fmt: skip
"""By the name of the report."""
