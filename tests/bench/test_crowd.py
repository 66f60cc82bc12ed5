"""The crowd, as a process, against servers that lose, double, turn around, break off and talk nonsense."""

import time

import pytest
import trio

from bench.children import ChildError, open_child
from bench.clients.remote import Crowd
from bench.measure.sequence import Faults
from bench.servers.subject import PeerSubject, get
from tests.bench.faulty import open_faulty

STREAMS = 20

WRONGS = [
    ([1, 2, 3, 4], Faults()),
    ([1, 3, 4], Faults(lost=STREAMS)),
    ([1, 2, 3], Faults(lost=STREAMS)),
    ([1, 2, 2, 3, 4], Faults(doubled=STREAMS)),
    ([1, 3, 2, 4], Faults(disordered=STREAMS)),
    ([4, 4, 2], Faults(lost=2 * STREAMS, doubled=STREAMS, disordered=STREAMS)),
]
ENDS = [(b"0\r\n\r\n", "finished"), (b"", ""), (b"nonsense\r\n\r\n", "nonsense")]


class Subject(PeerSubject):
    def requests(self, _streams, _customers):
        return [get("/events")]


def subject(port):
    return Subject(name="faulty", process=None, port=port)


async def entered(crowd, server, streams=STREAMS):
    """New streams, all of which the server has answered."""
    await crowd.leave()
    await crowd.enter(subject(server.port), streams, customers=1)
    ramp = await crowd.open(within=5)
    assert (ramp.answered, ramp.ended) == (streams, {})
    await crowd.mark()


def run_with_crowd(tmp_path, story):
    """One process for a whole story: it takes longer to start than to find anything out."""

    async def run():
        async with open_child("crowd", "bench.clients.crowd", tmp_path) as child:
            return await story(Crowd(child, tmp_path))

    return trio.run(run)


def test_every_fault_of_a_server_is_told_and_moments_are_the_kernels(tmp_path):
    async def story(crowd):
        for numbers, faults in WRONGS:
            with open_faulty(numbers) as server:
                await entered(crowd, server)
                before = time.monotonic_ns()
                server.go.set()
                assert await crowd.until(len(numbers) * STREAMS, within=5)
                found = await crowd.collect(4)
                after = time.monotonic_ns()
            assert (numbers, found.faults) == (numbers, faults)
            assert found.summary["unstamped"] == 0
            assert all(before - 1_000_000 <= when <= after for when in found.when.tolist())

    run_with_crowd(tmp_path, story)


def test_how_streams_ended_is_told(tmp_path):
    async def story(crowd):
        for end, told in ENDS:
            with open_faulty([], end) as server:
                await entered(crowd, server)
                server.go.set()
                with trio.fail_after(5):
                    while (found := (await crowd.collect(0)).summary)["open"] and told:
                        await trio.sleep(0.02)
            kinds = {words.partition(":")[0]: count for words, count in found["ended"].items()}
            assert kinds == ({told: STREAMS} if told else {})

    run_with_crowd(tmp_path, story)


def test_those_who_come_back_bring_their_cursors(tmp_path):
    async def story(crowd):
        await entered(crowd, server)
        server.go.set()
        await crowd.until(3 * STREAMS, within=5)
        await crowd.leave()
        await crowd.open(within=5)
        # The server begins anew, and everything comes twice.
        await crowd.until(6 * STREAMS, within=5)
        return await crowd.collect(3)

    with open_faulty([1, 2, 3]) as server:
        found = run_with_crowd(tmp_path, story)
        heads = [head for head in server.heads if b"Last-Event-ID: 000000000000-3\r\n\r\n" in head]
    assert len(heads) == STREAMS
    assert found.faults == Faults(doubled=3 * STREAMS)


def test_a_server_that_is_not_there_is_told_and_a_child_that_dies_has_last_words(tmp_path):
    async def story(crowd):
        await crowd.enter(subject(port), 600, customers=1)
        ramp = await crowd.open(within=5)
        assert (ramp.answered, ramp.ended) == (0, {"connect": 600})
        with pytest.raises(ChildError, match="what is mutiny"):
            await crowd._child.ask("mutiny")
        with pytest.raises(ChildError, match="FileNotFoundError"):
            await crowd._child.ask("enter", count=1, requests="/nowhere")

    with open_faulty([]) as server:
        port = server.port
    run_with_crowd(tmp_path, story)
