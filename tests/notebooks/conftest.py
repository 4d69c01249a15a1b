"""What tests of notebooks share: a server that answers, and a kernel whose calls are kept."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tokenmeter.testing import ModelServer

if TYPE_CHECKING:  # where the group is not installed the tests are skipped, each file by itself
    from notebooks.kernel import Kernel

FIRST = """
import asyncio, os, tokenmeter
os.chdir({folder!r})
%load_ext tokenmeter
from openai import AsyncOpenAI, OpenAI
tokenmeter.configure(exporters=["jsonl:usage.jsonl"], providers={{"127.0.0.1": "openai"}})
client = OpenAI(base_url="{url}", api_key="none", max_retries=0)
aclient = AsyncOpenAI(base_url="{url}", api_key="none", max_retries=0)
def asked(text): return {{"model": "gpt-4o", "messages": [{{"role": "user", "content": text}}]}}
def ask(text="good morning"): return client.chat.completions.create(**asked(text))
async def aask(text="good morning"): return await aclient.chat.completions.create(**asked(text))
"""


@pytest.fixture
def server() -> Iterator[ModelServer]:
    running = ModelServer()
    yield running
    with contextlib.suppress(ConnectionRefusedError):  # a test has closed it for its account
        running.close()


@pytest.fixture
def first(server: ModelServer, tmp_path: Path) -> str:
    """Give the first cell of a notebook: the extension, a ledger and clients of the server."""
    return FIRST.format(url=server.openai_url, folder=str(tmp_path))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """Give a kernel for all tests of a file, because the beginning of one takes seconds."""
    from notebooks.kernel import Kernel

    with Kernel(tmp_path_factory.mktemp("kernel")) as kernel:
        yield kernel


LAST = """
%unload_ext tokenmeter
tokenmeter.shutdown()
tokenmeter.meter._default = None
get_ipython().execution_count = 1
"""


@pytest.fixture
def kernel(running: Kernel, first: str) -> Iterator[Kernel]:
    """Give a kernel in which the first cell has run."""
    assert running.run(first).error is None
    yield running
    assert running.run(LAST).error is None
