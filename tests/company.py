"""A company that never was, as events: the ledger on which every report and engine is tried.

It has what ledgers have: people who use much, little and once; a batch job; agents with their
sub-agents; retries, failures and refusals; streams; counts that are estimated, partial or unknown;
two currencies and no price; tags; calls that nobody claims; statements about tasks of every kind;
calls at the edges of days; answers that two processes fetched; lines that are there twice; and
names that no quoting survives by chance. The same seed gives the same company on every machine.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from tokenmeter import UsageEvent
from tokenmeter.event import SCHEMA
from tokenmeter.ids import derived_id

FIRST = datetime(2026, 10, 12, tzinfo=UTC)
"""A Monday; Berlin's clocks change on the Sunday of its second week, New York's a week later."""

WEEKS = 4
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
"""The reader's clock: two events are ahead of it."""

ODD = (
    "O'Brien", 'Zoë "Z" Müller', "back\\slash\\", "100 % {of} %s $1 ?", "two\nlines\tand a tab",
    "日本 🐘", "zoë", "Ärger", "-- ; DROP TABLE events", " spaces ", "$$", "/* no comment */",
    "null",
)  # fmt: skip
"""Names that are only names."""


class Model(NamedTuple):
    name: str
    provider: str
    served: str
    per_token: Decimal | None
    currency: str


MODELS = (
    Model("gpt-5.2", "openai", "gpt-5.2-2026-08-01", Decimal("0.00000125"), "USD"),
    Model("gpt-5.2-mini", "openai", "gpt-5.2-mini", Decimal("0.000000125"), "USD"),
    Model("claude-opus-5", "anthropic", "claude-opus-5-20260901", Decimal("0.000015"), "USD"),
    Model("mistral-large", "mistral_ai", "mistral-large-2612", Decimal("0.0000018"), "EUR"),
    Model("in-house/llm", "vllm", "in-house/llm", None, ""),
)


class Person(NamedTuple):
    user: str | None
    team: str | None
    days: int  # of use in a week
    calls: int  # of a day of use, at most
    agents: bool


HABITS = ((5, 14, True), (5, 5, False), (4, 4, True), (2, 3, False), (1, 1, False), (3, 2, False))
"""Days of a week, calls of a day at most, and whether the work is done by agents."""

TEAMS = ("search", "platform", 'Büro "Süd"', "research")

EDGES = tuple(
    datetime.fromisoformat(at) + timedelta(microseconds=off)
    for at in (
        "2026-10-24T22:00:00+00:00",  # midnight in Berlin, in summer
        "2026-10-25T00:30:00+00:00", "2026-10-25T01:30:00+00:00",  # half past two there, twice
        "2026-10-25T23:00:00+00:00",  # its midnight in winter, and the end of a week
        "2026-10-31T18:30:00+00:00",  # midnight in Kolkata, and the end of a month
        "2026-11-01T00:00:00+00:00",
        "2026-11-01T04:00:00+00:00", "2026-11-01T05:30:00+00:00", "2026-11-01T06:30:00+00:00",
        "2024-02-29T23:30:00+00:00", "2025-12-31T23:00:00+00:00", "2026-01-01T00:00:00+00:00",
    )
    for off in (-1, 0, 1)
)  # fmt: skip


def events(seed: int = 1, people: int = 24) -> list[UsageEvent]:
    """Give the events of a company, in the order in which a ledger may have them."""
    company = _Company(random.Random(seed))
    for person in _staff(people):
        company.works(person)
    company.batch()
    company.at_the_edges()
    company.states()
    company.oddities()
    return company.written()


def _staff(people: int) -> Iterator[Person]:
    for n in range(people):
        odd = n % 3 == 2 and n // 3 < len(ODD)
        days, calls, agents = HABITS[n % len(HABITS)]
        team = "duo" if n in (4, 9) else None if n == 7 else TEAMS[n % len(TEAMS)]
        yield Person(ODD[n // 3] if odd else f"user{n:02}", team, days, calls, agents)


class _Company:
    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.made: list[UsageEvent] = []
        self.tasks: dict[str, tuple[Person, datetime]] = {}

    def works(self, person: Person) -> None:
        """Have a person use models on some days of each week."""
        for week in range(WEEKS):
            if person.calls == 2 and week > 1:  # who left
                continue
            for day in sorted(self.dice.sample(range(5), person.days)):
                self._day(person, FIRST + timedelta(weeks=week, days=day))

    def _day(self, person: Person, day: datetime) -> None:
        task = self._task(person, day)
        for _ in range(self.dice.randint(1, person.calls)):
            ts = self._within(day, 7, 18)
            if person.agents and self.dice.random() < 0.25:
                self._agents(person, task, ts)
            else:
                self.call(ts, **self._who(person, task))

    def _task(self, person: Person, day: datetime) -> str:
        odd = self.dice.random() < 0.12
        name = self.dice.choice(ODD) if odd else f"T-{self.dice.randint(1, 90)}"
        self.tasks.setdefault(name, (person, day))
        return name

    def _within(self, day: datetime, first: int, last: int) -> datetime:
        seconds = self.dice.randrange(first * 3600, last * 3600)
        return day + timedelta(seconds=seconds, microseconds=self.dice.randint(1, 999_999))

    def _who(self, person: Person, task: str | None) -> dict[str, Any]:
        return {
            "user": person.user,
            "user_origin": "explicit" if person.user else None,
            "team": person.team,
            "task": task if self.dice.random() < 0.9 else None,
            "conversation": f"c{self.dice.randint(1, 9)}" if self.dice.random() < 0.3 else None,
            "tags": self._tags(),
        }

    def _tags(self) -> Mapping[str, Any] | None:
        dice = self.dice
        if dice.random() < 0.3:
            return None
        tags: dict[str, Any] = {"feature": dice.choice(["chat", "rag", "", "a'b\"c\\d", "grüße"])}
        if dice.random() < 0.5:
            tags |= {"build": dice.choice([7, 0, -3]), "ratio": dice.choice([0.5, 1.25, 2.0])}
        if dice.random() < 0.5:
            tags |= {"is_beta": dice.random() < 0.5, 'it\'s "odd" %s': "yes"}
        return tags if dice.random() < 0.95 else {}

    def _agents(self, person: Person, task: str, ts: datetime) -> None:
        """Have an agent plan, and its sub-agents do parts of it."""
        who = self._who(person, task) | {"task": task}
        root = self._run_id()
        self._run(ts, 60.0, who, agent="planner", run_id=root, depth=0)
        self.call(ts, **who, agent="planner", run_id=root, depth=0)
        for n in range(self.dice.randint(1, 3)):
            below = {
                "agent": f"planner/{self.dice.choice(['researcher', 'coder'])}",
                "run_id": self._run_id(),
                "parent_run_id": root,
                "depth": 1,
            }
            began = ts + timedelta(seconds=5 * n, microseconds=1)
            if self.dice.random() < 0.9:  # the others were killed before their end
                self._run(began, 20.0, who, **below)
            for step in range(self.dice.randint(1, 3)):
                self.call(began + timedelta(seconds=step), **who, **below)

    def _run_id(self) -> str:
        return f"{self.dice.getrandbits(64):016x}"

    def _run(self, ts: datetime, took: float, who: Mapping[str, Any], **place: Any) -> None:
        status = self.dice.choice(["completed"] * 8 + ["failed", "abandoned"])
        self._add("run", ts, status=status, duration_s=took, **who, **place)

    def call(self, ts: datetime, **who: Any) -> None:
        """Make a call, which may fail and be tried again."""
        model = self.dice.choice(MODELS)
        failures = self.dice.choice([0] * 9 + [1, 2])
        for attempt in range(failures):
            failed = self._failed(model) | {"attempt": attempt}
            self._add("call", ts + timedelta(seconds=attempt), **who, **failed)
        ended = self._asked(model) | self._ended(model)
        nth = failures or self.dice.choice([0, None])
        self._add("call", ts + timedelta(seconds=failures), **who, **ended, attempt=nth)

    def _asked(self, model: Model) -> dict[str, Any]:
        return {
            "provider": model.provider,
            "operation": "embeddings" if self.dice.random() < 0.05 else "chat",
            "request_model": model.name,
            "server_address": f"api.{model.provider}.example",
            "source": "wire",
        }

    def _failed(self, model: Model) -> dict[str, Any]:
        return self._asked(model) | {
            "status": "failed",
            "error_type": self.dice.choice(["rate_limit_exceeded", "529", "ReadTimeout"]),
            "duration_s": round(self.dice.uniform(0.05, 3), 6),
            "input_provenance": "none",
            "output_provenance": "none",
        }

    def _ended(self, model: Model) -> dict[str, Any]:
        end = self.dice.choices(_ENDS, [80, 5, 4, 3, 4, 2, 2])[0]
        return end(self, model)

    def _completed(self, model: Model) -> dict[str, Any]:
        tokens = self._tokens()
        took = round(self.dice.lognormvariate(0.5, 1), 6)
        streamed = self.dice.random() < 0.4
        return {
            "response_model": model.served,
            "response_id": f"r{self.dice.getrandbits(40):010x}",
            "finish_reasons": ("stop",),
            "service_tier": self.dice.choice([None, "default", "flex"]),
            "status": "completed",
            "http_status": 200,
            "duration_s": took,
            "stream": streamed,
            "time_to_first_chunk_s": round(took * self.dice.random(), 6) if streamed else None,
            **tokens,
            "input_provenance": "reported",
            "output_provenance": "reported",
            **self._price(model, tokens),
        }

    def _tokens(self) -> dict[str, Any]:
        dice = self.dice
        inputs, outputs = dice.randint(0, 40_000), dice.randint(0, 4_000)
        found: dict[str, Any] = {"input_tokens": inputs, "output_tokens": outputs}
        if dice.random() < 0.4:
            writes = dice.randint(0, inputs // 3)
            found |= {"cache_read_tokens": dice.randint(0, inputs // 3)}
            found |= {"cache_write_tokens": writes, "cache_write_5m_tokens": writes // 2}
            found |= {"cache_write_1h_tokens": writes - writes // 2}
        if dice.random() < 0.3:
            found |= {"reasoning_tokens": dice.randint(0, outputs)}
        if dice.random() < 0.1:
            found |= {"input_text_tokens": inputs // 2, "input_audio_tokens": inputs // 4}
            found |= {"input_image_tokens": inputs // 8, "output_text_tokens": outputs // 2}
            found |= {"output_audio_tokens": outputs // 4, "output_image_tokens": 0}
            found |= {"other_counts": {"searches": dice.randint(1, 3)}}
        return found

    def _price(self, model: Model, tokens: Mapping[str, Any]) -> dict[str, Any]:
        if model.per_token is None:
            return {"cost_reason": "no price of this model"}
        amount = (
            tokens["input_tokens"] * model.per_token + tokens["output_tokens"] * 4 * model.per_token
        )
        return {
            "cost_amount": amount.quantize(Decimal("1e-9")),
            "cost_currency": model.currency,
            "price_source": "genai-prices",
            "price_version": "0.2.3",
            "price_date": "2026-09-01",
        }

    def _estimated(self, model: Model) -> dict[str, Any]:
        said = self._completed(model)
        return said | {
            "input_provenance": "estimated",
            "estimator": "o200k",
            "input_tokens_error": 9,
        }

    def _partial(self, model: Model) -> dict[str, Any]:
        said = self._completed(model) | {"status": "abandoned", "output_provenance": "partial"}
        return said | {"output_tokens_max": 8_000}

    def _unknown(self, model: Model) -> dict[str, Any]:
        return {
            "response_model": model.served,
            "status": "completed",
            "duration_s": round(self.dice.uniform(0.1, 60), 6),
            "input_provenance": "unknown",
            "output_provenance": "unknown",
            "cost_reason": "tokens unknown",
        }

    def _refused(self, model: Model) -> dict[str, Any]:
        return self._completed(model) | {"status": "refused", "finish_reasons": ("refusal",)}

    def _abandoned(self, model: Model) -> dict[str, Any]:
        return {
            "status": "abandoned",
            "duration_s": round(self.dice.uniform(0.1, 9), 6),
            "input_tokens": self.dice.randint(1, 500),
            "input_provenance": "estimated",
            "output_provenance": "unknown",
            "estimator": "o200k",
            "cost_reason": "tokens unknown",
        }

    def _only_input(self, model: Model) -> dict[str, Any]:
        """Make a call of which the end is never seen: not even how long it took."""
        return {"status": None, "input_tokens": 3, "input_provenance": "reported"}

    def batch(self) -> None:
        """Have a job use models each night, for a team and no person, and one for nobody."""
        for day in range(0, 7 * WEEKS, 2):
            for n in range(6):
                ts = FIRST + timedelta(days=day, hours=2, seconds=n, microseconds=day + 1)
                self.call(ts, team="platform", task="nightly", service="nightly")
                if n < 2:
                    self.call(ts + timedelta(microseconds=1), service="forgotten")

    def at_the_edges(self) -> None:
        """Have calls at, before and after the midnights of several zones."""
        for at in EDGES:
            self.call(at, user="edge", team="search", task="T-edge")

    def states(self) -> None:
        """Say of most tasks what became of them, in every way in which it can be said."""
        ways = (
            self._accepted,
            self._disputed,
            self._taken_back,
            self._of_nobody,
            self._again,
            self._lost,
        )
        for n, (task, (person, day)) in enumerate(self.tasks.items()):
            if self.dice.random() < 0.8:
                ways[n % len(ways)](
                    task, person, day + timedelta(days=self.dice.randint(0, 9), hours=12)
                )

    def say(self, task: str, status: str, ts: datetime, **more: Any) -> None:
        """State something of a task."""
        said = {"evidence": self.dice.choice(["self", "ci", "review", None]), **more}
        self._add("outcome", ts, task=task, status=status, **said)

    def _accepted(self, task: str, person: Person, ts: datetime) -> None:
        who = {"user": person.user, "team": person.team}
        self.say(task, "accepted", ts, reference=f"pull/{task}", **who)
        self.say(task, "accepted", ts + timedelta(days=1), evidence="ci", reference=f"pull/{task}")

    def _disputed(self, task: str, person: Person, ts: datetime) -> None:
        self.say(
            task,
            "accepted",
            ts,
            reference=f"pull/shared-{self.dice.randint(1, 3)}",
            user=person.user,
        )

    def _taken_back(self, task: str, person: Person, ts: datetime) -> None:
        self.say(task, "accepted", ts, reference="pull/' \" \\", user=person.user)
        self.say(task, "accepted", ts, reference=f"pull/{task}/2", team=person.team)
        whole = self.dice.random() < 0.5
        self.say(
            task, "revoked", ts + timedelta(hours=1), reference=None if whole else f"pull/{task}/2"
        )

    def _of_nobody(self, task: str, person: Person, ts: datetime) -> None:
        self.say(task, "accepted", ts, evidence="self")

    def _again(self, task: str, person: Person, ts: datetime) -> None:
        self.say(task, "rejected", ts, user=person.user, team=person.team)
        self.say(task, "accepted", ts + timedelta(days=2), user=person.user, team=person.team)
        self.say(task, "accepted", ts + timedelta(days=3))

    def _lost(self, task: str, person: Person, ts: datetime) -> None:
        self.say(task, self.dice.choice(["rejected", "abandoned"]), ts, user=person.user)

    def oddities(self) -> None:
        """Add what a reader stumbles over."""
        late = FIRST + timedelta(weeks=WEEKS, hours=3, microseconds=7)
        self._add("outcome", late, status="accepted", evidence="ci")  # of no task
        self._add("outcome", late, task="T-1", status="completed")  # no verdict
        self._add("outcome", late, task="T-never-called", status="accepted", evidence="ci")
        self.call(NOW + timedelta(days=30), user="user00", team="search")
        self._add("run", NOW + timedelta(days=31), status="completed", run_id="ahead", agent="x")
        self._add("call", late, schema=SCHEMA + 1, user="user01", task="T-2")
        for n in range(12):
            self._fetched(late + timedelta(minutes=n))

    def _fetched(self, ts: datetime) -> None:
        """Have two processes record one answer: the earlier one, of its creator, stands."""
        said = self._completed(MODELS[0])
        name = derived_id("openai", said["response_id"])
        asked = self._asked(MODELS[0])
        second = {"user": "fetcher", "host": "b", "pid": 1}
        self._add("call", ts + timedelta(seconds=30), event_id=name, **asked, **said | second)
        self._add("call", ts, event_id=name, **asked, **said, user="user03", host="c", pid=2)

    def _add(self, kind: Any, ts: datetime, **said: Any) -> None:
        known = {"event_id": self._id(ts), "schema": SCHEMA, "host": "a", "pid": 7, **said}
        self.made.append(UsageEvent(kind=kind, ts=ts, **known))

    def _id(self, ts: datetime) -> str:
        noise = self.dice.getrandbits(61)
        head, tail = f"{int(ts.timestamp() * 1000):012x}7{noise >> 52:03x}", noise & (1 << 60) - 1
        return f"{head}{0x8 + (noise & 3):x}{tail:015x}"

    def written(self) -> list[UsageEvent]:
        """Give everything as processes write it: not in the order of time, and some of it twice."""
        twice = self.dice.sample(self.made, len(self.made) // 50)
        found = [*self.made, *twice]
        self.dice.shuffle(found)
        return found


_ENDS = (
    _Company._completed, _Company._estimated, _Company._partial, _Company._unknown,
    _Company._refused, _Company._abandoned, _Company._only_input,
)  # fmt: skip


def once(made: Iterable[UsageEvent]) -> list[UsageEvent]:
    """Give each event once, of one id the earliest: what every report is about."""
    found: dict[str, UsageEvent] = {}
    for event in made:
        other = found.setdefault(event.event_id, event)
        if event.ts < other.ts:
            found[event.event_id] = event
    return sorted(found.values(), key=lambda event: (event.ts, event.event_id))
