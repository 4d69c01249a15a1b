"""What type checkers see of experiments and progress; checked, never run."""

from collections.abc import AsyncIterator
from typing import assert_type

import tokenmeter
from tokenmeter.notebook.comparing import Comparison
from tokenmeter.notebook.experiment import Run
from tokenmeter.notebook.experiments import Experiments

for number in tokenmeter.progress([1, 2], label="asking"):
    assert_type(number, int)


async def reads(rows: AsyncIterator[str]) -> None:
    async for row in tokenmeter.progress(rows, total=3):
        assert_type(row, str)


with tokenmeter.progress(total=100) as bar:
    bar.advance(2)

with tokenmeter.experiment("prompt-v1", {"temperature": 0.2}) as run:
    assert_type(run, Run)
    assert_type(run.score(accuracy=0.9), Run)

assert_type(tokenmeter.experiments(), Experiments)
assert_type(tokenmeter.experiments().compare("a", "b", by="name"), Comparison)
