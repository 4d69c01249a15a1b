"""The account of one session of the Claude Agent SDK: each answer once, and what remains.

Answers are gathered while their parts arrive, and said when all is known of them: where the stream
told their end, or else where the transcript does. The rest of what the SDK says that the session
used is an event of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from tokenmeter.dialects import Reading
from tokenmeter.dialects.claude_code import Told
from tokenmeter.event import NOTHING, Attribution, Tags, Usage, UsageEvent
from tokenmeter.frameworks import claude_answers
from tokenmeter.frameworks.claude_answers import Answer, Bill, Seen
from tokenmeter.frameworks.claude_transcripts import Transcripts
from tokenmeter.meter import default

REST = Tags({"claude_agent_sdk": "rest"})
"""The tags of an event for what a session used beside the answers that it told of."""


class Account:
    """The answers of one session.

    Args:
        transcripts: Where their whole usage is looked up.
    """

    def __init__(self, transcripts: Transcripts) -> None:
        self._transcripts = transcripts
        self._sessions: set[str] = set()
        self._agents: dict[str, Seen] = {}
        self._began_ns = default().now_ns()
        self._open: dict[str, Answer] = {}
        self._said: set[str] = set()
        self._sums: dict[str, _Sum] = {}

    def of(self, session: str) -> None:
        """Take note of the id of the session, which a fork changes."""
        self._sessions.add(session)

    def agent(self, agent: str, who: Attribution) -> None:
        """Take note of a sub-agent: of its answers, some stand in its transcript alone."""
        self._agents[agent] = Seen.here(who)

    def learn(self, key: str, who: Attribution, reading: Reading, error: str | None = None) -> None:
        """Take what is told of an answer, once more or for the first time; for whom it is, too."""
        answer = self._open.get(key)
        if answer is not None:
            answer.learn(reading)
        elif key not in self._said:
            self._open[key] = Answer(default().now_ns(), Seen.here(who), reading, error)

    def leave(self) -> None:
        """See that a turn was interrupted: what is open was left."""
        for answer in list(self._open.values()):
            answer.left = True

    def settle(self, bills: Mapping[str, Bill]) -> None:
        """Say what is whole; in the worker, because it reads files."""
        for session in list(self._sessions):
            for told in self._transcripts.news(session):
                self._read(told)
        for key, answer in list(self._open.items()):
            if answer.is_whole:
                self._say(key, answer, bills)

    def _read(self, told: Told) -> None:
        key, ts_ns = told.reading.response_id or "", int(told.ts.timestamp() * 1e9)
        answer = self._open.get(key)
        if answer is not None:
            answer.learn(told.reading)
        elif key not in self._said and told.agent in self._agents and ts_ns >= self._began_ns:
            self._open[key] = Answer(ts_ns, self._agents[told.agent], told.reading, told.error)

    def close(self, bills: Mapping[str, Bill], rest_of: Seen | None) -> None:
        """Say everything, and then the rest, for whom it is; in the worker."""
        self.settle(bills)
        for key, answer in list(self._open.items()):
            self._say(key, answer, bills)
        sums, self._sums = self._sums, {}
        for model, bill in bills.items() if rest_of is not None else ():
            left = sums.get(model, _Sum()).left_of(bill)
            if left is not None and rest_of is not None:
                self._say_rest(model, left, rest_of)

    def _say_rest(self, model: str, left: Bill, seen: Seen) -> None:
        reading = Reading(model=model, usage=left.usage, final=True)
        answer = Answer(default().now_ns(), seen, reading)
        event = claude_answers.event(answer, left, default())
        tags = Tags({**(event.tags or {}), **REST})
        seen.context.run(default().record, msgspec.structs.replace(event, tags=tags))

    def _say(self, key: str, answer: Answer, bills: Mapping[str, Bill]) -> None:
        self._said.add(key)  # before it is taken out: another thread may hear of it again
        del self._open[key]
        model = answer.reading.model or ""
        event = claude_answers.event(answer, bills.get(model), default())
        self._sums.setdefault(model, _Sum()).add(event)
        answer.seen.context.run(default().record, event)


_COUNTS = Usage.__struct_fields__[:4]  # input, output, cache reads and writes


class _Sum:
    """What events of one model said."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = dict.fromkeys(_COUNTS, 0)
        self._amount = Decimal()

    def add(self, event: UsageEvent) -> None:
        for name in _COUNTS:
            self._counts[name] += getattr(event, name) or 0
        self._amount += event.cost_amount or 0

    def left_of(self, bill: Bill) -> Bill | None:
        """Give what a bill has beyond the sum, or ``None`` where that is nothing."""
        left = (getattr(bill.usage, name) or 0 for name in _COUNTS)
        counts = [max(0, n - said) for n, said in zip(left, self._counts.values(), strict=True)]
        if not any(counts):
            return None
        amount = max(Decimal(), bill.amount - self._amount)
        usage = msgspec.structs.replace(NOTHING, **dict(zip(_COUNTS, counts, strict=True)))
        return Bill(usage, amount, bill.provider)
