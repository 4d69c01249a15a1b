import base64
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenmeter.dialects.content import Image
from tokenmeter.tokens import images
from tokenmeter.tokens.images import Size, dimensions

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 300, 200)
GIF = b"GIF89a" + struct.pack("<HH", 300, 200) + b"\0\0\0"
NOTES = b"\xff\xe1" + struct.pack(">H", 60_000) + b"\0" * 59_998
FRAME = b"\xff\xff\xc2" + struct.pack(">HBHH", 17, 8, 200, 300) + b"\3"
JPEG = b"\xff\xd8\xff\xe0\0\x04ab" + FRAME
LOSSY = b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 300, 200)
LOSSLESS = b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f" + struct.pack("<I", 299 | 199 << 14)
EXTENDED = b"RIFF\0\0\0\0WEBPVP8X\0\0\0\0\0\0\0\0\x2b\x01\0\xc7\0\0"


@pytest.mark.parametrize("data", [PNG, GIF, JPEG, LOSSY, LOSSLESS, EXTENDED])
def test_the_size_is_read_from_the_first_bytes(data: bytes):
    encoded = base64.b64encode(data + b"\0" * 9).decode()
    assert dimensions(Image(f"data:image/any;base64,{encoded}")) == (300, 200)
    assert dimensions(Image(encoded)) == (300, 200)
    assert dimensions(Image(base64.urlsafe_b64encode(data + b"\xff" * 9).decode())) == (300, 200)


def test_the_size_is_found_behind_long_notes():
    data = b"\xff\xd8" + NOTES * 3 + FRAME
    assert dimensions(Image(base64.b64encode(data).decode())) == (300, 200)


def test_lines_in_base64_do_not_matter():
    assert dimensions(Image(base64.encodebytes(PNG * 9).decode())) == (300, 200)


@pytest.mark.parametrize(
    "source",
    [
        "",
        "https://example.com/a.png",
        "gs://bucket/a.png",
        "file-abc123",
        "data:image/svg+xml,%3Csvg%3E",
        "data:image/png;base64,",
        "not base64 at all!",
        base64.b64encode(PNG[:15]).decode(),
        base64.b64encode(JPEG[:9]).decode(),
        base64.b64encode(LOSSY.replace(b"VP8 ", b"ANIM")).decode(),
        base64.b64encode(GIF[:6] + b"\0" * 9).decode(),
    ],
)
def test_what_has_no_size_here_has_none(source: str):
    assert dimensions(Image(source)) is None


@given(st.binary(max_size=60), st.sampled_from([PNG, GIF, JPEG, LOSSY, LOSSLESS, EXTENDED]))
def test_no_bytes_raise(noise: bytes, begins: bytes):
    for data in (noise, begins[: len(noise)] + noise):
        size = dimensions(Image(base64.b64encode(data).decode()))
        assert size is None or min(size) > 0


@given(st.text())
def test_no_source_raises(source: str):
    dimensions(Image(source))
    dimensions(Image(f"data:image/png;base64,{source}"))


@pytest.mark.parametrize(
    ("size", "detail", "model", "tokens"),
    [
        ((1024, 1024), None, "gpt-4o", 765),  # an example of the documentation
        ((2048, 4096), "high", "gpt-4o-2024-08-06", 1105),
        ((4096, 8192), "low", "gpt-4.1", 85),
        ((1024, 1024), None, "gpt-4.1-mini", 1660),
        ((1800, 2400), "auto", "o4-mini", 2499),
        ((128, 64), "high", "gpt-4o-mini", 8500),
        ((1024, 1024), "high", "o3", 675),
        ((1024, 1024), "high", "gpt-5", 630),
        ((1024, 1024), "low", "computer-use-preview", 65),
        ((1024, 1024), "low", "gpt-5-mini", 1230),
        ((1024, 1024), None, "gpt-5.2", 1230),
        ((4032, 3024), None, "gpt-5.4", 2943),
        ((4032, 3024), None, "gpt-5.5", 11869),
        ((4032, 3024), "low", "gpt-5.5", 282),
        ((2560, 1440), "high", "gpt-6", 2932),
        ((4032, 3024), None, "gpt-6", 14365),
    ],
)
def test_openai_reads_tiles_or_patches(size: Size, detail: str | None, model: str, tokens: int):
    assert images.openai(size, detail, model) == tokens


@pytest.mark.parametrize(
    ("size", "model", "tokens"),
    [
        ((1568, 728), "claude-sonnet-4-5", 1456),
        ((1928, 1928), "claude-sonnet-4-5", 1521),
        ((1928, 1928), "claude-opus-4.8", 4761),
        ((1928, 1928), "anthropic.claude-opus-4-7-v1:0", 4761),
        ((3840, 2160), "claude-3-opus", 1560),
        ((9000, 1), "claude-3-opus", 56),
    ],
)
def test_claude_reads_patches_of_what_fits(size: Size, model: str, tokens: int):
    assert images.claude(size, model) == tokens


@pytest.mark.parametrize(
    ("size", "detail", "model", "tokens"),
    [
        ((4000, 3000), None, "gemini-1.5-flash", 258),
        ((384, 300), None, "gemini-2.0-flash", 258),
        ((540, 360), None, "models/gemini-2.0-flash", 1806),
        ((4000, 3000), None, "gemini-2.5-pro", 258),
        ((4000, 3000), "MEDIA_RESOLUTION_LOW", "gemini-2.5-pro", 64),
        ((1920, 1080), None, "gemini-3-pro-preview", 1100),
        ((4032, 3024), "MEDIA_RESOLUTION_UNSPECIFIED", "gemini-3-pro-preview", 1064),
        ((1000, 1000), "media_resolution_medium", "gemini-3-pro-preview", 529),
        ((1000, 1000), "media_resolution_ultra_high", "gemini-3-pro-preview", 2209),
    ],
)
def test_gemini_reads_tiles_or_fills_a_budget(
    size: Size, detail: str | None, model: str, tokens: int
):
    assert images.gemini(size, detail, model) == tokens


def test_mistral_reads_patches_and_ends_of_rows():
    assert images.mistral((597, 566), "pixtral-12b-latest") == 36 * (38 + 1)
    assert images.mistral((597, 566), "mistral-medium-latest") == 21 * (22 + 1)
    assert images.mistral((3080, 1540), "mistral-medium-latest") == 28 * (55 + 1)


def test_llama_4_reads_tiles_that_fit_best_and_the_whole():
    assert images.llama_4((300, 300)) == 147
    assert images.llama_4((400, 301)) == 2 * 145 + 147
    assert images.llama_4((540, 360)) == 4 * 145 + 147


def test_llama_3_2_is_billed_by_quarters():
    assert [images.llama_3_2(size) for size in ((400, 400), (1200, 600), (2000, 2000))] == [
        1601,
        3202,
        6404,
    ]


def test_qwen_reads_patches_between_two_marks():
    assert images.qwen((597, 566), "Qwen/Qwen2.5-VL-72B-Instruct") == 21 * 20 + 2
    assert images.qwen((597, 566), "qwen/qwen3-vl-8b-instruct") == 19 * 18 + 2
    assert images.qwen((9, 9), "qwen2-vl") == 4 + 2
    assert images.qwen((9000, 9000), "qwen2-vl") == 128 * 128 + 2


def test_grok_reads_tiles_and_the_whole():
    assert [images.grok(size) for size in ((448, 448), (900, 448), (4000, 4000))] == [
        512,
        1024,
        1792,
    ]


sizes = st.tuples(st.integers(1, 20_000), st.integers(1, 20_000))


@given(sizes)
def test_every_image_weighs_something(size: Size):
    for model in ("gpt-4o", "gpt-4.1-nano", "gpt-5-mini", "gpt-5.5", "another"):
        assert images.openai(size, None, model) > 0
    for model in ("gemini-1.5-pro", "gemini-2.0-flash", "gemini-3-pro"):
        assert images.gemini(size, None, model) > 0
    assert images.llama_4(size) > 0
    assert images.grok(size) > 0
    assert images.mistral(size, "pixtral") > 0
    assert images.qwen(size, "qwen3-vl") > 0


@given(sizes)
def test_no_image_weighs_more_than_a_model_reads(size: Size):
    assert 0 < images.claude(size, "claude-3-5-sonnet") <= 1568
    assert 0 < images.claude(size, "claude-opus-4-7") <= 4784
    assert images.openai(size, None, "gpt-5-mini") <= 1845
    assert images.openai(size, "original", "gpt-5.5") <= 12_001
    assert images.gemini(size, "low", "gemini-3-pro") <= max(280, *size)
