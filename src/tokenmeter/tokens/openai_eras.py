"""What OpenAI once counted otherwise than today, and until when.

No source says any of this: it is empirical, found in the recordings of the repositories that were
fitted on, of GPT-3.5, GPT-4o, GPT-4.1 and GPT-4.5. A day is in the middle between the last
recording that is one way and the first that is the other.

- In its first weeks a response had 18 tokens more to read, and with functions another 194. So had,
  on 2025-03-27, one recorded request without functions and three with (a fourth, with several
  calls, had 16 fewer); none has on 2025-04-01 and later.
- An answer had one token more in chat completions, supposedly its end, from 2025-01-22 to
  2025-05-14: 22 of OpenAI's 26 that were recorded (of the others two were about sound or a search,
  one had tools and a format, one 14 more), all of them plain; of streams nothing is known there.
  None has until 2024-12-16, and none since 2025-06-09.
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
        since: Its first day, where it is not the first of all.
        until: The first day after it.
        told: Tokens more before all messages.
        tools: Tokens more where there are functions.
        written: Tokens more in an answer.
    """

    form: str | None = None
    since: date = date.min
    until: date
    told: int = 0
    tools: int = 0
    written: int = 0

    def has(self, asked: Prompt) -> bool:
        """Say whether a prompt is of this time."""
        return (
            asked.on is not None and asked.form == self.form and self.since <= asked.on < self.until
        )

    def more(self, asked: Prompt) -> int:
        """Give the tokens that a prompt had beside those of today."""
        return self.told + self.tools * any(tool.kind == "function" for tool in asked.tools)

    def of(self, form: Format) -> Format:
        """Give a format as it was then."""
        return msgspec.structs.replace(form, ended=form.ended + self.written)


TODAY = Era(until=date.min)

ERAS = (
    Era(form=RESPONSES, until=date(2025, 3, 30), told=18, tools=194),
    Era(since=date(2025, 1, 4), until=date(2025, 5, 28), written=1),
)


def era_of(asked: Prompt) -> Era:
    """Find the time that a prompt is of."""
    return next((era for era in ERAS if era.has(asked)), TODAY)
