"""Fetching, polling, listing and cancelling are no new calls: an answer counts once, everywhere."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import textwrap
import weakref
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from canned import Asked, Told, events, serving, told
from tokenmeter import Meter, UsageEvent, attribute
from tokenmeter.cli import main
from tokenmeter.ids import is_derived
from tokenmeter.ledger import read
from tokenmeter.testing import ModelServer

ANSWERS = 100

POLLER = """
    import sys, tokenmeter
    from openai import OpenAI

    url, ledger, user, *answers = sys.argv[1:]
    tokenmeter.configure(exporters=[f"jsonl:{ledger}"])
    with OpenAI(base_url=url, api_key="k") as client, tokenmeter.attribute(user=user):
        tokenmeter.wrap(client)
        sys.stdin.readline()  # all begin together
        while answers:
            answers = [a for a in answers if client.responses.retrieve(a).status != "completed"]
"""


def poller(url: str, ledger: Path, user: str, answers: list[str]) -> subprocess.Popen[str]:
    program = [sys.executable, "-W", "error", "-c", textwrap.dedent(POLLER)]
    return subprocess.Popen(
        [*program, url, str(ledger), user, *answers],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        text=True,
    )


def let_go(*processes: subprocess.Popen[str]) -> None:
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.close()
    assert [process.wait(120) for process in processes] == [0] * len(processes)


def report(capsys: pytest.CaptureFixture[str], *ledgers: Path) -> Any:
    capsys.readouterr()
    assert main(["report", *map(str, ledgers), "--by", "user", "--format", "json"]) == 0
    return json.loads(capsys.readouterr().out)


def calls_by_user(found: Any) -> dict[str, int]:
    return {row["user"]: row["calls"] for row in found["rows"]}


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


def begin(client: openai.OpenAI, user: str | None = None) -> list[str]:
    ask = client.responses.create
    with attribute(user=user):
        return [ask(model="m", input=f"one {n}", background=True).id for n in range(ANSWERS)]


def test_two_processes_that_poll_the_same_answers_are_one_call_an_answer_in_the_report(
    server: ModelServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:  # C33
    with openai.OpenAI(base_url=server.openai_url, api_key="k") as client:
        answers = begin(client)
    ledgers = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    let_go(*(poller(server.openai_url, path, path.stem, answers) for path in ledgers))
    ids = [[event.event_id for event in read(path)] for path in ledgers]
    assert [len(found) for found in ids] == [ANSWERS, ANSWERS]
    assert set(ids[0]) == set(ids[1])
    assert all(map(is_derived, ids[0]))
    found = report(capsys, *ledgers)
    assert (found["total"]["calls"], found["total"]["attempts"]) == (ANSWERS, ANSWERS)
    used = [served for served in server.account if served.input_tokens is not None]
    assert len(used) == ANSWERS
    for name in ("input_tokens", "output_tokens"):
        assert found["total"][name] == sum(getattr(served, name) for served in used)
    whole = tmp_path / "whole.jsonl"
    whole.write_bytes(b"".join(path.read_bytes() for path in ledgers))
    assert report(capsys, whole)["total"] == found["total"]


def test_an_answer_that_another_process_fetched_first_still_is_its_creators(
    server: ModelServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, theirs = tmp_path / "mine.jsonl", tmp_path / "theirs.jsonl"
    meter = Meter([f"jsonl:{mine}"], providers={})
    with openai.OpenAI(base_url=server.openai_url, api_key="k") as bare:
        client = meter.wrap(bare)
        answers = begin(client, user="ada")
        let_go(poller(server.openai_url, theirs, "bob", answers))
        for answer in answers * 2:
            client.responses.retrieve(answer)
    meter.shutdown()
    assert calls_by_user(report(capsys, theirs)) == {"bob": ANSWERS}
    assert calls_by_user(report(capsys, mine)) == {"ada": ANSWERS}
    assert calls_by_user(report(capsys, mine, theirs)) == {"ada": ANSWERS}
    assert calls_by_user(report(capsys, theirs, mine)) == {"ada": ANSWERS}


# One process


RESPONSE = {"id": "r1", "object": "response", "model": "m", "background": True, "output": []}
RUN = {"id": "r1", "object": "thread.run", "model": "m"}
RESPONSE_USAGE = {"input_tokens": 5, "output_tokens": 3}
RUN_USAGE = {"prompt_tokens": 5, "completion_tokens": 3}
RESPONSES, RUNS = "/responses", "/threads/t/runs"


def states(asked: Asked) -> Told:
    """Answer that whatever is asked is in the state that the request names in its query or body."""
    is_run = "/threads/" in asked.path
    status = asked.json.get("metadata", {}).get("then") or "completed"
    usage = (RUN_USAGE if is_run else RESPONSE_USAGE) if status == "completed" else None
    body = (RUN if is_run else RESPONSE) | {"status": status, "usage": usage}
    if not asked.json.get("stream"):
        return told(body)
    kind = f"thread.run.{status}" if is_run else f"response.{status}"
    return events((kind, body) if is_run else {"type": kind, "response": body})


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(states) as url:
        yield url


@pytest.fixture
def found() -> list[UsageEvent]:
    return []


@pytest.fixture
def client(url: str, found: list[UsageEvent]) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0) as bare:
        yield Meter([found.append], providers={"127.0.0.1": "openai"}).wrap(bare)


def create(client: openai.OpenAI, path: str, **body: Any) -> None:
    client.post(
        path, cast_to=object, body={"model": "asked", "metadata": {"then": "queued"}, **body}
    )


@pytest.mark.parametrize("path", [RESPONSES, RUNS])
def test_an_answer_counts_when_it_first_appears_for_whoever_asked(
    path: str, client: openai.OpenAI, found: list[UsageEvent]
) -> None:
    with attribute(user="ada"):
        create(client, path)
    assert found == []
    with attribute(user="bob"):
        for _ in range(3):
            client.get(f"{path}/r1", cast_to=object)
        client.post(f"{path}/r1/cancel", cast_to=object)
    [event] = found
    assert (event.user, event.request_model, event.input_tokens) == ("ada", "asked", 5)
    assert is_derived(event.event_id)


@pytest.mark.parametrize("path", [RESPONSES, RUNS])
def test_an_answer_of_another_process_is_its_fetchers(
    path: str, client: openai.OpenAI, found: list[UsageEvent]
) -> None:
    with attribute(user="bob"):
        client.post(f"{path}/r1/cancel", cast_to=object)
        client.get(f"{path}/r1", cast_to=object)
    [event] = found
    assert (event.user, event.request_model, event.output_tokens) == ("bob", "m", 3)


@pytest.mark.parametrize("path", [RESPONSES, RUNS])
def test_an_answer_that_is_streamed_to_its_end_is_counted_and_fetching_it_is_nothing(
    path: str, client: openai.OpenAI, found: list[UsageEvent]
) -> None:
    body = {"stream": True, "metadata": {}}
    stream = client.post(
        path, cast_to=object, body=body, stream=True, stream_cls=openai.Stream[object]
    )
    assert len(list(stream)) > 0
    client.get(f"{path}/r1", cast_to=object)
    [event] = found
    assert (event.stream, event.input_tokens, event.output_tokens) == (True, 5, 3)


@pytest.mark.parametrize("path", [RESPONSES, RUNS])
def test_the_answers_of_two_providers_are_two_though_their_ids_are_one(path: str, url: str) -> None:
    found: list[UsageEvent] = []
    meter = Meter([found.append], providers={"localhost": "one", "127.0.0.1": "two"})
    for host in ("localhost", "127.0.0.1"):
        base_url = f"{url.replace('127.0.0.1', host)}/v1"
        with openai.OpenAI(base_url=base_url, api_key="k") as client:
            meter.wrap(client).get(f"{path}/r1", cast_to=object)
    assert Counter(event.provider for event in found) == {"one": 1, "two": 1}
    assert len({event.event_id for event in found}) == 2


@pytest.mark.parametrize("path", [RESPONSES, RUNS, "/chat/completions", "/threads/t/runs/r1/steps"])
def test_listing_is_nothing(path: str, client: openai.OpenAI, found: list[UsageEvent]) -> None:
    client.get(path, cast_to=object)
    assert found == []


def test_what_came_of_a_creation_is_let_go_of_while_its_answer_is_awaited(url: str) -> None:
    meter = Meter(providers={"127.0.0.1": "openai"})
    readers: list[weakref.ref[Any]] = []
    with openai.OpenAI(base_url=f"{url}/v1", api_key="k") as bare:
        client = meter.wrap(bare)
        create_as_it_comes = client.responses.with_streaming_response.create
        then: Any = {"then": "queued"}
        with create_as_it_comes(model="m", input="x", background=True, metadata=then) as response:
            [call] = meter.open_calls
            readers.append(weakref.ref(call._reader))  # type: ignore[arg-type]
            del call
            response.read()
    del response
    gc.collect()
    assert [reader() for reader in readers] == [None]
    assert len(meter.answers._creators) == 1


def test_a_tally_has_what_was_asked_for_inside_though_it_is_fetched_outside(url: str) -> None:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="k") as bare:
        meter = Meter(providers={"127.0.0.1": "openai"})
        client = meter.wrap(bare)
        with meter.tally() as asked:
            create(client, RUNS)
        with meter.tally() as fetched:
            client.get(f"{RUNS}/r1", cast_to=object)
    assert (asked.calls, asked.input_tokens, fetched.calls) == (1, 5, 0)
