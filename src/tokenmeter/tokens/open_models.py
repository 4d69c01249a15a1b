"""What open models read and write beside the text itself, wherever they are served.

Vocabularies: Llama 3's holds the 100k tokens of cl100k_base and 28k more for other languages, and
Qwen's is cl100k_base with one token for each digit and more Chinese. So text in Latin script counts
alike: against the vocabularies themselves, 97 to 99 % of 1,039 texts of the repositories that were
fitted on are exact for either. In six other scripts they have 0.6 tokens for one. Of the others
less is known; what has no source here is empirical.

Templates are those published with the models, from general knowledge: headers of Llama 3, ChatML of
Qwen. That of Llama 4 stands in ``processing_llama4.py`` of transformers (read 2026-11-23).
"""

from __future__ import annotations

import functools

from msgspec.structs import replace

from tokenmeter.tokens import images
from tokenmeter.tokens.families import Family
from tokenmeter.tokens.plain import TOLD, Plain, tool_json

_HEADERS = Plain(opening=1, message=5, answer=4, ending=1, sure=TOLD)
"""``<|begin_of_text|>``, and for each message ``<|start_header_id|>user<|end_header_id|>``, two
newlines, the text and ``<|eot_id|>``: Llama 3's template."""

_DATED = replace(
    _HEADERS,
    preamble=5,
    answer=24,
    tools=56,
    tool=1,
    written=functools.partial(tool_json, indent=4),
    called=6,
    image=images.llama_3_2,
)
"""The template since Llama 3.1 always has a system message, with two dates; it explains tools."""

_LLAMA_4 = replace(_HEADERS, tools=646, tool=14, written=tool_json, called=21, image=images.llama_4)
"""Servers of Llama 4 explain tools in many words, about 640; these are empirical."""

_LLAMA_4_ON_BEDROCK = replace(_LLAMA_4, tools=76, called=15)

_CHATML = Plain(
    message=5,
    tools=85,
    tool=1,
    written=tool_json,
    recalls=False,
    ending=1,
    called=10,
    thought=3,
    image=functools.partial(images.qwen, model="qwen3"),
    sure=TOLD,
)

_QWEN_2 = replace(_CHATML, preamble=21, image=functools.partial(images.qwen, model="qwen2"))

_DEEPSEEK = Plain(
    opening=1,
    message=1,
    roles={"system": 0},
    answer=1,
    tools=90,
    written=tool_json,
    recalls=False,
    ending=1,
    called=5,
    sure=TOLD,
)
"""One token for each speaker; since V3.1 five around a call, and 17 in R1, which writes more."""

_R1 = replace(_DEEPSEEK, called=17)

_DEEPSEEK_4 = replace(_DEEPSEEK, opening=81, tools=236, called=36, recalls=True)

_GLM = Plain(
    opening=2,
    message=2,
    answer=1,
    tools=100,
    written=tool_json,
    ending=1,
    called=10,
    thought=1,
    sure=TOLD,
)

_KIMI = Plain(tools=4, tool=8, call=12, ending=1, called=4, sure=TOLD)

_GEMMA = Plain(opening=1, message=5, ending=1, sure=TOLD)
"""``<bos>``, and ``<start_of_turn>user``, a newline, the text, ``<end_of_turn>`` and a newline."""


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
    _family("deepseek distilled", r"deepseek-r1-distill-llama", _R1),
    _family("deepseek distilled qwen", r"deepseek-r1-distill-qwen", _R1, digits=1),
    _family(
        "llama 4 on Bedrock", r"meta\.llama4", replace(_LLAMA_4, tools=90, called=15), error=0.2
    ),
    _family("llama 4", r"llama-(guard-)?v?4|llama4", _LLAMA_4, error=0.2),
    _family("llama 3.1", r"llama-?v?3[.p-][1-3]\b|nemotron-70b|hermes-[34]", _DATED),
    _family("llama 3", r"llama-?v?3(?!\d)", _HEADERS),
    _family("llama 2", r"llama|vicuna|tulu", Plain(opening=1), factor=1.14, digits=1, foreign=1.0),
    _family("qwen 2", r"qwen-?[12]", _QWEN_2, digits=1),
    _family("qwen", r"qwen|qwq|qvq", _CHATML, digits=1),
    _family("deepseek 4", r"deepseek-(v4|flash|pro)", _DEEPSEEK_4, error=0.3),
    _family("deepseek reasoner", r"deepseek-reasoner|r1-0528", replace(_R1, answer=3)),
    _family("deepseek r1", r"deepseek\S*\br1\b", _R1),
    _family("deepseek", r"deepseek", _DEEPSEEK),
    _family("glm 5", r"\bglm-5", replace(_GLM, opening=9)),
    _family("glm", r"\bglm\b|chatglm", _GLM),
    _family("kimi", r"\bkimi|moonshot", _KIMI),
    _family("minimax", r"minimax", Plain(preamble=22, sure=TOLD), error=0.3),
    _family("gemma", r"gemma", _GEMMA, error=0.2, digits=1),
    _family("phi", r"\bphi-?\d", Plain(message=3, answer=1), error=0.3),
    _family("granite", r"\bgranite", Plain(), error=0.3),
)
