"""Checked by type checkers, never run: settings are keyword arguments with types of their own."""

from __future__ import annotations

from typing import assert_type

import tokenmeter
from tokenmeter import Meter, UsageEvent


def count(text: str, model: str | None) -> int:
    return len(text)


def export(event: UsageEvent) -> None: ...


def checks() -> None:
    meter = tokenmeter.configure(
        exporters=["jsonl:u.jsonl", {"name": "jsonl", "path": "u.jsonl"}, export],
        providers={"llm.corp": "openai"},
        dialects=[],
        estimates=False,
        tokenizers={"m*": count},
        exact_streams=True,
    )
    assert_type(meter, Meter)
    assert_type(meter.configure(estimates=None), Meter)
    assert_type(Meter([export], exact_streams=True, timer_s=lambda: 0.0), Meter)


def mistakes() -> None:
    tokenmeter.configure(estimate=False)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    Meter(estimates="no")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    Meter().configure(exporters=[7])  # type: ignore[list-item] # pyright: ignore[reportArgumentType]
