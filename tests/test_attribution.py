"""`attribute`: what is in force inside is the merge of the blocks around, and nothing leaks."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any, Literal, NamedTuple

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from tokenmeter import Attribution, ConfigurationError, attribute, attribution

NOBODY = Attribution()


def current() -> Attribution:
    """Give what is in force; where its run stands among others is what `test_runs` looks at."""
    here = attribution.current()
    assert (here.run_id is None) == (here.agent is None) == (here.depth is None)
    return structs.replace(here, run_id=None, parent_run_id=None, depth=None)


ADA = Attribution(user="ada", user_origin="explicit")


@pytest.fixture(autouse=True)
def nothing_leaks() -> Iterator[None]:
    assert current() == NOBODY
    yield
    assert current() == NOBODY


def test_a_block_says_who_a_call_is_for() -> None:
    with attribute(user="ada", team="t", task="T", agent="a", conversation="c", tier=1, hot=True):
        assert current() == Attribution(
            user="ada",
            user_origin="explicit",
            team="t",
            task="T",
            agent="a",
            conversation="c",
            tags={"tier": 1, "hot": True},
        )


def test_inner_blocks_win_and_agents_form_a_path() -> None:
    with (
        attribute(user="ada", task="T-1", agent="planner", tier="gold", zone=1),
        attribute(task="T-2", agent="researcher", tier="free"),
    ):
        assert current() == Attribution(
            user="ada",
            user_origin="explicit",
            task="T-2",
            agent="planner/researcher",
            tags={"tier": "free", "zone": 1},
        )


def test_tags_cannot_be_changed_afterwards() -> None:
    with attribute(tier="gold"):
        tags: Any = current().tags
        with pytest.raises(TypeError, match="immutable"):
            tags["tier"] = "free"


def test_an_exception_passes_through_unchanged() -> None:
    exc = LookupError()
    with pytest.raises(LookupError) as raised, attribute(user="ada"):
        raise exc
    assert raised.value is exc


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"user": ""}, r"attribute\(user=…\) takes a non-empty string, got ''"),
        ({"task": 7}, r"attribute\(task=…\) takes a non-empty string, got 7"),
        ({"tier": None}, r"attribute\(tier=…\) is a tag and takes a string, a number or a boolean"),
        ({"tier": ["gold"]}, r"attribute\(tier=…\) is a tag"),
    ],
)
def test_a_name_that_cannot_be_used_is_refused_at_once(names: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        attribute(**names)


@pytest.mark.parametrize("thing", [Attribution, "ada", None])
def test_what_is_no_function_is_refused_at_once(thing: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"attribute\(...\) decorates a function"):
        attribute(user="ada")(thing)


def test_a_class_is_told_to_decorate_its_methods() -> None:
    with pytest.raises(ConfigurationError, match="decorate its methods"):
        attribute(user="ada")(Attribution)


def test_one_instance_can_be_entered_again_while_it_is_open() -> None:
    block = attribute(agent="a")
    with block, block:
        assert current().agent == "a/a"
        with block:
            assert current().agent == "a/a/a"
        assert current().agent == "a/a"
    with block:
        assert current().agent == "a"


# --- decorated functions --------------------------------------------------------------------------

as_ada = attribute(user="ada")


def test_a_decorated_function_runs_inside() -> None:
    assert as_ada(current)() == ADA


@pytest.mark.parametrize("run", [asyncio.run, lambda coroutine: trio.run(lambda: coroutine)])
def test_a_decorated_coroutine_runs_inside(run: Callable[[Any], Any]) -> None:
    @as_ada
    async def ask() -> Attribution:
        return current()

    async def main() -> tuple[Attribution, Attribution]:
        return await ask(), current()

    assert run(main()) == (ADA, NOBODY)


def test_a_decorated_method_keeps_its_self() -> None:
    class Agent:
        @as_ada
        def ask(self, question: str) -> tuple[Any, str, Attribution]:
            return self, question, current()

    agent = Agent()
    assert agent.ask("?") == (agent, "?", ADA)


def test_a_decorated_generator_runs_inside_and_its_consumer_outside() -> None:
    @as_ada
    def ask() -> Generator[Attribution, str, str]:
        sent = yield current()
        with attribute(task=sent):
            yield current()
            with attribute(agent="a"):
                yield current()
            yield current()
        return "end"

    steps = ask()
    seen = [next(steps), steps.send("T")]
    assert current() == NOBODY
    with attribute(user="bob", team="t"):
        seen.append(next(steps))
        assert current() == Attribution(user="bob", user_origin="explicit", team="t")
    seen.append(next(steps))
    assert seen == [
        ADA,
        Attribution(user="ada", user_origin="explicit", task="T"),
        Attribution(user="ada", user_origin="explicit", team="t", task="T", agent="a"),
        Attribution(user="ada", user_origin="explicit", task="T"),
    ]
    with pytest.raises(StopIteration, match="end"):
        next(steps)


def test_a_decorated_generator_runs_inside_when_it_is_closed_or_thrown_into() -> None:
    seen: list[Attribution] = []

    @as_ada
    def ask() -> Iterator[None]:
        try:
            yield
        except LookupError:
            seen.append(current())
        try:
            yield
        finally:
            seen.append(current())

    steps: Any = ask()
    next(steps)
    steps.throw(LookupError())
    steps.close()
    assert seen == [ADA, ADA]


@pytest.mark.parametrize("run", [asyncio.run, lambda coroutine: trio.run(lambda: coroutine)])
def test_a_decorated_asynchronous_generator_leaves_its_consumer_outside(
    run: Callable[[Any], Any],
) -> None:
    @as_ada
    async def ask() -> AsyncIterator[Attribution]:
        with attribute(task="T"):
            yield current()
            await trio.lowlevel.checkpoint() if in_trio() else await asyncio.sleep(0)
            yield current()

    async def main() -> list[tuple[Attribution, Attribution]]:
        return [(inside, current()) async for inside in ask()]

    inside = Attribution(user="ada", user_origin="explicit", task="T")
    assert run(main()) == [(inside, NOBODY)] * 2


def in_trio() -> bool:
    try:
        trio.lowlevel.current_task()
    except RuntimeError:
        return False
    return True


def test_a_decorated_generator_that_is_dropped_cleans_up_inside_of_its_block() -> None:
    seen: list[Attribution] = []

    @as_ada
    def ask() -> Iterator[None]:
        try:
            yield
        finally:
            seen.append(current())

    @as_ada
    async def ask_async() -> AsyncIterator[None]:
        try:
            yield
        finally:
            seen.append(current())

    async def main() -> None:
        steps, async_steps = ask(), ask_async()
        next(steps)
        await anext(async_steps)
        with attribute(user="bob"):
            del steps, async_steps
            assert current().user == "bob"

    asyncio.run(main())
    assert seen == [ADA, ADA]


def test_a_decorated_generator_can_move_between_threads() -> None:
    @as_ada
    def ask() -> Iterator[Attribution]:
        with attribute(task="T"):
            yield current()
            yield current()

    steps = ask()
    seen = [next(steps)]
    thread = threading.Thread(target=lambda: seen.append(next(steps)))
    thread.start()
    thread.join()
    assert seen == [Attribution(user="ada", user_origin="explicit", task="T")] * 2


# --- generators that open blocks of their own -----------------------------------------------------


def opens(task: str) -> Iterator[None]:
    with attribute(task=task):
        yield


def test_a_block_that_a_suspended_generator_left_open_ends_with_the_block_around_it() -> None:
    with attribute(user="ada"):
        generator = opens("T")
        next(generator)
    assert current() == NOBODY
    assert list(generator) == []


def test_closing_a_generator_inside_a_later_block_leaves_that_block_in_force() -> None:
    generator: Any = opens("T")
    next(generator)
    with attribute(user="ada"):
        generator.close()
        assert current() == ADA


def test_generators_that_are_interleaved_take_only_their_own_blocks_away() -> None:
    first: Any = opens("1")
    second: Any = opens("2")
    next(first)
    next(second)
    first.close()
    assert current() == Attribution(task="2")
    second.close()


def test_a_block_that_is_left_in_another_context_changes_nothing_there() -> None:
    generator: Any = opens("T")
    contextvars.copy_context().run(next, generator)
    with attribute(user="ada"):
        generator.close()
        assert current() == ADA


# --- tasks and threads ----------------------------------------------------------------------------


def test_a_thread_with_a_copied_context_keeps_what_it_copied() -> None:
    left, seen = threading.Event(), list[Attribution]()

    def ask() -> None:
        left.wait()
        with attribute(task="T"):
            seen.append(current())

    with attribute(user="ada"):
        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(ask,))
        thread.start()
    left.set()
    thread.join()
    assert seen == [Attribution(user="ada", user_origin="explicit", task="T")]


def test_tasks_do_not_see_each_others_blocks() -> None:
    async def ask(user: str, both: asyncio.Barrier) -> str | None:
        with attribute(user=user):
            await both.wait()
            return current().user

    async def main() -> list[str | None]:
        both = asyncio.Barrier(2)
        return await asyncio.gather(ask("ada", both), ask("bob", both))

    assert asyncio.run(main()) == ["ada", "bob"]


# --- the law: any nesting of anything -------------------------------------------------------------

Kind = Literal["with", "call", "generator", "suspended", "coroutine", "agen", "thread", "task"]


class Tree(NamedTuple):
    kind: Kind
    names: dict[str, str]
    inner: tuple[Tree, ...]


NAMES = st.dictionaries(st.sampled_from(["user", "team", "task", "agent"]), st.sampled_from("abc"))
KINDS: st.SearchStrategy[Kind] = st.sampled_from(
    ["with", "call", "generator", "suspended", "coroutine", "agen", "thread", "task"]
)
TREES: st.SearchStrategy[Tree] = st.recursive(
    st.builds(Tree, KINDS, NAMES, st.just(())),
    lambda inner: st.builds(Tree, KINDS, NAMES, st.lists(inner, max_size=3).map(tuple)),
    max_leaves=12,
)


def merged(outer: dict[str, str], names: dict[str, str]) -> dict[str, str]:
    both = {**outer, **names}
    if "agent" in outer and "agent" in names:
        both["agent"] = f"{outer['agent']}/{names['agent']}"
    return both


def in_force() -> dict[str, Any]:
    columns = {name: getattr(current(), name) for name in ("user", "team", "task", "agent")}
    return {name: value for name, value in columns.items() if value is not None}


class Walk:
    """Build every tree for real, and check at each node, and after each, what is in force."""

    async def check(self, tree: Tree, outer: dict[str, str]) -> None:
        await getattr(self, f"_{tree.kind}")(tree, attribute(**tree.names), outer)
        assert in_force() == outer

    async def _inside(self, tree: Tree, outer: dict[str, str]) -> None:
        expected = merged(outer, tree.names)
        assert in_force() == expected
        for inner in tree.inner:
            await self.check(inner, expected)
        assert in_force() == expected

    def _inside_now(self, tree: Tree, outer: dict[str, str]) -> None:
        """Go on from code that cannot await: in a thread that copied the context."""
        context = contextvars.copy_context()
        failures: list[BaseException] = []

        def run() -> None:
            try:
                context.run(asyncio.run, self._inside(tree, outer))
            except BaseException as exc:
                failures.append(exc)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        for failure in failures:
            raise failure

    async def _with(self, tree: Tree, block: attribute, outer: dict[str, str]) -> None:
        with block:
            await self._inside(tree, outer)

    async def _call(self, tree: Tree, block: attribute, outer: dict[str, str]) -> None:
        block(self._inside_now)(tree, outer)

    async def _coroutine(self, tree: Tree, block: attribute, outer: dict[str, str]) -> None:
        await block(self._inside)(tree, outer)

    async def _generator(self, tree: Tree, block: attribute, outer: dict[str, str]) -> None:
        @block
        def steps() -> Iterator[None]:
            with attribute(tag="inner"):
                yield
                self._inside_now(tree, outer)
                yield

        around = current()
        for _ in steps():
            assert current() == around

    async def _suspended(self, tree: Tree, block: attribute, outer: dict[str, str]) -> None:
        def steps() -> Iterator[None]:
            with attribute(team="left open"):
                yield

        generators = [steps() for _ in tree.inner]
        with block:
            await self._inside(tree, outer)
            for generator in generators:
                next(generator)
        assert in_force() == outer
        for generator in generators:
            assert list(generator) == []

    async def _agen(self, tree: Tree, block: attribute, outer: dict[str, str]) -> None:
        @block
        async def steps() -> AsyncIterator[None]:
            with attribute(tag="inner"):
                yield
                await self._inside(tree, outer)
                yield

        around = current()
        async for _ in steps():
            assert current() == around

    async def _thread(self, tree: Tree, block: attribute, outer: dict[str, str]) -> None:
        with block:
            self._inside_now(tree, outer)

    async def _task(self, tree: Tree, block: attribute, outer: dict[str, str]) -> None:
        with block:
            task = asyncio.create_task(self._inside(tree, outer))
        assert in_force() == outer
        await task


@given(TREES)
def test_what_is_in_force_is_the_merge_of_the_blocks_around_and_nothing_leaks(tree: Tree) -> None:
    asyncio.run(Walk().check(tree, {}))


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=30))
def test_decorated_generators_stepped_in_any_order_see_only_their_own_blocks(
    steps: list[tuple[int, bool]],
) -> None:
    @attribute(team="t")
    def nests(name: str) -> Iterator[None]:
        while True:
            with attribute(agent=name):
                assert in_force() == {"user": "ada", "team": "t", "agent": name}
                yield
                with attribute(task=name, agent="sub"):
                    yield
                    assert in_force()["task"] == name
                    assert in_force()["agent"] == f"{name}/sub"
                assert in_force() == {"user": "ada", "team": "t", "agent": name}

    generators: list[Any] = [nests(name) for name in "abcd"]
    for index, close in steps:
        with attribute(user="ada"):
            if close:
                generators[index].close()
            else:
                next(generators[index], None)
            assert in_force() == {"user": "ada"}
    assert in_force() == {}


def test_a_decorated_generator_is_one_for_inspect() -> None:
    @as_ada
    def ask() -> Iterator[None]:
        yield

    assert inspect.isgeneratorfunction(ask)
    assert inspect.isgenerator(ask())


def test_the_flags_of_generators_are_those_of_inspect() -> None:
    assert inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR == attribution._GENERATES
