"""One browser in ten stops reading, and stays: what do the others notice?

The slow ones share a customer of their own, who is sent a flood until nothing more goes out to any
of them (only then a write waits), and who goes on getting events. The others are one customer's 900
streams; their latency is compared with the same run in which everybody reads. SEND_TIMEOUT is
raised to keep the slow ones for the measurement: by default they would be cut after ten seconds and
be nobody's burden. The kernel cuts them after thirty (TCP_USER_TIMEOUT), which is long enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import trio

from bench.clients.remote import Crowd
from bench.floor import Floor
from bench.load.remote import Publisher
from bench.measure.latency import Latency
from bench.options import Options
from bench.report.rows import Row, Verdict, among, bound_verdict, ratio_verdict, ratios
from bench.scenarios.measuring import Stretch, stretch
from bench.servers.storefront import Storefront

NAME = "slow-readers"
STORY = "one stream in ten stops reading"

EVERY = 10
SEND_TIMEOUT = 600
RECEIVE_BUFFER = 4096  # bytes: a phone's, nearly full; Linux doubles it
# Events of some 270 bytes. Storefront lets the kernel queue 16 KiB of a stream, other servers up to
# four megabytes, which is why there is a most.
BATCH, MOST = 300, 12_000
FLOOD_RATE = 500.0
FLOOD_WITHIN = 60.0  # seconds
SETTLED = 1.0  # seconds for a batch to get to where it can get to
STUCK = 8 * 1024  # bytes that wait to be sent, of one who does not read
READING, STOPPED = "all read", "1 in 10 stopped"


async def run(floor: Floor, number: int) -> list[Row]:
    """One round: both runs, in an order that turns around."""
    cases = [READING, STOPPED]
    return [await _run(floor, number, case) for case in (cases if number % 2 else cases[::-1])]


async def _run(floor: Floor, number: int, case: str) -> Row:
    options = floor.options
    streams = options.crowd(1000, 100)
    settings = {"MAX_STREAMS_PER_CUSTOMER": str(streams), "SEND_TIMEOUT": str(SEND_TIMEOUT)}
    async with (
        floor.storefront(settings) as subject,
        floor.crowd() as others,
        floor.crowd() as slow,
        floor.publisher() as to_others,
        floor.publisher() as to_slow,
    ):
        few = streams // EVERY
        await others.enter(subject, streams - few, customers=1)
        await others.settle()
        await slow.enter(_Second(subject), few, customers=1, receive_buffer=RECEIVE_BUFFER)
        await slow.settle()
        await to_others.connect(subject, 1)
        await to_slow.connect(subject, 1, offset=1)
        if case == STOPPED:
            await slow.stop_reading(1)
        floor.say(f"slow readers: {case}, the flood")
        await _flood(subject, slow, to_slow, reading=case == READING)
        stuck = stuck_sockets(subject.port)
        floor.say(f"slow readers: {case}, {stuck} streams stuck")
        await stretch(floor, subject, others, to_others, count=5, rate=4.0)
        found = await _both(floor, subject, others, to_others, to_slow)
        return _row(number, case, found, stuck=stuck, few=few)


class _Second(Storefront):
    """The same service, as its second customer sees it."""

    def __init__(self, subject: Storefront) -> None:
        self.__dict__.update(subject.__dict__)

    def requests(self, _streams: int, customers: int) -> Sequence[bytes]:
        return super().requests(customers + 1, customers + 1)[1:]


async def _flood(subject: Storefront, slow: Crowd, publisher: Publisher, *, reading: bool) -> None:
    """Send the slow ones more than they can take, in batches, until all of them are full."""
    await slow.mark()
    for sent in range(BATCH, MOST + BATCH, BATCH):
        await publisher.publish(BATCH, rate=FLOOD_RATE)
        if reading:
            await slow.until(sent * slow.streams, within=FLOOD_WITHIN)
            return
        await trio.sleep(SETTLED)
        if stuck_sockets(subject.port) >= slow.streams:
            return


async def _both(
    floor: Floor, subject: Storefront, others: Crowd, to_others: Publisher, to_slow: Publisher
) -> Stretch:
    """Events to both, as in any shop; measured on those who read."""
    count = floor.options.pick(60, 8)
    # The slow ones' events come between the others', on their own connection.
    await to_slow.publish(count, rate=200.0)
    return await stretch(floor, subject, others, to_others, count=count, rate=4.0)


def _row(number: int, case: str, found: Stretch, *, stuck: int, few: int) -> Row:
    notes = found.notes()
    if case == STOPPED and stuck < few:
        notes.append(f"only {stuck} of {few} had their buffers full")
    return Row(
        scenario=NAME,
        case=case,
        subject="storefront",
        round=number,
        rate=found.rate,
        latency=Latency.of(found.delays.tolist()),
        faults=found.arrivals.faults,
        usage=found.usage,
        figures={
            "stuck_streams": float(stuck),
            "streams_left": float(found.arrivals.summary["open"]),
        },
        notes=notes,
    )


def queued_bytes(port: int) -> list[int]:
    """Of each connection of this server, how much waits to be sent (proc_net_tcp(5))."""
    found = []
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[1].rpartition(":")[2], 16) == port:
            found.append(int(fields[4].partition(":")[0], 16))
    return found


def stuck_sockets(port: int) -> int:
    """Connections on which more waits than any reader would let lie."""
    return sum(each >= STUCK for each in queued_bytes(port))


def judge(rows: Sequence[Row], options: Options) -> list[Verdict]:
    """Nobody else notices."""

    def p99(case: str) -> list[float]:
        return [row.latency.p99 for row in among(rows, NAME, case) if row.latency]

    stopped = among(rows, NAME, STOPPED)
    stuck = [row.figures["stuck_streams"] for row in stopped]
    expected = options.crowd(1000, 100) // EVERY
    return [
        bound_verdict(
            "slow readers: streams with full buffers",
            stuck,
            least=expected,
            judged=not options.quick,
        ),
        ratio_verdict(
            "slow readers: p99 of the others / without",
            ratios(p99(STOPPED), p99(READING)),
            most=1.2,
            judged=not options.quick,
        ),
    ]
