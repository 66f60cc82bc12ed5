"""The askers against a server that closes connections when it likes, and one that never answers."""

import socket
import threading
from contextlib import contextmanager, suppress

import pytest
import trio

from bench.children import open_child
from bench.clients.remote import Askers

BODY = b'{"freshness":"cached"}'
ANSWER = b"HTTP/1.1 200 \r\nContent-Length: %d\r\n%s\r\n%s"


@contextmanager
def open_server(answers):
    """Each connection gets the answers in turn, then is closed; a None is a close without a word."""
    listening = socket.create_server(("127.0.0.1", 0))
    connections = []

    def serve():
        with suppress(OSError):
            while True:
                sock, _ = listening.accept()
                connections.append(sock)
                with sock:
                    for each in answers:
                        if not sock.recv(4096) or each is None:
                            break
                        sock.sendall(each)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1], connections
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(5)


def asked(tmp_path, port, **how):
    async def run():
        async with open_child("askers", "bench.clients.askers", tmp_path) as child:
            askers = Askers(child, tmp_path)
            await askers.connect(port, [b"GET / HTTP/1.1\r\n\r\n"], connections=1)
            return await askers.ask(within=10, **how)

    return trio.run(run)


USUAL = ANSWER % (len(BODY), b"", BODY)
LAST = ANSWER % (len(BODY), b"Connection: close\r\n", BODY)


@pytest.mark.parametrize("answers", [[USUAL, USUAL], [USUAL, LAST], [USUAL, USUAL, None]])
def test_a_connection_that_the_server_closes_is_opened_again_and_no_answer_is_lost(
    tmp_path, answers
):
    with open_server(answers) as (port, connections):
        found = asked(tmp_path, port, count=6)
    assert (found.statuses, found.said) == ({"200": 6}, {'"freshness":"cached"': 6})
    assert len(connections) >= 3
    assert found.which.tolist() == list(range(6))


def test_a_server_that_hangs_up_on_a_new_connection_is_told(tmp_path):
    with open_server([None]) as (port, _):
        assert asked(tmp_path, port, count=3).statuses == {"0": 3}


def test_in_an_open_loop_the_clock_starts_when_a_question_is_due(tmp_path):
    with open_server([USUAL] * 50) as (port, _):
        found = asked(tmp_path, port, count=20, rate=200.0)
    gaps = (found.due[1:] - found.due[:-1]).tolist()
    assert gaps == [5_000_000] * 19
    assert (found.asked >= found.due).all()
