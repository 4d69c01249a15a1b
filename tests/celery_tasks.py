"""The tasks of an application of Celery: what a worker and whoever sends them import.

The broker and the results are folders in ``HOME``; what is metered stands in ``LEDGER`` there,
which nothing but the end of a process writes.
"""

from __future__ import annotations

import os
import time
import uuid
from pathlib import Path
from typing import Any

import celery
from kombu.transport import TRANSPORT_ALIASES, filesystem
from kombu.utils.json import dumps

import tokenmeter
import tokenmeter.celery
from tokenmeter.attribution import current
from tokenmeter.exporters.background import Background
from tokenmeter.exporters.jsonl import Jsonl

HOME = Path(os.environ["HOME_OF_TASKS"])
LEDGER = HOME / "usage.jsonl"

for name in ("messages", "written", "taken", "control", "results"):
    (HOME / name).mkdir(exist_ok=True)


class Channel(filesystem.Channel):
    """Shows a message when it is whole: kombu's own may be read before it is written."""

    def _put(self, queue: str, payload: Any, **_options: Any) -> None:
        name = f"{time.monotonic_ns():020}_{uuid.uuid4()}.{queue}.msg"
        written = HOME / "written" / name
        written.write_text(dumps(payload))
        written.rename(HOME / "messages" / name)


class Transport(filesystem.Transport):
    """Folders that are a broker."""

    Channel = Channel


TRANSPORT_ALIASES["folders"] = f"{__name__}:Transport"

app = celery.Celery("celery_tasks", broker="folders://", backend=f"file://{HOME / 'results'}")
app.conf.update(
    broker_transport_options={
        "data_folder_in": str(HOME / "messages"),
        "data_folder_out": str(HOME / "messages"),
        "control_folder": str(HOME / "control"),
        "processed_folder": str(HOME / "taken"),
        "store_processed": True,
        "polling_interval": 0.05,
    },
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
)

tokenmeter.configure(exporters=[Background(Jsonl(LEDGER), interval_s=600)])
if "AGENTS" in os.environ:
    tokenmeter.celery.follow(agents=os.environ["AGENTS"] == "1")


@tokenmeter.metered(model="local")
def think(_question: str) -> dict[str, int]:
    return {"input_tokens": 1, "output_tokens": 1}


@app.task
def ask(question: str, *_before: Any) -> str:
    """Ask a real client of a real server."""
    import openai  # which the worker has imported, and who sends tasks need not

    with openai.OpenAI(base_url=os.environ["MODEL"], api_key="k", max_retries=0) as client:
        tokenmeter.wrap(client).responses.create(model=question, input="hello")
    return str(current().task)


@app.task
def joined(*_before: Any) -> str:
    think("all of it?")
    return str(current().task)


@app.task(bind=True, max_retries=2, default_retry_delay=0)
def stubborn(self: Any) -> int:
    think("again?")
    if self.request.retries < 2:
        raise self.retry(exc=ValueError("not yet"))
    return int(self.request.retries)


@app.task
def fails() -> None:
    think("how?")
    raise KeyError("not said")


@app.task
def leads() -> str:
    """Send a task of its own, and leave a block open."""
    tokenmeter.attribute(user="left open").__enter__()
    return str(ask.delay("led").id)


@app.task
def whose() -> tuple[str | None, str | None]:
    return current().user, current().task


@app.task(bind=True)
def headers(self: Any, *_before: Any) -> list[str]:
    """Say which headers came with the message."""
    return sorted(self.request.headers or ())
