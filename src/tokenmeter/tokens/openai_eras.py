"""What OpenAI once counted otherwise than today, and until when.

No source says any of this: it is empirical, found in the recordings of the repositories that were
fitted on, of GPT-3.5, GPT-4o, GPT-4.1 and GPT-4.5. A time begins and ends in the middle between the
last recording without and the first with it, unless something else is said.

- Responses had 18 tokens more to read, and 194 more than that with tools, on 2025-03-27 (one
  request without tools; three with, and no system message; a fourth, with several calls, had 178),
  and none on 2025-04-07. They are as old as the API, of 2025-03-11.
- The end of an answer was counted always in chat completions from 2025-01-22 to 2025-05-14 (24 of 26
  recorded answers; none in 2024-12-16 and before, nor in 2025-06-09 and after).
"""

from __future__ import annotations

from datetime import date

import msgspec

from tokenmeter.dialects.content import Prompt
from tokenmeter.tokens.openai_formats import RESPONSES, Format


class Era(msgspec.Struct, frozen=True, kw_only=True):
    """A time in which something was counted otherwise.

    Args:
        form: The form of prompts that it is about.
        since: Its first day.
        until: The first day after it.
        told: Tokens more before all messages.
        tools: Tokens more where there are functions.
        ends: Whether the end of an answer was always counted.
    """

    form: str | None = None
    since: date = date.max
    until: date = date.max
    told: int = 0
    tools: int = 0
    ends: bool = False

    def has(self, asked: Prompt) -> bool:
        """Say whether a prompt is of this time."""
        return asked.on is not None and asked.form == self.form and self._is_in(asked.on)

    def _is_in(self, day: date) -> bool:
        return self.since <= day < self.until

    def more(self, asked: Prompt) -> int:
        """Give the tokens that a prompt had beside those of today."""
        return self.told + self.tools * any(tool.kind == "function" for tool in asked.tools)

    def of(self, form: Format) -> Format:
        """Give a format as it was then."""
        if not self.ends:
            return form
        return msgspec.structs.replace(form, ended=1, ended_text=0, refused=0)


TODAY = Era()

ERAS = (
    Era(form=RESPONSES, since=date(2025, 3, 11), until=date(2025, 4, 2), told=18, tools=194),
    Era(since=date(2025, 1, 4), until=date(2025, 5, 28), ends=True),
)


def era_of(asked: Prompt) -> Era:
    """Find the time that a prompt is of."""
    return next((era for era in ERAS if era.has(asked)), TODAY)
