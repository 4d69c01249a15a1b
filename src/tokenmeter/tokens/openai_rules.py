"""What OpenAI's models read and write: a conversation in a chat format, or bare texts."""

from __future__ import annotations

import msgspec

from tokenmeter.dialects.content import Answer, Prompt
from tokenmeter.tokens import functions
from tokenmeter.tokens.families import Family, Length, Weight
from tokenmeter.tokens.openai_answers import SHOWN, answers_of, may_hide, weighed, wrote
from tokenmeter.tokens.openai_eras import TODAY, Era, era_of
from tokenmeter.tokens.openai_formats import CHAT, RESPONSES, Format, share_of
from tokenmeter.tokens.openai_prompts import Reader


class Texts:
    """Count bare texts: completions, embeddings, what is spoken or heard."""

    def read(self, prompt: Prompt, family: Family, length: Length) -> Weight:  # noqa: ARG002
        """Weigh the texts and the tokens that are given."""
        tokens = sum(map(length, prompt.texts)) + prompt.ids
        return Weight(tokens=tokens, least=tokens, without=prompt.elsewhere)

    def wrote(self, answer: Answer, family: Family, length: Length) -> Weight:
        """Weigh what was written; nothing is around it."""
        return weighed(sum(map(length, answer.texts(*SHOWN))), answer, family, length)


class Turns:
    """Count the turns of a conversation in one of the chat formats."""

    def __init__(
        self, form: Format, chat: functions.Style, responses: functions.Style | None = None
    ) -> None:
        self._form = form
        self._styles = {RESPONSES: responses or chat}
        self._style = chat

    def read(self, prompt: Prompt, family: Family, length: Length) -> Weight:
        """Weigh what a request gives the model to read."""
        prompt = _as_sent(prompt, family)
        reader = Reader(self._form, prompt, family.model, length)
        told = reader.told()
        style = self._styles.get(prompt.form or "", self._style)
        tools = functions.weigh(prompt, style, length)
        unsure = share_of(tools + reader.drawn, family.input_error)
        return Weight(
            tokens=told + tools + self._era(prompt).more(prompt),
            error=unsure,
            least=told - reader.drawn,
            without=tuple(dict.fromkeys((*prompt.elsewhere, *reader.without))),
        )

    def wrote(self, answer: Answer, family: Family, length: Length) -> Weight:
        """Weigh what an answer holds."""
        asked = answer.asked or Prompt()
        sent = _as_sent(asked, family)
        form = self._era(sent).of(self._form)
        tokens = sum(wrote(parts, sent, form, length) for parts in answers_of(answer, asked))
        weight = weighed(tokens, answer, family, length)
        if family.reasons and may_hide(answer, asked):
            without = tuple(dict.fromkeys((*weight.without, "reasoning")))
            return msgspec.structs.replace(weight, without=without)
        return weight

    def _era(self, asked: Prompt) -> Era:
        return era_of(asked) if self._form is CHAT else TODAY


def _as_sent(prompt: Prompt, family: Family) -> Prompt:
    """Say how OpenAI is asked: by gateways, for models that reason, always for a response.

    Found in recorded traffic of two that put ``openai/`` before the name.
    """
    if family.reasons and family.model.startswith("openai/"):
        return msgspec.structs.replace(prompt, form=RESPONSES)
    return prompt
