"""What the crowd understands of a connection, however it was cut into pieces."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.clients.wire import Ear, WireError, read_head
from bench.load import messages


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


FRAMES = [messages.frame(7, number) for number in (1, 2, 3)]
OPENING = b'retry: 2837\n\nevent: stream\ndata: {"mode":"resumed","replayed":2,"position":"k3x9-17"}\n\nid: k3x9-15\n\n'


def test_a_frame_gives_its_number_and_its_cursor():
    heard = Ear(chunked=True).hear(chunk(FRAMES[0]))
    assert (heard.numbers, heard.cursor, heard.rest) == ((1,), b"000000000000-1", 0)


def test_an_opening_gives_its_mode_and_its_cursor_and_no_number():
    heard = Ear(chunked=True).hear(chunk(OPENING))
    assert (heard.numbers, heard.controls, heard.cursor) == ((), ("stream:resumed",), b"k3x9-15")


def test_pings_are_counted_in_either_spelling():
    assert Ear(chunked=True).hear(chunk(b":ping\n\n") + chunk(b": ping\n\n")).pings == 2


@given(cuts=st.sets(st.integers(1, 900)), chunked=st.booleans(), per_chunk=st.integers(1, 400))
def test_however_the_bytes_are_cut_all_of_them_are_understood_once(cuts, chunked, per_chunk):
    body = OPENING + b":ping\n\n" + b"".join(FRAMES)
    pieces = [body[n : n + per_chunk] for n in range(0, len(body), per_chunk)]
    wire = b"".join(map(chunk, pieces)) if chunked else body
    ear, rest, numbers, pings = Ear(chunked=chunked), b"", [], 0
    edges = [0, *sorted(cut for cut in cuts if cut < len(wire)), len(wire)]
    for start, end in pairwise(edges):
        rest += wire[start:end]
        heard = ear.hear(rest)
        rest = rest[len(rest) - heard.rest :] if heard.rest else b""
        numbers += heard.numbers
        pings += heard.pings
    assert (numbers, pings, rest) == ([1, 2, 3], 1, b"")


def test_the_last_chunk_ends_the_stream():
    heard = Ear(chunked=True).hear(chunk(FRAMES[0]) + b"0\r\n\r\n")
    assert (heard.numbers, heard.finished, heard.rest) == ((1,), True, 0)


@pytest.mark.parametrize(
    "nonsense",
    [
        b"zz\r\nxx\r\n",
        b"3\r\nabcdef\r\n",
        chunk(b"hello\n\n"),
        chunk(b": ping\r\n\r\n" + FRAMES[0]),
    ],
)
def test_what_no_server_of_the_bench_sends_is_refused_and_not_passed_over(nonsense):
    with pytest.raises(WireError):
        Ear(chunked=True).hear(nonsense)


def test_a_head_is_read_when_it_is_all_there():
    head = b"HTTP/1.1 200 \r\nTransfer-Encoding: Chunked\r\n\r\n"
    assert read_head(head[:-1]) is None
    found = read_head(head + b"rest")
    assert found is not None
    assert (found.status, found.chunked, found.size) == (200, True, len(head))


def test_a_head_of_something_else_is_refused():
    with pytest.raises(WireError):
        read_head(b"SSH-2.0 nobody\r\n\r\n")
