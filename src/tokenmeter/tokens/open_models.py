"""What open models read and write beside the text itself, wherever they are served.

Vocabularies: Llama 3's holds the 100k tokens of cl100k_base and 28k more for other languages, and
Qwen's is cl100k_base with one token for each digit and more Chinese. So text in Latin script counts
alike: 97 to 99 % of 1,039 texts of the repositories that were fitted on are exact for either, against
the vocabularies themselves. In other scripts they have fewer tokens, 0.6 in nine languages. Of the
others less is known; what has no source here is empirical.

Templates are those published with the models: headers of Llama 3 and 4, ChatML of Qwen.
"""

from __future__ import annotations

import functools

import msgspec

from tokenmeter.tokens.families import Family
from tokenmeter.tokens.plain import Plain, tool_json

_HEADERS = Plain(opening=1, message=5, answer=4, ending=1, sure=False)
"""``<|begin_of_text|>``, and ``<|start_header_id|>user<|end_header_id|>``, two newlines, the text and
``<|eot_id|>`` for each message: Llama 3's template."""

_DATED = msgspec.structs.replace(
    _HEADERS,
    preamble=5,
    opening=21,
    tools=60,
    tool=1,
    written=functools.partial(tool_json, indent=4),
)
"""The template since Llama 3.1 always has a system message, with two dates; it explains tools."""

_CHATML = Plain(
    message=5, answer=3, tools=100, tool=1, written=tool_json, recalls=False, ending=1, sure=False
)

_DEEPSEEK = Plain(
    opening=1,
    message=1,
    roles={"system": 0},
    answer=1,
    recalls=False,
    ending=1,
    sure=False,
)


def _family(name: str, models: str, rules: Plain, error: float = 0.1, **more: object) -> Family:
    known = {"vocabulary": "cl100k_base", "foreign": 0.6, "output_worst": 0.05} | more
    return Family(
        name=name,
        models=models,
        rules=rules,
        input_error=error,
        output_error=error,
        **known,  # type: ignore[arg-type]
    )


FAMILIES: tuple[Family, ...] = (
    _family("deepseek distilled", r"deepseek-r1-distill-llama", _DEEPSEEK),
    _family("deepseek distilled qwen", r"deepseek-r1-distill-qwen", _DEEPSEEK, digits=1),
    _family("llama 4", r"llama-?4", msgspec.structs.replace(_HEADERS, tools=580), error=0.3),
    _family("llama 3.1", r"llama-?v?3[.p-][1-3]\b|nemotron-70b|hermes-[34]", _DATED),
    _family("llama 3", r"llama-?(v?3)", _HEADERS),
    _family("llama 2", r"llama|vicuna|tulu", Plain(opening=1), factor=1.14, digits=1, foreign=0.95),
    _family("qwen 2", r"qwen-?[12]", msgspec.structs.replace(_CHATML, preamble=21), digits=1),
    _family("qwen", r"qwen|qwq|qvq", _CHATML, digits=1),
    _family("deepseek", r"deepseek", _DEEPSEEK),
    _family("glm", r"\bglm\b|chatglm", Plain(opening=2, message=2, answer=1, sure=False)),
    _family("kimi", r"\bkimi|moonshot", Plain(message=4, answer=3, sure=False)),
    _family("minimax", r"minimax", Plain(sure=False), error=0.3),
    _family("gemma", r"gemma", Plain(opening=1, message=5, answer=3), error=0.3),
    _family("phi", r"\bphi-?\d", Plain(message=3, answer=1), error=0.3),
    _family("granite", r"\bgranite", Plain(), error=0.3),
)
