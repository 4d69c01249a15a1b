"""The cutter: one event goes, every other byte stays, in order and at once."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from tokenmeter.dialects.openai_chat import OpenAIChat
from tokenmeter.wire.cutter import LIMIT, Cutter

DIALECT = OpenAIChat()
HEAD = {"id": "c1", "object": "chat.completion.chunk", "model": "m"}
USAGE = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}


def chunk(**members: object) -> str:
    return json.dumps(HEAD | members, separators=(",", ":"), ensure_ascii=False)


def said(text: str, **members: object) -> str:
    return chunk(choices=[{"index": 0, "delta": {"content": text}}], usage=None, **members)


EXTRA = chunk(choices=[], usage=USAGE)
STREAM = [said("Hel"), said("lo"), chunk(choices=[{"index": 0, "finish_reason": "stop"}])]


def lines(*datas: str, end: str = "\n") -> bytes:
    return "".join(f"data: {data}{end}{end}" for data in datas).encode()


def cutter() -> Cutter:
    return Cutter(DIALECT.is_extra, DIALECT.ordinary)


def passed(*chunks: bytes) -> bytes:
    """Give what comes through."""
    through = cutter()
    return b"".join([*(through.add(chunk) for chunk in chunks), through.rest()])


def in_two(body: bytes) -> list[tuple[bytes, bytes]]:
    return [(body[:at], body[at:]) for at in range(len(body) + 1)]


# What goes


def test_the_extra_chunk_goes_wherever_the_bytes_are_divided() -> None:
    for end in ("\n", "\r\n", "\r"):
        body = lines(*STREAM, EXTRA, "[DONE]", end=end)
        kept = lines(*STREAM, "[DONE]", end=end)
        assert passed(body) == kept
        for first, second in in_two(body):
            assert passed(first, second) == kept
        assert passed(*(bytes([byte]) for byte in body)) == kept


def test_it_goes_with_its_name_its_number_and_its_comments() -> None:
    before, after = lines(*STREAM), lines("[DONE]")
    extra = f": why\nevent: message\nid: 7\ndata: {EXTRA}\n\n".encode()
    for first, second in in_two(before + extra + after):
        assert passed(first, second) == before + after


def test_it_is_known_with_blanks_in_its_json_without_choices_and_with_null_for_them() -> None:
    spaced = json.dumps({"choices": [], "usage": USAGE}, indent=None, separators=(", ", ": "))
    for extra in (spaced, chunk(usage=USAGE), chunk(choices=None, usage=USAGE)):
        assert passed(lines(*STREAM, extra, "[DONE]")) == lines(*STREAM, "[DONE]")


def test_it_goes_when_the_stream_ends_without_an_empty_line() -> None:
    for end in (b"", b"\n"):
        assert passed(lines(*STREAM) + b"data: " + EXTRA.encode() + end) == lines(*STREAM)


# What stays


def test_only_the_first_one_goes() -> None:
    assert passed(lines(EXTRA, EXTRA)) == lines(EXTRA)


def test_everything_else_stays() -> None:
    for other in (
        chunk(choices=[], prompt_filter_results=[{"prompt_index": 0}]),  # Azure's first chunk
        chunk(choices=[], usage=None),
        chunk(choices=[], usage={}),
        said("a", usage_of="nothing"),
        chunk(choices=[{"index": 0, "finish_reason": "stop"}]).replace("null", "{}"),
        '{"error":{"message":"usage","code":500}}',
        "[DONE]",
        '{"choices":[],"usage":',
        "[]",
        "",
    ):
        body = b"\xef\xbb\xbf" + lines(*STREAM, other, "[DONE]") + b": ping\n\n\n\nretry: 5\n\n"
        for first, second in in_two(body):
            assert passed(first, second) == body


def test_usage_in_the_last_chunk_with_content_stays() -> None:
    body = lines(*STREAM[:2], said("!").replace("null", json.dumps(USAGE)), "[DONE]")
    assert passed(body) == body


def test_a_body_that_is_no_event_stream_passes_as_it_comes() -> None:
    body = json.dumps({"choices": [], "usage": USAGE}).encode()
    through = cutter()
    for byte in body:
        assert through.add(bytes([byte])) == bytes([byte])


def test_an_event_that_is_too_long_passes() -> None:
    long = chunk(choices=[], usage=USAGE, filler="x" * LIMIT)
    begun, rest = f"data: {long}"[: LIMIT + 1].encode(), f"data: {long}\n\n"[LIMIT + 1 :].encode()
    through = cutter()
    assert through.add(begun) == begun
    assert through.add(rest) == rest


# At once


def test_a_whole_event_passes_in_the_chunk_that_ends_it() -> None:
    through = cutter()
    for data in (*STREAM, "[DONE]"):
        assert through.add(lines(data)) == lines(data)


def test_a_torn_event_is_held_only_until_it_is_known_to_be_none() -> None:
    event = lines(said("a long text"))
    known = event.index(b'"choices":[{') + len(b'"choices":[{')
    through = cutter()
    assert through.add(event[: known - 1]) == b""
    assert through.add(event[known - 1 : known]) == event[:known]
    for byte in event[known:]:
        assert through.add(bytes([byte])) == bytes([byte])


def test_the_end_of_a_stream_is_known_by_its_first_byte() -> None:
    through = cutter()
    assert [through.add(part) for part in (b"data: ", b"[", b"DONE]\n")] == [
        b"",
        b"data: [",
        b"DONE]\n",
    ]


# Always

TEXTS = st.text('a "\\{[]:é😀\n\u2028', max_size=8)
ORDINARY = st.one_of(
    st.builds(said, TEXTS),
    st.just("[DONE]"),
    st.just(chunk(choices=[], usage=None)),
    st.just('{"error":{}}'),
)
ENDS = st.sampled_from(["\n", "\r\n", "\r"])


@st.composite
def events(draw: st.DrawFn) -> bytes:
    end = draw(ENDS)
    head = draw(st.sampled_from(["", ": x", "event: y", "id: 1", ":"]))
    fields = f"{head}{end}" if head else ""
    return f"{fields}data: {draw(ORDINARY)}{end}{end}".encode()


@st.composite
def divided(draw: st.DrawFn, body: bytes) -> list[bytes]:
    cuts = sorted(draw(st.lists(st.integers(0, len(body)), max_size=8)))
    return [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]


@given(st.data(), st.lists(events()), st.lists(events()), ENDS)
def test_whatever_comes_around_it_exactly_its_bytes_are_missing(
    data: st.DataObject, before: list[bytes], after: list[bytes], end: str
) -> None:
    head, tail, extra = b"".join(before), b"".join(after), lines(EXTRA, end=end)
    assert passed(*data.draw(divided(head + extra + tail))) == head + tail
    assert passed(*data.draw(divided(head + tail))) == head + tail


@given(st.data(), st.lists(events()), st.integers(0, 400))
def test_a_stream_that_breaks_anywhere_loses_at_most_the_one_event(
    data: st.DataObject, before: list[bytes], missing: int
) -> None:
    head, extra = b"".join(before), lines(EXTRA)
    body = (head + extra)[: max(0, len(head + extra) - missing)]
    assert passed(*data.draw(divided(body))) in (body, head)


@given(st.lists(st.binary(max_size=30) | st.sampled_from([b"data: ", b"\n\n", b"\r", b"{"])))
def test_bytes_of_any_kind_pass_unchanged(chunks: list[bytes]) -> None:
    assert passed(*chunks) == b"".join(chunks)
