"""How it grows: latency and processor time with 100 to 10,000 streams, at one rate of events.

Each customer has one stream and gets one event in turn, 100 a second whoever they are: what grows
is only who listens. And the fan-out of one event to all of them. The slopes say where one process
ends.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.floor import Floor
from bench.measure.latency import Latency
from bench.measure.processes import rss_kib
from bench.options import Options
from bench.report.rows import Row, Verdict
from bench.scenarios.measuring import row, stretch
from bench.servers.storefront import Storefront

NAME = "growth"
STORY = "latency and processor time against streams"

RATE = 100.0
SIZES = (100, 300, 1000, 3000, 10_000)
PERSONAL, BROADCAST = "{} customers", "1 event to {}"


async def run(floor: Floor, number: int) -> list[Row]:
    """One round: every size, on a fresh process each."""
    rows = []
    for streams in floor.options.pick(SIZES, (50, 100)):
        floor.say(f"growth: {streams} streams")
        async with floor.storefront(name="storefront") as subject:
            rows.append(await _personal(floor, subject, number, streams))
        most = str(streams)
        async with floor.storefront({"MAX_STREAMS_PER_CUSTOMER": most}, observed=True) as subject:
            rows.append(await _broadcast(floor, subject, number, streams))
    return rows


async def _personal(floor: Floor, subject: Storefront, number: int, streams: int) -> Row:
    async with floor.crowd() as crowd, floor.publisher() as publisher:
        await crowd.enter(subject, streams, customers=streams)
        before = rss_kib(subject.pids())
        await crowd.settle()
        await publisher.connect(subject, streams)
        await stretch(floor, subject, crowd, publisher, count=100, rate=RATE)
        count = int(RATE * floor.options.pick(10, 1))
        found = await stretch(floor, subject, crowd, publisher, count=count, rate=RATE)
        figures = {
            "streams": float(streams),
            "cpu_percent": 100 * found.usage.cores["subject"],
            "kib_per_stream": (found.usage.rss["subject"] - before) / streams,
        }
        case = PERSONAL.format(streams)
        return row(NAME, case, subject, number, found, figures=figures)


async def _broadcast(floor: Floor, subject: Storefront, number: int, streams: int) -> Row:
    async with floor.crowd() as crowd, floor.publisher() as publisher:
        await crowd.enter(subject, streams, customers=1)
        await crowd.settle()
        await publisher.connect(subject, 1)
        # Never more than the process can send, so that one event's fan-out is not the next one's.
        rate = min(4.0, 4000.0 / streams)
        await stretch(floor, subject, crowd, publisher, count=3, rate=rate)
        count = floor.options.pick(20, 4)
        found = await stretch(floor, subject, crowd, publisher, count=count, rate=rate)
        fan_out = Latency.of(found.fan_out.tolist())
        figures = {
            "streams": float(streams),
            "fan_out_p50_ms": fan_out.p50,
            "fan_out_p99_ms": fan_out.p99,
            "cpu_us_per_delivery": 1e6
            * found.usage.cores["subject"]
            * found.usage.seconds
            / max(1, len(found.delays)),
        }
        case = BROADCAST.format(streams)
        return row(NAME, case, subject, number, found, figures=figures)


def judge(_rows: Sequence[Row], _options: Options) -> list[Verdict]:
    """Nothing to hold it against: it is drawn."""
    return []
