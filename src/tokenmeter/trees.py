"""The tree of runs: agents and their sub-agents, with what each used, from events alone.

An event says in which run it happened, and in which run that one began; so a tree can be built from
a live tally, from a ledger and from the ledgers of many processes together. A run whose end is in
no event (it goes on, or its process was killed) is known by its calls and by its children.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from tokenmeter.event import Status, UsageEvent
from tokenmeter.ids import is_derived
from tokenmeter.tallies import Tally
from tokenmeter.wording import counted

LIMIT = 10_000
"""Runs that a forest keeps apart; what comes later is one visible row, ``(others)``."""


class Node(msgspec.Struct, frozen=True, eq=False):
    """One run and those that began in it.

    Args:
        run_id: Its id; ``None`` for runs that are beyond the limit and shown together.
        parent_run_id: The run in which it began, which is another node if anything is known of it.
        agent: The path of agents from the outermost to this one; ``None`` where nothing says it.
        user: The person behind it.
        task: The piece of work.
        began_s: When it began, in seconds since 1970; where its own event is missing, the first
            time that is known of it or of what it began.
        ended_s: When it ended; where its own event is missing, the last time that is known.
        status: How it ended; ``None`` where no event says so.
        own: What its own calls used.
        subtree: What its calls and those of all runs below it used.
        children: The runs that began in it, in the order of their beginning.
    """

    run_id: str | None
    parent_run_id: str | None
    agent: str | None
    user: str | None
    task: str | None
    began_s: float
    ended_s: float
    status: Status | None
    own: Tally
    subtree: Tally
    children: tuple[Node, ...]

    @property
    def name(self) -> str:
        """The name of its agent alone, without those around it."""
        return (self.agent or "(unknown)").rpartition("/")[2]

    @property
    def fan_out(self) -> int:
        """How many runs began in it."""
        return len(self.children)

    @property
    def duration_s(self) -> float | None:
        """How long it took; ``None`` where its own event is missing."""
        return None if self.status is None else self.ended_s - self.began_s

    def walk(self) -> Iterator[Node]:
        """Give it and all runs below it, each before its children."""
        return (node for node, _ in _levelled([self]))

    def critical_path(self) -> tuple[Step, ...]:
        """Say what took the time: the runs that somebody was waiting for, one after the other.

        From the end of this run backwards: the child that ended last was waited for until then,
        the time before its beginning is explained by the child that had ended last before that,
        and what no child explains is the run's own. The seconds add up to how long it took.
        """
        steps: list[Step] = []
        waiting: list[_Stretch] = [_Stretch(self, self.began_s, self.ended_s)]
        while waiting:
            stretch = waiting.pop()
            own, below = _waited_for(stretch)
            steps.append(Step(stretch.node, own))
            waiting.extend(below)
        return tuple(steps)

    def __str__(self) -> str:
        return "\n".join(_lines([self]))


class Step(NamedTuple):
    """A run on the critical path, and the seconds on it that are its own and of no child."""

    node: Node
    own_s: float


class _Stretch(NamedTuple):
    node: Node
    began_s: float
    ended_s: float


def _waited_for(stretch: _Stretch) -> tuple[float, list[_Stretch]]:
    """Give the seconds of a stretch that are the run's own, and the children that explain others.

    A child of another machine may seem to begin before its parent, or to end after it; it counts
    as far as it lies inside.
    """
    node, began_s, cursor = stretch
    own, below = 0.0, list[_Stretch]()
    for child in sorted(node.children, key=lambda child: child.ended_s, reverse=True):
        child_began, child_ended = max(child.began_s, began_s), min(child.ended_s, cursor)
        if child_began < child_ended:
            own += cursor - child_ended
            below.append(_Stretch(child, child_began, child_ended))
            cursor = child_began
    return own + cursor - began_s, below


class Tree(msgspec.Struct, frozen=True, eq=False):
    """All runs of some events.

    Shows itself: as text when printed, as a tree of rich in a console of rich, as HTML in a
    notebook.

    Args:
        roots: The runs that began in no other, in the order of their beginning.
        outside: What calls used that were made in no run.
    """

    roots: tuple[Node, ...]
    outside: Tally

    def walk(self) -> Iterator[Node]:
        """Give all runs, each before its children."""
        for root in self.roots:
            yield from root.walk()

    def __str__(self) -> str:
        """Draw it with lines."""
        lines = list(_lines(self.roots)) or ["no runs"]
        if self.outside.attempts:
            lines.append(f"outside of any run: {self.outside}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)

    def __rich__(self) -> Any:
        """Give it to a console of rich."""
        from rich.text import Text
        from rich.tree import Tree as RichTree

        top = RichTree("runs" if self.roots else "no runs", hide_root=bool(self.roots))
        line = [top]  # from the top to the node before
        for node, level in _levelled(self.roots):
            text = Text.assemble((node.name, "bold"), "  ", (_told(node), "dim"))
            line[level + 1 :] = [line[level].add(text)]
        if self.outside.attempts:
            top.add(Text(f"outside of any run: {self.outside}"))
        return top

    def _repr_html_(self) -> str:
        """Give it to a notebook: lists in lists, without script or style of others."""
        from html import escape

        if not self.roots:
            parts = ["<p>no runs</p>"]
        else:
            parts, depth = ["<ul>"], 0
            for node, level in _levelled(self.roots):
                parts += ["<ul>"] * (level - depth) + ["</ul>"] * (depth - level)
                depth = level
                parts.append(f"<li><b>{escape(node.name)}</b> {escape(_told(node))}</li>")
            parts += ["</ul>"] * (depth + 1)
        if self.outside.attempts:
            parts.append(f"<p>outside of any run: {escape(str(self.outside))}</p>")
        return "".join(parts)


def _told(node: Node) -> str:
    """Say in a line what became of a run and what it used."""
    parts = [str(node.own) if node.own.attempts else "no calls of its own"]
    if node.children:
        parts.append(f"with {counted(node.fan_out, 'run')} below: {node.subtree}")
    parts.append(node.status or "no end known")
    if node.duration_s is not None:
        parts.append(f"{node.duration_s:.2f} s")
    return "; ".join(parts)


def _levelled(roots: Iterable[Node]) -> Iterator[tuple[Node, int]]:
    """Give nodes, each before its children, and how deep they lie."""
    waiting = [(root, 0) for root in reversed(tuple(roots))]
    while waiting:
        node, level = waiting.pop()
        yield node, level
        waiting.extend((child, level + 1) for child in reversed(node.children))


def _lines(roots: Iterable[Node]) -> Iterator[str]:
    """Draw nodes, the lines of one that has no brother below it left out."""
    waiting = [(root, "", "", "") for root in reversed(tuple(roots))]
    while waiting:
        node, prefix, branch, below = waiting.pop()
        yield f"{prefix}{branch}{node.name}  {_told(node)}"
        last = len(node.children) - 1
        for n, child in reversed(list(enumerate(node.children))):
            branch, under = ("└── ", "    ") if n == last else ("├── ", "│   ")
            waiting.append((child, prefix + below, branch, under))


def tree(events: Iterable[UsageEvent]) -> Tree:
    """Give the trees of some events, in whatever order they come; a ledger's, or several ledgers'.

    An event that several processes fetched counts once.

    >>> print(tree([]))
    no runs
    """
    spent, fetched = Tally(), set[str]()
    for event in events:
        if event.event_id in fetched:
            continue
        if is_derived(event.event_id):
            fetched.add(event.event_id)
        spent.add(event)
    return spent.tree()


class Forest:
    """Keep what each run used, for the trees; safe to add to from any thread."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._rows: dict[object, _Row] = {}
        self._lock = threading.Lock()

    def add(self, event: UsageEvent) -> None:
        """Add a call that was made in a run, or a run that has ended; nothing else."""
        if event.run_id is None or event.kind == "outcome":
            return
        with self._lock:
            self._row(event).add(event)

    def _row(self, event: UsageEvent) -> _Row:
        key: object = event.run_id
        if key not in self._rows and len(self._rows) >= self._limit:
            key = OTHERS
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = _Row(event, apart=key is event.run_id)
        return row

    def roots(self) -> tuple[Node, ...]:
        """Give the trees as they are now."""
        with self._lock:
            return _grown(dict(self._rows))


OTHERS = "(others)"
"""What the row is called that takes what comes after the limit."""


class _Row:
    """What is known of one run."""

    def __init__(self, event: UsageEvent, *, apart: bool) -> None:
        self.run_id = event.run_id if apart else None
        self.parent_run_id = event.parent_run_id if apart else None
        self.agent: str | None = event.agent if apart else OTHERS
        self.user = event.user if apart else None
        self.task = event.task if apart else None
        self.began_s = self.ended_s = event.ts.timestamp()
        self.status: Status | None = None
        self.own = Tally()

    def add(self, event: UsageEvent) -> None:
        began_s = event.ts.timestamp()
        ended_s = began_s + (event.duration_s or 0.0)
        self.own.sum_up(event)
        if self.run_id is not None:  # what came from another process may not know it
            self.parent_run_id = self.parent_run_id or event.parent_run_id
        if event.kind == "run" and self.run_id is not None:
            self.user, self.task, self.status = event.user, event.task, event.status
            self.began_s, self.ended_s = began_s, ended_s
        elif self.status is None:
            self.began_s, self.ended_s = min(self.began_s, began_s), max(self.ended_s, ended_s)

    @classmethod
    def unseen(cls, child: _Row) -> _Row:
        """Make that of a run of which nothing is known but a child."""
        row = cls.__new__(cls)
        row.run_id, row.parent_run_id = child.parent_run_id, None
        row.agent = (child.agent or "").rpartition("/")[0] or None
        row.user = row.task = row.status = None
        row.began_s, row.ended_s = child.began_s, child.ended_s
        row.own = Tally()
        return row


def _grown(rows: dict[object, _Row]) -> tuple[Node, ...]:
    """Put each run below that in which it began."""
    for row in list(rows.values()):
        parent = row.parent_run_id
        if parent is not None and parent not in rows:
            rows[parent] = _Row.unseen(row)
    parents = {key: row.parent_run_id for key, row in rows.items()}
    cut_circles(parents)
    below: dict[object, list[object]] = {}
    for key in sorted(rows, key=lambda key: (rows[key].began_s, str(key))):
        below.setdefault(parents[key], []).append(key)
    nodes: dict[object, Node] = {}
    for key in reversed(downwards(below)):
        nodes[key] = _node(rows[key], tuple(nodes[child] for child in below.get(key, ())))
    return tuple(nodes[key] for key in below.get(None, ()))


def cut_circles(parents: dict[object, str | None]) -> None:
    """Make a root of one run of each circle, which only a forged event can close."""
    checked: set[object] = set()
    for key in parents:
        trail: dict[object, None] = {}
        here: object = key
        while here is not None and here not in checked and here not in trail:
            trail[here] = None
            here = parents[here]
        if here in trail:
            parents[here] = None
        checked.update(trail)


def downwards(below: dict[object, list[object]]) -> list[object]:
    """List the runs, each before its children."""
    found = list(below.get(None, ()))
    for key in found:  # which grows meanwhile
        found.extend(below.get(key, ()))
    return found


def _node(row: _Row, children: tuple[Node, ...]) -> Node:
    subtree = Tally()
    for part in (row.own, *(child.subtree for child in children)):
        subtree.include(part)
    own = Tally()
    own.include(row.own)
    began_s, ended_s = row.began_s, row.ended_s
    if row.status is None:
        began_s = min([began_s, *(child.began_s for child in children)])
        ended_s = max([ended_s, *(child.ended_s for child in children)])
    return Node(
        row.run_id, row.parent_run_id, row.agent, row.user, row.task, began_s, ended_s,
        row.status, own, subtree, children,
    )  # fmt: skip
