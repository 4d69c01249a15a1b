"""How large an image in a request is, and what it weighs by the formulas of vendors.

Only what stands in the request is looked at, and of it only the first bytes, where the size is.
An image that a request only names (a URL, a file) has no size here: what it weighs is unknown.

Sources, read 2026-11-23; a number is empirical where this says so.

- OpenAI: the vendor's guide (https://platform.openai.com/docs/guides/images-vision) as two packages
  have it, openai-vision-cost 1.0.0 and openai-image-token-counter 1.0.0. What is charged for GPT-5
  mini and nano are 1.2 and 1.5 tokens for a patch and not what stands there, for GPT-5.2 and later
  1.2 (https://community.openai.com/t/1377015,
  https://github.com/vybestack/llxprt-code/issues/3477; recordings agree for GPT-5 mini). For
  GPT-5.4 mini and nano the first of these reports two limits, 1,536 patches and 2,500.
- Claude: https://docs.anthropic.com/en/docs/vision says the limit of 1,568 pixels and about 1,600
  tokens; patches of 28 pixels are seen in the data set below, the limits of the newer models in
  https://github.com/vercel-labs/agent-browser/discussions/2318.
- Gemini: tiles by https://github.com/BerriAI/litellm/issues/3269, after Google's guide; budgets by
  https://ai.google.dev/gemini-api/docs/media-resolution (not its table). That 2.0 reads the
  whole image beside its tiles, and that 1.5 and 2.5 read every image as one, is empirical. That 3
  lays a grid into its budget is seen in
  https://huggingface.co/datasets/JOHNISKING/image-token-cost, as is that GPT-6 reads large images.
- Mistral: mistral-common 1.13 (``tokens/tokenizers/image.py``, and Pixtral's sizes in its data;
  those of the newer models, 28 and 1,540, are general knowledge).
- Llama 4: https://github.com/huggingface/transformers (``models/llama4/processing_llama4.py``; the
  choice of tiles is general knowledge); Llama 3.2:
  https://docs.together.ai/docs/vision-overview.
- Qwen: ``smart_resize`` of qwen-vl-utils 0.0.14.
- Grok: https://github.com/xn1cklas/tokenlens/issues/7, after the vendor's guide of 2025.
"""

from __future__ import annotations

import base64
import math
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import NamedTuple

from tokenmeter.dialects.content import Image

Size = tuple[int, int]
"""Width and height, in pixels."""

LOOKED_AT = (1 << 12, 1 << 20)
"""Bytes in which a size is looked for: a photograph may have a megabyte of its own notes first."""


def dimensions(image: Image) -> Size | None:
    """Read the width and the height of an image; ``None`` where its bytes are not in the request.

    Example:
        >>> dimensions(Image("data:image/gif;base64,R0lGODlhCgAUAAAAACw="))
        (10, 20)
    """
    return next((size for size in map(_size, _beginnings(image.source)) if size), None)


def _beginnings(source: str) -> Iterator[bytes]:
    head = source[:200].partition(",")[0]
    start = len(head) + 1 if head.startswith("data:") else 0
    if start == 0 and "://" in head:
        return
    for looked_at in LOOKED_AT:
        text = re.sub(r"\s", "", source[start : start + looked_at * 4 // 3])
        if not re.fullmatch(r"[\w+/-]+=*", text, re.ASCII):
            return
        text = text.rstrip("=").replace("-", "+").replace("_", "/")
        yield base64.b64decode(text[: len(text) // 4 * 4] or "")


def _size(data: bytes) -> Size | None:
    found = next((size(data) for begins, size in _FORMATS if data.startswith(begins)), None)
    return found if found and all(found) else None


def _png(data: bytes) -> Size:
    return _big(data[16:20]), _big(data[20:24])


def _gif(data: bytes) -> Size:
    return _little(data[6:8]), _little(data[8:10])


def _webp(data: bytes) -> Size | None:
    match data[12:16]:
        case b"VP8 ":
            return _little(data[26:28]) & 0x3FFF, _little(data[28:30]) & 0x3FFF
        case b"VP8L":
            packed = _little(data[21:25])
            return (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
        case b"VP8X":
            return _little(data[24:27]) + 1, _little(data[27:30]) + 1
        case _:
            return None


def _jpeg(data: bytes) -> Size | None:
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], _big(data[at + 2 : at + 4])
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return _big(data[at + 7 : at + 9]), _big(data[at + 5 : at + 7])
        at += 1 if marker == 0xFF else 2 + length
    return None


def _big(data: bytes) -> int:
    return int.from_bytes(data, "big")


def _little(data: bytes) -> int:
    return int.from_bytes(data, "little")


_FORMATS: tuple[tuple[bytes, Callable[[bytes], Size | None]], ...] = (
    (b"\x89PNG\r\n\x1a\n", _png),
    (b"\xff\xd8", _jpeg),
    (b"GIF8", _gif),
    (b"RIFF", _webp),
)


def openai(size: Size, detail: str | None, model: str) -> int:
    """Count the tokens of an image for a model of OpenAI."""
    reader = next((reader for name, reader in _OPENAI if re.search(name, model.lower())), _GPT_4O)
    return reader.weigh(size, detail)


class _Tiles(NamedTuple):
    """Tiles of 512 pixels, and a base price for the whole image, which is all of a low detail."""

    base: int
    tile: int

    def weigh(self, size: Size, detail: str | None) -> int:
        if detail == "low":
            return self.base
        scale = min(1.0, 2048 / max(size))
        scale *= min(1.0, 768 / (min(size) * scale))
        return self.base + self.tile * math.prod(_parts(size, scale, 512))


class _Patches(NamedTuple):
    """Patches of 32 pixels, no more than so many: of each detail, where that makes a difference.

    Beside them is one token, in all recordings.
    """

    times: float
    auto: int = 1536
    high: int = 1536
    low: int = 1536

    def weigh(self, size: Size, detail: str | None) -> int:
        most = {"low": self.low, "high": self.high}.get(detail or "auto", self.auto)
        scale = min(1.0, math.sqrt(32 * 32 * most / math.prod(size)))
        if scale < 1:
            patches = [side * scale / 32 for side in size]
            scale *= min(max(1, math.floor(side)) / side for side in patches)
        return 1 + math.ceil(self.times * min(most, math.prod(_parts(size, scale, 32))))


def _parts(size: Size, scale: float, part: int) -> tuple[int, int]:
    """Count the parts in a row and in a column; what is nearly a whole part is one."""
    across, down = (max(1, math.ceil(round(side * scale / part, 6))) for side in size)
    return across, down


_GPT_4O = _Tiles(85, 170)

_OPENAI: tuple[tuple[str, _Tiles | _Patches], ...] = (
    (r"gpt-4o-mini", _Tiles(2833, 5667)),
    (r"gpt-4\.1-mini", _Patches(1.62)),
    (r"gpt-4\.1-nano", _Patches(2.46)),
    (r"o4-mini|codex-mini", _Patches(1.72)),
    (r"o[13](-|$)", _Tiles(75, 150)),
    (r"computer-use", _Tiles(65, 129)),
    (r"gpt-5(\.4)?-mini|gpt-5\.4-nano", _Patches(1.2)),
    (r"gpt-5-nano", _Patches(1.5)),
    (r"gpt-5(\.1)?(-|$)", _Tiles(70, 140)),
    (r"gpt-5\.[23]", _Patches(1.2)),
    (r"gpt-5\.4", _Patches(1.2, auto=2500, high=2500, low=256)),
    (r"gpt-5\.\d", _Patches(1.2, auto=10_000, high=2500, low=256)),
    (r"gpt-[6-9]", _Patches(1.2, auto=36_000, high=2500, low=256)),
)
"""The models and how they read; the first that is found in a name, GPT-4o's way where none is."""


def claude(size: Size, model: str) -> int:
    """Count the tokens of an image for a model of Anthropic: patches of 28 pixels.

    An image is made smaller until its longer side and its patches are no more than the model reads.
    """
    edge, most = (2576, 4784) if _CLOSE.search(model.lower()) else (1568, 1568)

    def weigh(longest: int) -> int:
        return math.prod(_parts(size, longest / max(size), 28))

    longest = min(max(size), edge)
    return weigh(max(1, bisect_right(range(1, longest + 1), most, key=weigh)))


_CLOSE = re.compile(r"opus-4[.-][7-9]|(opus|sonnet|haiku)-[5-9]|fable|mythos")
"""The models of Anthropic that look closely: Opus from 4.7, all from 5."""


def gemini(size: Size, detail: str | None, model: str) -> int:
    """Count the tokens of an image for a model of Google; detail is its media resolution."""
    model, detail = model.lower(), (detail or "high").lower()
    if re.search(r"gemini-(1|2\.5)", model):
        return 64 if detail.endswith("low") else 258
    if "gemini-2" in model:
        return 258 * _gemini_tiles(size)
    budget = next((n for word, n in _BUDGETS.items() if detail.endswith(word)), 1120)
    width, height = size
    across, down = math.isqrt(budget * width // height), math.isqrt(budget * height // width)
    return max(1, across) * max(1, down)


_BUDGETS = {"low": 280, "medium": 560, "ultra_high": 2240}


def _gemini_tiles(size: Size) -> int:
    if max(size) <= 384:
        return 1
    tile = min(768, max(256, int(min(size) / 1.5)))
    return 1 + math.prod(_parts(size, 1.0, tile))


def mistral(size: Size, model: str) -> int:
    """Count the tokens of an image for a model of Mistral: patches, and one for each row's end."""
    patch, edge = (16, 1024) if "pixtral" in model.lower() else (28, 1540)
    scale = min(1.0, edge / max(size))
    width, height = (max(1, round(side * scale)) for side in size)
    return math.ceil(height / patch) * (math.ceil(width / patch) + 1)


def llama_4(size: Size) -> int:
    """Count the tokens of an image for Llama 4: tiles of 336 pixels, and the whole image."""
    across, down = min(_CANVASES, key=lambda canvas: _misfit(size, canvas))
    tiles = across * down
    return (tiles * 145 if tiles > 1 else 0) + 144 + 3


_CANVASES: list[Size] = [
    (across, down) for across in range(1, 17) for down in range(1, 16 // across + 1)
]


def _misfit(size: Size, canvas: Size) -> tuple[bool, float, int]:
    """Say how badly an image fits: one that must be made smaller worse than one made larger."""
    scale = min(336 * tiles / side for tiles, side in zip(canvas, size, strict=True))
    return scale < 1, abs(scale - 1), math.prod(canvas)


def llama_3_2(size: Size) -> int:
    """Count the tokens of an image for Llama 3.2 as Together bills it: up to four of 560 pixels."""
    return 1601 * math.prod(min(2, max(1, side // 560)) for side in size)


def qwen(size: Size, model: str) -> int:
    """Count the tokens of an image for Qwen-VL: patches of 28 pixels, since Qwen 3 of 32."""
    patch = 32 if re.search(r"qwen-?3|qwen[4-9]", model.lower()) else 28
    most, least = 16384 * patch * patch, 4 * patch * patch
    width, height = (max(patch, round(side / patch) * patch) for side in size)
    if not least <= width * height <= most:
        bound, turn = (most, math.floor) if width * height > most else (least, math.ceil)
        scale = math.sqrt(bound / math.prod(size))
        width, height = (max(patch, turn(side * scale / patch) * patch) for side in size)
    return width * height // (patch * patch) + 2


def grok(size: Size) -> int:
    """Count the tokens of an image for Grok: up to six tiles of 448 pixels, and the whole image."""
    return 256 * (1 + min(6, math.prod(_parts(size, 1.0, 448))))
