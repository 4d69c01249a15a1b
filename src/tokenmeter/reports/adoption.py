"""The report of adoption: how many people really use models, week by week, and never how much.

A day counts once, whatever was done on it: a thousand calls are a day of use, as one is. A person
is active in a week with use on several days of it; weeks with use on one day only, which is all
that a ping for the target leaves behind, stand beside them. Medians, no sums; groups, no persons.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, time, timedelta
from typing import ClassVar

import msgspec

from tokenmeter.errors import ConfigurationError
from tokenmeter.quoting import text
from tokenmeter.reports import running
from tokenmeter.reports.columns import date, group
from tokenmeter.reports.grouping import IS_TOTAL
from tokenmeter.reports.measures import COUNTABLE
from tokenmeter.reports.relations import Query
from tokenmeter.reports.scope import Scope, zone
from tokenmeter.reports.values import Column, Result, Row

_SOMETHING = "(COALESCE(input_tokens, 1) > 0 OR COALESCE(output_tokens, 1) > 0)"
"""Whether a call used anything; one of unknown tokens did."""

SMALL = "(small groups)"
"""The row of groups that are too small to be shown by themselves."""

_COLUMNS: tuple[Column, ...] = (
    Column("people", "count"),
    Column("active", "count"),
    Column("active_share", "share", "active"),
    Column("one_day_only", "count", "one day only"),
    Column("no_day", "count", "no day"),
    Column("median_days", "number", "median days"),
)


class Adoption(msgspec.Struct, frozen=True):
    """Active people per week and group, beside a target.

    A day of use is one with a completed call. None are failed attempts, answers from a cache, and
    calls of no token at all.

    Args:
        by: The groups; a person who is in several counts in each, and once in the total.
        target: The share of people that is aimed at, from 0 to 1; it is said, and nothing is
            marked that is below it.
        days: On how many days of a week somebody who is active has used a model, at least.
        fewest_people: A group of fewer people is shown together with other such groups, and not at
            all where all of these are fewer.
        people: Everybody there is, with their group; ``None``: whoever had a day of use in the
            period, so that those who never had one are missing.
    """

    by: str = "team"
    target: float = 0.8
    days: int = 2
    fewest_people: int = 5
    people: Mapping[str, str | None] | None = None

    def __post_init__(self) -> None:
        if not 0 < self.target <= 1:
            raise ConfigurationError(
                f"the target is a share from 0 to 1, such as 0.8; got {self.target!r}"
            )
        if not 1 <= self.days <= 7:
            raise ConfigurationError(f"a week has 1 to 7 days of use; got {self.days!r}")

    name: ClassVar[str] = "adoption"
    run = running.run
    sql = running.sql

    @property
    def title(self) -> str:
        """Say what it is about."""
        return (
            f"Adoption by {self.by}: people with use on at least {self.days} days of the week "
            f"(target {self.target:.0%})"
        )

    def columns(self, scope: Scope) -> tuple[Column, ...]:
        """Give the columns of its query."""
        return (Column("week", "day"), group(self.by, scope).column, *_COLUMNS, IS_TOTAL)

    def query(self, scope: Scope) -> Query:
        """Give its definition: groups by week, and all of them together by week."""
        return Query(
            f"{self._select('belonging', 'label', 0)} UNION ALL "
            f"{self._select('everybody', 'CAST(NULL AS VARCHAR)', 1)}",
            self._relations(group(self.by, scope).sql, scope),
        )

    def _relations(self, key: str, scope: Scope) -> dict[str, str]:
        return {
            "used": f"""
                SELECT DISTINCT "user" AS person, NULLIF({key}, '') AS grp,
                    {date("DAY", scope)} AS used_on, {date("WEEK", scope)} AS week
                FROM calls
                WHERE "user" IS NOT NULL AND status = 'completed' AND {COUNTABLE} AND {_SOMETHING}
            """,
            "weeks": _weeks(scope),
            "members": self._members(),
            "sizes": "SELECT grp, COUNT(*) AS size FROM members GROUP BY grp",
            "labelled": f"""
                SELECT m.person, CASE WHEN s.size >= {self.fewest_people} THEN COALESCE(m.grp, '')
                    ELSE {text(SMALL)} END AS label
                FROM members AS m JOIN sizes AS s ON COALESCE(s.grp, '') = COALESCE(m.grp, '')
            """,
            "label_sizes": """
                SELECT label, COUNT(DISTINCT person) AS size FROM labelled GROUP BY label
            """,
            "belonging": f"""
                SELECT DISTINCT l.person, l.label
                FROM labelled AS l JOIN label_sizes AS s ON s.label = l.label
                WHERE s.size >= {self.fewest_people}
            """,
            "everybody": "SELECT DISTINCT person FROM belonging",
            "days_of_weeks": """
                SELECT person, week, COUNT(DISTINCT used_on) AS days FROM used GROUP BY person, week
            """,
        }

    def _members(self) -> str:
        if self.people is None:
            # Who is in a group does not get into that of none by a call that names no group.
            return (
                "SELECT DISTINCT person, grp FROM used WHERE grp IS NOT NULL "
                "OR person NOT IN (SELECT person FROM used WHERE grp IS NOT NULL)"
            )
        rows = [
            f"SELECT {text(person)} AS person, "
            f"{text(group) if group else 'CAST(NULL AS VARCHAR)'} AS grp"
            for person, group in self.people.items()
        ]
        return " UNION ALL ".join(rows or ["SELECT person, grp FROM used WHERE 1 = 0"])

    def _select(self, people: str, label: str, is_total: int) -> str:
        active = f"SUM(CASE WHEN COALESCE(d.days, 0) >= {self.days} THEN 1 ELSE 0 END)"
        return f"""
            SELECT w.week, {label} AS label, COUNT(*) AS people, {active} AS active,
                CAST({active} AS DOUBLE) / COUNT(*) AS active_share,
                SUM(CASE WHEN d.days = 1 THEN 1 ELSE 0 END) AS one_day_only,
                SUM(CASE WHEN d.days IS NULL THEN 1 ELSE 0 END) AS no_day,
                QUANTILE_CONT(CAST(COALESCE(d.days, 0) AS DOUBLE), 0.5) AS median_days,
                {is_total} AS is_total
            FROM weeks AS w CROSS JOIN {people} AS p
            LEFT JOIN days_of_weeks AS d ON d.person = p.person AND d.week = w.week
            GROUP BY w.week{"" if is_total else ", p.label"}
        """

    def result(self, result: Result) -> Result:
        """Put weeks in order, groups by name, and everybody at the end of each week."""
        rows = sorted(result.rows, key=_week)
        shown = tuple(_named(row) for row in rows)
        return msgspec.structs.replace(
            result,
            columns=result.columns[:-1],
            rows=shown,
            total=None,
            names=2,
            chart="active_share",
            aim=self.target,
            notes=(*result.notes, *self._notes(result)),
        )

    def _notes(self, result: Result) -> Iterator[str]:
        yield "a day of use is one with a completed call, whatever was done on it"
        if self.people is None:
            yield "people are those who used a model in the period: who never did is not among them"
        yield (
            f"groups of fewer than {self.fewest_people} people are together in {SMALL}, or, where "
            f"these are fewer, not shown"
        )
        for week in sorted({*_torn_weeks(result)}):
            yield f"the week of {week} is not wholly in the period"


EVERYBODY = "(everybody)"


def _weeks(scope: Scope) -> str:
    """Give the weeks of the period, idle ones too; without its ends those with any use."""
    if scope.since is None or scope.until is None:
        return "SELECT DISTINCT week FROM used"
    here = zone(scope.zone)
    day = scope.since.astimezone(here).date()
    day -= timedelta(days=day.weekday())
    weeks = list[str]()
    while datetime.combine(day, time(), here) < scope.until:
        weeks.append(f"SELECT CAST({text(day.isoformat())} AS DATE) AS week")
        day += timedelta(days=7)
    return " UNION ALL ".join(weeks)


def _week(row: Row) -> tuple[str, bool, str]:
    return str(row[0]), bool(row[-1]), str(row[1] or "")


def _named(row: Row) -> Row:
    return row[0], EVERYBODY if row[-1] else (row[1] or None), *row[2:-1]


def _torn_weeks(result: Result) -> Iterator[str]:
    """Give the weeks that the period cuts."""
    here = zone(result.zone)
    for at in (result.since, result.until):
        if at is not None:
            local = at.astimezone(here)
            monday = local.date() - timedelta(days=local.weekday())
            if local.weekday() or local.hour or local.minute:
                yield monday.isoformat()
