"""A session of the Claude Agent SDK, as the messages to its user show it: runs and answers.

Nothing is asked of the SDK and nothing is changed: the messages that the program gets anyway are
looked at. A session is a run, and each sub-agent in it a run below the one that started it. Which
one an answer is of, each message says.
"""

from __future__ import annotations

import os
from functools import partial
from typing import Any

import msgspec

from tokenmeter.attribution import attribute, current
from tokenmeter.dialects.claude_code import Streamed
from tokenmeter.event import Attribution
from tokenmeter.frameworks import claude_answers
from tokenmeter.frameworks.callbacks import named
from tokenmeter.frameworks.claude_accounts import Account
from tokenmeter.frameworks.claude_answers import Bill, Seen
from tokenmeter.frameworks.claude_transcripts import Transcripts, home
from tokenmeter.meter import default
from tokenmeter.runs import InTree, Run, begin
from tokenmeter.status import ABANDONED, COMPLETED, End

_RESUMING = {"resume", "continue", "r", "c", "from-pr", "teleport"}


class Session:
    """One session; a block, too, in which the SDK does its work (`attribution.Names`).

    Args:
        options: ``ClaudeAgentOptions``, or ``None``.
    """

    span = None

    def __init__(self, options: Any) -> None:
        default().expect_later()  # it may end in a finaliser
        extra: dict[str, Any] = getattr(options, "extra_args", None) or {}
        self._run, self._who = _begun(named(extra.get("agent"), "claude"), current())
        self._resumed = bool(
            getattr(options, "resume", None)
            or getattr(options, "continue_conversation", False)
            or _RESUMING & extra.keys()
        )
        self._agents = Agents(self._who)
        self._account = Account(
            Transcripts(home({**os.environ, **(getattr(options, "env", None) or {})}))
        )
        self._bills: dict[str, Bill] = {}
        self._streamed: dict[str | None, Streamed] = {}
        self._session: str | None = None
        self._end: End = COMPLETED
        self._once = [None]

    def over(self, outer: Attribution, in_tree: InTree | None) -> Attribution:  # noqa: ARG002
        """Give what is in force while the SDK is at work: the run of this session."""
        return _within(self._who, outer)

    def saw(self, message: Any) -> None:
        """Look at a message of the SDK."""
        session = getattr(message, "session_id", None)
        if isinstance(session, str):
            self._session = session
            self._account.of(session)
        look = _LOOKS.get(type(message).__name__)
        if look is not None:
            look(self, message)

    def left(self, exc: BaseException | None) -> None:
        """End it, by an exception or by none; safe in a finaliser, which is a `GeneratorExit`."""
        try:
            self._once.pop()  # one atomic step: whoever comes second finds nothing
        except IndexError:
            return
        self._agents.give_up()
        if exc is None:
            self._run.ended(self._end)
        else:
            self._run.left(exc)
        self._close()

    def forget(self) -> None:
        """Have it never been: nobody asked for its first message."""
        self._run.forget()

    def assistant(self, message: Any) -> None:
        """See a part of an answer, or that there is none."""
        parent = message.parent_tool_use_id
        self._agents.asked(message)
        if message.error is not None:
            self._agents.failed(parent, message.error)
        elif message.model == "<synthetic>":
            return  # what Claude Code says itself, in a model's place
        self._learn(message.message_id, parent, claude_answers.reading(message), message.error)

    def event(self, message: Any) -> None:
        """See an event of a stream, where the user asked for them: there the end is told."""
        parent = message.parent_tool_use_id
        reading = self._streamed.setdefault(parent, Streamed()).add(message.event)
        if reading is not None:
            self._learn(reading.response_id, parent, reading)

    def result(self, message: Any) -> None:
        """See the end of a turn, and what the session has used until then."""
        reason = getattr(message, "terminal_reason", None) or message.subtype
        if reason.startswith("aborted"):
            self._account.leave()
            self._end = ABANDONED
        else:
            self._end = End("failed", reason) if message.is_error else COMPLETED
        self._bills = claude_answers.bills(message.model_usage)
        default().later(partial(self._account.settle, self._bills))

    def reset(self, _message: Any) -> None:
        """See that the conversation was cleared: the totals of the SDK begin anew."""
        self._close()
        self._bills, self._resumed = {}, False

    def user(self, message: Any) -> None:
        """See what tools gave back."""
        self._agents.answered(message)

    def task_started(self, message: Any) -> None:
        """See that a sub-agent was started."""
        who = self._agents.started(message)
        if who is not None:
            self._account.agent(message.task_id, self._whose(who))

    def task_ended(self, message: Any) -> None:
        """See that one has ended, perhaps."""
        self._agents.ended(message)

    def _learn(self, key: str | None, parent: str | None, reading: Any, error: Any = None) -> None:
        if key is not None:
            self._account.learn(key, self._whose(self._agents.who(parent)), reading, error)

    def _whose(self, who: Attribution) -> Attribution:
        who = _within(who, current())
        conversation = who.conversation or self._session
        return msgspec.structs.replace(who, conversation=conversation)

    def _close(self) -> None:
        # The totals of a session that was resumed are those of all who used it before.
        rest_of = None if self._resumed else Seen.here(self._whose(self._who))
        default().later(partial(self._account.close, self._bills, rest_of))


_LOOKS: dict[str, Any] = {
    "AssistantMessage": Session.assistant,
    "ConversationResetMessage": Session.reset,
    "ResultMessage": Session.result,
    "StreamEvent": Session.event,
    "TaskNotificationMessage": Session.task_ended,
    "TaskStartedMessage": Session.task_started,
    "TaskUpdatedMessage": Session.task_ended,
    "UserMessage": Session.user,
}

_ENDS = {"completed": COMPLETED, "stopped": ABANDONED, "killed": ABANDONED}
_TOOLS = {"Agent", "Task"}  # as the tool that starts a sub-agent is called, and was


class Agents:
    """The sub-agents of a session, by the id of the tool's use that started each.

    Args:
        session: Whom the session is for.
    """

    def __init__(self, session: Attribution) -> None:
        self._session = session
        self._asked: dict[str, tuple[str, str | None]] = {}
        self._tasks: dict[str, str] = {}
        self._background: set[str] = set()
        self._errors: dict[str | None, str] = {}
        self._open: dict[str, tuple[Run, Attribution]] = {}

    def who(self, key: str | None) -> Attribution:
        """Give whom what a sub-agent does is for; its run begins with what is first heard of it."""
        if key is None:
            return self._session
        if key not in self._open:
            name, parent = self._asked.get(key, ("agent", None))
            self._open[key] = _begun(name, _within(self.who(parent), current()))
        return self._open[key][1]

    def asked(self, message: Any) -> None:
        """See which sub-agents an answer asks for, by name."""
        for part in message.content:
            if getattr(part, "name", None) in _TOOLS:
                name = named(part.input.get("subagent_type"), "general-purpose")
                self._asked.setdefault(part.id, (name, message.parent_tool_use_id))

    def failed(self, key: str | None, error: str) -> None:
        """See that an answer failed that a sub-agent asked for."""
        self._errors[key] = error

    def started(self, message: Any) -> Attribution | None:
        """See that a sub-agent is at work; gives whom that is for."""
        key = message.tool_use_id
        if key not in self._asked:  # a command in the background
            return None
        self._tasks[message.task_id] = key
        if message.data.get("is_backgrounded"):
            self._background.add(key)
        return self.who(key)

    def answered(self, message: Any) -> None:
        """See what tools gave back: where a sub-agent works in the foreground, its end."""
        content: Any = message.content
        for part in () if isinstance(content, str) else content:
            key = getattr(part, "tool_use_id", None)
            if key in self._open and key not in self._background:
                self._end(key, "failed" if part.is_error else "completed")

    def ended(self, message: Any) -> None:
        """See that a task has ended, if it has."""
        key = self._tasks.get(message.task_id)
        if key is not None:
            self._end(key, message.status)

    def give_up(self) -> None:
        """End all that are open as abandoned; safe in a finaliser."""
        for run, _ in reversed(self._open.values()):
            run.dropped()
        self._open.clear()

    def _end(self, key: str, status: str | None) -> None:
        end = _ENDS.get(status or "")
        if status == "failed":
            end = End("failed", self._errors.get(key, "error"))
        if end is not None and key in self._open:
            self._open.pop(key)[0].ended(end)


def _begun(agent: str, outer: Attribution) -> tuple[Run, Attribution]:
    """Begin a run; gives it with whom what happens in it is for."""
    run = begin(agent, outer, owner=None, in_generator=True)
    run.is_for(attribute(agent=agent).over(outer, run.in_tree))
    return run, run.attribution


def _within(who: Attribution, here: Attribution) -> Attribution:
    """Give whom something is for that happens here and in that run."""
    agent, run_id, parent, depth = who.agent, who.run_id, who.parent_run_id, who.depth
    return msgspec.structs.replace(
        here, agent=agent, run_id=run_id, parent_run_id=parent, depth=depth
    )
