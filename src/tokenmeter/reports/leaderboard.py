"""The leaderboard: what came out of the spending, and never how much was spent.

Nobody rises by using more. A place comes from outcomes that somebody else accepted, and from what
each of them cost; both are of those whom the outcome names, so that no call, on whatever task,
makes an outcome one's own. Where the figures cannot bear a place there is none, and a reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, ClassVar

import msgspec

from tokenmeter.reports import running
from tokenmeter.reports.columns import group
from tokenmeter.reports.grouping import IS_TOTAL, totalled
from tokenmeter.reports.measures import amount, count, tokens, unpriced
from tokenmeter.reports.relations import Query
from tokenmeter.reports.scope import Scope
from tokenmeter.reports.settling import settling
from tokenmeter.reports.values import Column, Result, Row

_FIGURES: tuple[Column, ...] = (
    Column("accepted", "count"),
    Column("self_declared", "count", "self-declared"),
    Column("people", "count", is_detail=True),
    Column("calls", "count", is_detail=True),
    Column("input_tokens", "count", "input"),
    Column("output_tokens", "count", "output"),
    Column("cost_amount", "money", "cost"),
    Column("unpriced", "count", is_quiet=True),
)

_PLACES: tuple[Column, ...] = (
    Column("place_by_accepted", "count", is_optional=True, heading="place: accepted"),
    Column("place_by_cost", "count", is_optional=True, heading="place: cost"),
    Column("cost_per_accepted", "money", "per accepted", is_optional=True),
    Column("without_place", "name", "no place because", is_quiet=True),
)

_GATE: tuple[Column, ...] = (
    Column("entries", "count", is_detail=True),
    Column("entries_by_cost", "count", is_detail=True),
    Column("all_accepted", "count", is_detail=True),
    Column("named_accepted", "count", is_detail=True),
    Column("unclaimed_cost", "money", is_detail=True),
    Column("median_cost", "number", is_detail=True),
)


class Leaderboard(msgspec.Struct, frozen=True):
    """Places by accepted outcomes, and by what an accepted one costs; never by volume.

    Equal figures have equal places. Outcomes that only whoever did the work vouches for are
    counted apart and give no place. Tokens and money are shown.

    Args:
        by: Who is compared: ``user``, ``team``, or another column that outcomes are said with.
        fewest_outcomes: Accepted outcomes below which there is no place.
        fewest_entries: With fewer entries that could have one there are no places at all.
        fewest_people: A team, or another group, in which fewer people have outcomes has no place.
        named: The share of accepted outcomes that must name somebody, or there are no places.
        unclaimed: Spending that names nobody, for each accepted outcome, as a share of what one
            costs others in the median; with more of it there is no place by cost.
        unpriced: Attempts without a price, for each accepted outcome; with more of them there is
            no place by cost.
    """

    by: str = "user"
    fewest_outcomes: int = 5
    fewest_entries: int = 3
    fewest_people: int = 5
    named: float = 0.8
    unclaimed: float = 0.2
    unpriced: float = 1.0

    name: ClassVar[str] = "leaderboard"
    run = running.run
    sql = running.sql

    @property
    def title(self) -> str:
        """Say what it is about."""
        return f"Leaderboard by {self.by}: accepted outcomes, and what one costs"

    def columns(self, scope: Scope) -> tuple[Column, ...]:
        """Give the columns of its query."""
        return (group(self.by, scope).column, *_PLACES, *_FIGURES, *_GATE, IS_TOTAL)

    def query(self, scope: Scope) -> Query:
        """Give its definition: the entries with their places, and all of them together."""
        figures = _figures(group(self.by, scope).sql, scope)
        return Query(self._select(), settling(scope) | figures | self._places())

    def _places(self) -> dict[str, str]:
        size = "" if self.by == "user" else f" AND people >= {self.fewest_people}"
        return {
            # What follows for an entry depends on what others spend, and on its own only so that
            # more is no better. Who spent nothing that is priced spent no less than others: a first
            # price would lift them otherwise.
            "entries": f"""
                SELECT *, CAST(COALESCE(cost_amount, 0) AS DOUBLE) / NULLIF(accepted, 0) AS score,
                    CASE WHEN entry IS NOT NULL AND accepted >= {self.fewest_outcomes}{size}
                        THEN 1 ELSE 0 END AS may,
                    SUM(CASE WHEN entry IS NOT NULL AND cost_amount > 0 THEN 1 ELSE 0 END) OVER ()
                        - CASE WHEN cost_amount > 0 THEN 1 ELSE 0 END AS others_priced
                FROM figures
            """,
            "candidates": f"""
                SELECT *, CASE WHEN may = 1 AND accepted > 0
                    AND unpriced <= {self.unpriced} * accepted THEN 1 ELSE 0 END AS may_by_cost
                FROM entries
            """,
            "ranked_entries": """
                SELECT *, RANK() OVER (PARTITION BY may ORDER BY accepted DESC) AS by_accepted,
                    RANK() OVER (PARTITION BY may_by_cost
                        ORDER BY FLOOR(score * 1000000 + 0.5)) AS by_cost,
                    ROW_NUMBER() OVER (PARTITION BY may_by_cost ORDER BY score, entry) AS nth,
                    FLOOR(SUM(may_by_cost) OVER () / 2.0) AS half
                FROM candidates
            """,
            "gate": """
                SELECT SUM(may) AS entries, SUM(may_by_cost) AS entries_by_cost,
                    SUM(accepted) AS all_accepted,
                    SUM(CASE WHEN entry IS NOT NULL THEN accepted ELSE 0 END) AS named_accepted,
                    SUM(CASE WHEN entry IS NULL THEN cost_amount END) AS unclaimed_cost,
                    QUANTILE_CONT(CASE WHEN may_by_cost = 1 THEN score END, 0.5) AS median_cost,
                    MAX(CASE WHEN may_by_cost = 1 AND nth = half THEN score END) AS lower_score,
                    MAX(CASE WHEN may_by_cost = 1 AND nth = half + 1 THEN score END)
                        AS middle_score,
                    MAX(CASE WHEN may_by_cost = 1 AND nth = half + 2 THEN score END) AS upper_score
                FROM ranked_entries
            """,
            # The median of all others: of the scores in their order without one's own.
            "compared": """
                SELECT *, CASE WHEN half * 2 = entries_by_cost
                    THEN CASE WHEN nth <= half THEN middle_score ELSE lower_score END
                    ELSE (CASE WHEN nth <= half THEN middle_score ELSE lower_score END
                        + CASE WHEN nth <= half + 1 THEN upper_score ELSE middle_score END) / 2
                    END AS others_median
                FROM ranked_entries CROSS JOIN gate
            """,
            "placed_entries": f"""
                SELECT *, CASE WHEN entries >= {self.fewest_entries}
                    AND named_accepted >= {self.named} * all_accepted THEN 1 ELSE 0 END AS is_open,
                    CASE WHEN CAST(COALESCE(unclaimed_cost, 0) AS DOUBLE)
                        <= {self.unclaimed} * COALESCE(others_median, 0) * all_accepted
                        THEN 1 ELSE 0 END AS is_claimed
                FROM compared
            """,
        }

    def _select(self) -> str:
        figures = ", ".join(column.name for column in _FIGURES)
        sums = ", ".join(
            f"SUM({column.name}) AS {column.name}"
            if column.name != "people"  # who is in two groups would be two
            else "CAST(NULL AS BIGINT) AS people"
            for column in _FIGURES
        )
        gate = ", ".join(column.name for column in _GATE)
        few = f"fewer than {self.fewest_outcomes} accepted outcomes"
        small = f"fewer than {self.fewest_people} people"
        return f"""
            SELECT entry,
                CASE WHEN may = 1 AND is_open = 1 THEN by_accepted END AS place_by_accepted,
                CASE WHEN may_by_cost = 1 AND is_open = 1 AND is_claimed = 1 AND others_priced > 0
                    AND entries_by_cost >= {self.fewest_entries} THEN by_cost END AS place_by_cost,
                CASE WHEN may_by_cost = 1 AND others_priced > 0 THEN score END AS cost_per_accepted,
                CASE WHEN entry IS NULL THEN 'names nobody'
                    WHEN accepted < {self.fewest_outcomes} THEN '{few}'
                    WHEN may = 0 THEN '{small}'
                    WHEN may_by_cost = 0 THEN 'too much without a price'
                    WHEN others_priced = 0 THEN 'nobody else has a price'
                    WHEN is_claimed = 0 THEN '{_UNCLAIMED}' END AS without_place,
                {figures}, {gate}, 0 AS is_total
            FROM placed_entries
            UNION ALL
            SELECT CAST(NULL AS VARCHAR), NULL, NULL, NULL, NULL, {sums},
                {", ".join(f"MAX({column.name})" for column in _GATE)}, 1
            FROM placed_entries
        """

    def result(self, result: Result) -> Result:
        """Say why there are no places, where there are none; places first, then by name."""
        whole = totalled(result, 1)
        gate = dict(zip((c.name for c in whole.columns), whole.total or (), strict=False))
        kept = len(whole.columns) - len(_GATE)
        rows = [row[:kept] for row in whole.rows]
        if result.currencies:
            rows = [(*row[:2], None, None, *row[4:]) for row in rows]
        return msgspec.structs.replace(
            whole,
            columns=whole.columns[:kept],
            rows=tuple(sorted(rows, key=_place)),
            total=None if whole.total is None else whole.total[:kept],
            chart=None,
            notes=(*whole.notes, *self._reasons(gate, result)),
        )

    def _reasons(self, gate: dict[str, Any], result: Result) -> Iterator[str]:
        if not gate or not gate["all_accepted"]:
            yield "no places: nothing was accepted by anybody but who did it"
            return
        accepted, named = gate["all_accepted"], gate["named_accepted"]
        if gate["entries"] < self.fewest_entries:
            yield (
                f"no places: {gate['entries']} could have one, and with fewer than "
                f"{self.fewest_entries} they would say nothing"
            )
        elif gate["entries_by_cost"] < self.fewest_entries:
            yield (
                f"no places by cost: {gate['entries_by_cost']} could have one, and with fewer than "
                f"{self.fewest_entries} they would say nothing"
            )
        if named < Decimal(str(self.named)) * accepted:
            yield (
                f"no places: {accepted - named} of {accepted} accepted outcomes name no "
                f"{self.by}; at least {self.named:.0%} must"
            )
        if result.currencies:
            yield (
                f"no places by cost: calls are priced in {' and '.join(result.currencies)}; "
                "--currency says what is compared"
            )
        elif _UNCLAIMED in result.column("without_place"):
            is_all = not any(result.column("place_by_cost"))
            yield (
                f"{'no places' if is_all else 'not all have a place'} by cost: spending that names "
                f"no {self.by} is {float(gate['unclaimed_cost']) / accepted:.4f} "
                f"{result.currency} for each accepted outcome, and one costs "
                f"{gate['median_cost']:.4f} in the median"
            )


_UNCLAIMED = "too much spending names nobody"


def _figures(key: str, scope: Scope) -> dict[str, str]:
    nothing = "CAST(NULL AS BIGINT)"
    return {
        "keyed_calls": f"SELECT *, {key} AS entry FROM calls",
        "keyed_outcomes": f"SELECT *, {key} AS entry FROM said_last",
        "contributions": f"""
            SELECT entry, 0 AS accepted, 0 AS self_declared, 0 AS people,
                {count("COALESCE(attempt, 0) = 0")} AS calls,
                {tokens("input_tokens")} AS input_tokens,
                {tokens("output_tokens")} AS output_tokens,
                SUM({amount(scope)}) AS cost_amount, {count(f"({unpriced(scope)})")} AS unpriced
            FROM keyed_calls GROUP BY entry
            UNION ALL
            SELECT entry,
                SUM(CASE WHEN verdict = 'accepted' AND is_self_declared = 0 THEN 1 ELSE 0 END),
                SUM(is_self_declared), COUNT(DISTINCT "user"), 0, {nothing}, {nothing},
                CAST(NULL AS DECIMAL(38, 9)), 0
            FROM keyed_outcomes GROUP BY entry
        """,
        "figures": f"""
            SELECT entry, {", ".join(f"SUM({c.name}) AS {c.name}" for c in _FIGURES)}
            FROM contributions GROUP BY entry
        """,
    }


def _place(row: Row) -> tuple[float, float, str]:
    places = [float("inf") if place is None else float(str(place)) for place in row[1:3]]
    return places[0], places[1], str(row[0] or "￿")
