"""Signals as a terminal gives them."""

from __future__ import annotations

import signal


def heed_ctrl_c() -> None:
    """Let a child end by Ctrl-C, which it would ignore where the tests run in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
