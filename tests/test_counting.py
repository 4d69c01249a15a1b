"""``count``: what a text, messages and requests weigh, for which model, and how sure that is."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from typing import Any

import pytest

import tokenmeter
from tokenmeter import CannotCountError, ConfigurationError, Count, count
from tokenmeter.dialects.openai_chat import OpenAIChat
from tokenmeter.tokens import estimates, tokenizers, vocabularies
from tokenmeter.tokens.families import _families, family_of

HI = [{"role": "user", "content": "Good morning!"}]


@pytest.fixture(autouse=True)
def default_meter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tokenmeter.meter._default", None)


def test_a_text_has_as_many_tokens_as_the_models_vocabulary_gives() -> None:
    text = "Was it a car or a cat I saw? 東京 🚗"
    for model in ("gpt-3.5-turbo", "gpt-4o", "gpt-5"):
        family = family_of(model)
        expected = vocabularies.length(text, family.vocabulary)
        assert (int(count(text, model)), count(text, model).family) == (expected, family.name)


@pytest.mark.parametrize(
    "model", ["gpt-5", "claude-sonnet-4-5", "gemini-2.5-pro", "command-r", "x"]
)
def test_no_text_is_no_tokens(model: str) -> None:
    assert int(count("", model)) == 0


def test_several_texts_weigh_what_each_of_them_does() -> None:
    for model in ("gpt-5", "claude-sonnet-4-5", "nobody-knows-it"):
        assert int(count(["Hi", "Ho"], model)) == sum(int(count(t, model)) for t in ("Hi", "Ho"))


def test_messages_weigh_what_a_request_that_has_them_weighs() -> None:
    prompt = OpenAIChat().prompt(json.dumps({"messages": HI}).encode())
    assert prompt is not None
    expected = estimates.of_prompt(prompt, "gpt-4o").weight
    found = count(HI, "gpt-4o")
    assert (found.tokens, found.error, found.without) == (
        expected.tokens,
        expected.error,
        expected.without,
    )
    assert found.tokens > count("Good morning!", "gpt-4o").tokens
    assert count({"model": "gpt-4o", "messages": HI}) == found


def test_what_stands_beside_messages_weighs_something() -> None:
    tool = {"name": "look", "input_schema": {"type": "object", "properties": {"at": {}}}}
    alone = int(count(HI, "gpt-4o"))
    for beside in ({"tools": [tool]}, {"system": "Be brief."}, {"schema": {"type": "object"}}):
        assert int(count(HI, "gpt-4o", **beside)) > alone


def test_the_model_that_is_named_comes_before_that_of_a_request() -> None:
    asked = {"model": "gpt-4o", "messages": HI}
    assert count(asked, "nobody-knows-it").is_guess


@pytest.mark.parametrize("model", [None, 7])
def test_a_model_must_be_named(model: Any) -> None:
    with pytest.raises(CannotCountError, match=r"needs the name of a model, .*; got (None|7)"):
        count("Hi", model)


def test_an_unknown_model_is_a_guess_that_says_so() -> None:
    found = count(HI, "nobody-knows-it")
    assert (found.is_guess, found.error > 0) == (True, True)
    assert str(found).endswith(", a guess")


def test_a_count_is_an_integer_where_one_is_asked_for_and_one_line_to_read() -> None:
    found = Count(model="gpt-5", tokens=1200, error=30, estimator="o200k_base", family="gpt-5")
    assert (int(found), [*range(1201)][found]) == (1200, 1200)
    assert str(found) == "1,200 ± 30 tokens (gpt-5, by o200k_base)"
    of = {"model": "m", "estimator": "tokenizer", "family": "unknown"}
    unsure = Count(tokens=7, error=0, is_guess=True, without=("image",), **of)
    assert str(unsure) == "7 tokens (unknown, by tokenizer), without image, a guess"


# Tokenizers of one's own


def letters(text: str, model: str | None) -> int:
    return len(text)


BROUGHT = {"brought-*": letters}


def test_a_tokenizer_that_is_given_counts() -> None:
    found = count("hello", "gpt-5", tokenizer=letters)
    assert (int(found), found.estimator) == (5, "tokenizer")


def test_a_tokenizer_that_fails_is_noted_and_the_built_in_way_counts() -> None:
    assert count("hello world", "gpt-5", tokenizer=lambda text, model: 1 // 0) == count(
        "hello world", "gpt-5"
    )
    assert tokenmeter.configure().guard.failures == {"the tokenizer for *": 1}


def test_what_is_no_tokenizer_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="is a function of a text and the name"):
        count("hello", "gpt-5", tokenizer=7)  # type: ignore[arg-type]


def test_a_tokenizer_that_a_package_brings_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("acme", f"{__name__}:BROUGHT", tokenizers.ENTRY_POINTS)
    monkeypatch.setattr(tokenizers, "_installed", lambda: (point,))
    assert int(count("hello", "brought-7b")) == 5


# The first count of a process, offline

FIRST = """
import tokenmeter
assert int(tokenmeter.count("hello world, 東京", {model!r})) == {expected}
"""

NO_NETWORK = """
import socket
def refuse(*arguments, **options):
    raise AssertionError("nothing here may touch the network")
for name in ("connect", "connect_ex", "sendto", "bind"):
    setattr(socket.socket, name, refuse)
socket.getaddrinfo = socket.create_connection = refuse
"""


def count_first(before: str, model: str, expected: int, **environment: str) -> None:
    """Count in a new process; how long that takes is measured by ``bench/counting.py``."""
    program = before + FIRST.format(model=model, expected=expected)
    run = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": ":".join(sys.path), "HOME": "/nonexistent", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr


@pytest.fixture
def silent_proxy() -> Iterator[tuple[str, list[Any]]]:
    """Accept connections and never answer."""
    met: list[Any] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            try:
                while True:
                    met.append(server.accept())
            except OSError:
                return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", met
        server.shutdown(socket.SHUT_RDWR)
        thread.join(20)
    for connection, _ in met:
        connection.close()


MODELS = [("gpt-4o", 4), ("gpt-4", 6), ("gpt-oss-120b", 4)]


@pytest.mark.parametrize(("model", "expected"), MODELS)
def test_the_first_count_is_right_when_all_network_is_refused(model: str, expected: int) -> None:
    count_first(NO_NETWORK, model, expected)


@pytest.mark.parametrize(("model", "expected"), MODELS)
def test_the_first_count_is_right_behind_a_proxy_that_never_answers(
    silent_proxy: tuple[str, list[Any]], model: str, expected: int
) -> None:
    url, met = silent_proxy
    names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    proxies = {n: url for name in names for n in (name, name.lower())}
    count_first("", model, expected, **proxies)
    assert met == []


def test_counting_nothing_loads_the_vocabulary_so_that_a_service_can_do_it_at_its_start() -> None:
    program = (
        "import tokenmeter; from tokenmeter.tokens import vocabularies; "
        "tokenmeter.count('', 'gpt-5'); assert list(vocabularies._encodings) == ['o200k_base']"
    )
    environment = {"PYTHONPATH": ":".join(sys.path)}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=60)


def test_naming_count_loads_no_vocabulary_and_no_tokenizer() -> None:
    program = "import sys, tokenmeter; tokenmeter.count; assert 'tiktoken' not in sys.modules"
    environment = {"PYTHONPATH": ":".join(sys.path)}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=60)


def test_every_family_has_a_vocabulary_that_is_shipped() -> None:
    counted = {vocabularies.shipped(f.vocabulary) for f in _families() if f.length is None}
    assert counted == set(vocabularies.SHIPPED)
