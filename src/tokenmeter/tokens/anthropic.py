"""TODO anthropic."""

from __future__ import annotations

from tokenmeter.tokens.families import Family

FAMILIES: tuple[Family, ...] = ()
