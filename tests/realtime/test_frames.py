"""Frames against a parser written from the WHATWG text alone, so the two cannot share a mistake."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storefront.realtime import frames

LINE = st.text(
    st.characters(blacklist_characters="\r\n\0", blacklist_categories=["Cs"]), min_size=1
)
# Line ends and the characters other languages take for them, often.
NASTY = st.text(st.sampled_from("ab:\r\n\u2028\u2029\x85\v\f é\U0001f600 "), max_size=30)


def parse(raw: bytes) -> tuple[list[tuple[str, str, str]], str, int | None]:
    """(type, data, last event id) per dispatched event; the last event id; the reconnection time."""
    text = raw.decode("utf-8")
    lines, line, index = [], "", 0
    while index < len(text):
        char = text[index]
        if char in "\r\n":
            lines.append(line)
            line = ""
            if char == "\r" and text[index + 1 : index + 2] == "\n":
                index += 1
        else:
            line += char
        index += 1
    events, data, kind, last_id, retry = [], [], "", "", None
    for line in lines:
        if line == "":
            if data:
                events.append((kind or "message", "\n".join(data), last_id))
            data, kind = [], ""
            continue
        if line.startswith(":"):
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            data.append(value)
        elif field == "event":
            kind = value
        elif field == "id" and "\0" not in value:
            last_id = value
        elif field == "retry" and value.isascii() and value.isdigit():
            retry = int(value)
    assert line == "" or text[-1] in "\r\n", "a frame ends with its empty line"
    return events, last_id, retry


def normal(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


@given(LINE, NASTY)
def test_an_event_comes_out_as_it_went_in(position, data):
    events, last_id, _ = parse(frames.event(position, data.encode()))
    assert events == [("message", normal(data), position)]
    assert last_id == position


@given(LINE, LINE, NASTY)
def test_a_named_event_differs_in_its_name_only(name, position, data):
    events, _, _ = parse(frames.named(name, frames.event(position, data.encode())))
    assert events == [(name, normal(data), position)]


@given(LINE, st.dictionaries(st.text(), st.integers() | NASTY))
def test_a_control_frame_never_moves_the_cursor(name, facts):
    events, last_id, _ = parse(frames.control(name, facts))
    assert [(kind, json.loads(data)) for kind, data, _ in events] == [(name, facts)]
    assert last_id == ""


@given(LINE)
def test_a_cursor_frame_moves_the_cursor_and_fires_nothing(position):
    assert parse(frames.cursor(position)) == ([], position, None)


@given(st.floats(min_value=0, max_value=86_400))
def test_retry_is_said_in_whole_milliseconds(seconds):
    assert parse(frames.retry(seconds)) == ([], "", round(seconds * 1000))


def test_a_ping_is_a_comment_of_exactly_these_bytes():
    assert frames.PING == b":ping\n\n"
    assert parse(frames.PING) == ([], "", None)


@given(
    st.lists(st.sampled_from(["event", "control", "cursor", "retry", "ping"]), max_size=20), NASTY
)
def test_blocks_joined_in_any_order_never_run_into_one_another(kinds, data):
    made = {
        "event": frames.event("e-1", data.encode()),
        "control": frames.control("stream", {"mode": data}),
        "cursor": frames.cursor("e-0"),
        "retry": frames.retry(3),
        "ping": frames.PING,
    }
    events, _, _ = parse(b"".join(made[kind] for kind in kinds))
    assert [kind for kind, _, _ in events] == [
        {"event": "message", "control": "stream"}[kind]
        for kind in kinds
        if kind in {"event", "control"}
    ]


@pytest.mark.parametrize("bad", ["a\nb", "a\rb", "a\0b"])
@pytest.mark.parametrize(
    "make",
    [
        lambda bad: frames.event(bad, b"x"),
        lambda bad: frames.named(bad, b"id: x\ndata: x\n\n"),
        lambda bad: frames.control(bad, {}),
        frames.cursor,
    ],
    ids=["event", "named", "control", "cursor"],
)
def test_an_id_or_name_that_would_break_out_of_its_line_is_refused(make, bad):
    with pytest.raises(ValueError, match="single line"):
        make(bad)
