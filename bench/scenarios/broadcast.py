"""One event to all streams of one customer: the limit of the fan-out.

Storefront's event goes the whole way: RabbitMQ, log, hub, sockets. Where a peer's begins with a
POST. So two latencies are shown: *publish → socket*, the whole way, and *fan-out*, from the moment
the server had the event in hand (the hub was given it; the peer's handler had read the body) to the
socket. Targets are held against the fan-out, which is the same work for all; nchan says nothing of
its moment, and there the whole way of a POST stands for it.

Then the same at growing rates until it falls behind: events delivered per second, sustained; with
peers also two processes of Storefront against two workers of nchan.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

from bench.clients.remote import Crowd
from bench.floor import Floor
from bench.load.remote import Publisher
from bench.measure.latency import Latency
from bench.measure.samples import Column
from bench.options import Options
from bench.peers.running import PEERS
from bench.report.rows import Row, Verdict, among, ratio_verdict, ratios
from bench.scenarios.climbing import climb
from bench.scenarios.measuring import Stretch, row, stretch
from bench.servers.subject import Subject

NAME = "broadcast"
STORY = "one event to 1,000 streams of one customer"

RATE = 4.0  # events per second: far apart, so that each fan-out has the machine to itself
WARM_UP = 8
SUSTAINED = "sustained"
TWO = ("storefront-2", "nchan-2")
ONE = "1 event to {}"


async def run(floor: Floor, number: int) -> list[Row]:
    """One round: every subject, in an order that turns around."""
    names = ["storefront", *(PEERS if floor.options.peers else ())]
    rows = []
    for name in names if number % 2 else reversed(names):
        floor.say(f"broadcast: {name}")
        async with _subject(floor, name) as subject:
            rows += await _measured(floor, subject, number)
    if floor.options.peers:
        for name in TWO if number % 2 else reversed(TWO):
            async with _two(floor, name) as subject:
                rows += await _flat_out(floor, subject, number)
    return rows


@asynccontextmanager
async def _two(floor: Floor, name: str) -> AsyncIterator[Subject]:
    """Two processes behind one socket; Storefront's share a log in Redis."""
    if name.startswith("storefront"):
        settings = {"WORKERS": "2", "MAX_STREAMS_PER_CUSTOMER": str(floor.options.crowd(1000, 100))}
        async with floor.storefront(settings, name=name, shared=True) as ours:
            yield ours
    else:
        async with floor.peer("nchan", workers=2) as peer:
            peer.name = name
            yield peer


async def _flat_out(floor: Floor, subject: Subject, number: int) -> list[Row]:
    async with floor.crowd() as crowd, floor.publisher() as publisher:
        await crowd.enter(subject, floor.options.crowd(1000, 100), customers=1)
        await crowd.settle()
        await publisher.connect(subject, 1)
        await stretch(floor, subject, crowd, publisher, count=WARM_UP, rate=RATE)
        return await _sustained(floor, subject, number, crowd, publisher)


@asynccontextmanager
async def _subject(floor: Floor, name: str) -> AsyncIterator[Subject]:
    if name == "storefront":
        most = str(floor.options.crowd(1000, 100))
        async with floor.storefront({"MAX_STREAMS_PER_CUSTOMER": most}, observed=True) as ours:
            yield ours
    else:
        async with floor.peer(name) as peer:
            yield peer


async def _measured(floor: Floor, subject: Subject, number: int) -> list[Row]:
    options = floor.options
    streams = options.crowd(1000, 100)
    async with floor.crowd() as crowd, floor.publisher() as publisher:
        await crowd.enter(subject, streams, customers=1)
        await crowd.settle()
        await publisher.connect(subject, 1)
        run = partial(stretch, floor, subject, crowd, publisher)
        await run(count=options.pick(WARM_UP, 3), rate=RATE)
        one = await run(count=options.pick(60, 8), rate=options.pick(RATE, 8.0))
        rows = [_row(subject, number, streams, one)]
        rows += await _sustained(floor, subject, number, crowd, publisher)
    return rows


def _row(subject: Subject, number: int, streams: int, found: Stretch) -> Row:
    # nchan does not say when it had it: for it the whole way of the POST stands.
    own = found.fan_out if len(found.fan_out) else found.arrivals.when - _sent(found)
    fan_out = Latency.of(own.tolist())
    figures = {
        "fan_out_p50_ms": fan_out.p50,
        "fan_out_p90_ms": fan_out.p90,
        "fan_out_p99_ms": fan_out.p99,
        "fan_out_p999_ms": fan_out.p999,
        "fan_out_max_ms": fan_out.max,
        "bytes_per_stream": float(found.arrivals.summary["fewest_bytes"]),
    }
    notes = []
    if found.arrivals.summary["fewest_bytes"] != found.arrivals.summary["most_bytes"]:
        notes.append("streams differ in bytes: openings are of different lengths")
    return row(NAME, ONE.format(streams), subject, number, found, figures=figures, notes=notes)


def _sent(found: Stretch) -> Column:
    return found.published.sent[found.arrivals.what - 1 - found.published.first]


async def _sustained(
    floor: Floor, subject: Subject, number: int, crowd: Crowd, publisher: Publisher
) -> list[Row]:
    seconds = floor.options.pick(4.0, 0.5)
    rates = [10.0 * 2**n for n in range(floor.options.pick(8, 2))]

    async def step(rate: float) -> Stretch:
        floor.say(f"broadcast: {subject.name} at {rate:.0f} events/s")
        count = max(2, int(rate * seconds))
        return await stretch(floor, subject, crowd, publisher, count=count, rate=rate)

    looks = floor.options.pick(2, 0)
    best, steps = await climb(
        step, rates, lambda found: found.published.count * crowd.streams, looks=looks
    )
    kept = [found for rate, held, found in steps if held and rate == best]
    if not kept:
        return []
    figures = {"events_per_second": best, "deliveries_per_second": best * crowd.streams}
    return [row(NAME, SUSTAINED, subject, number, kept[-1], figures=figures, flat_out=True)]


def judge(rows: Sequence[Row], options: Options) -> list[Verdict]:
    """Against the peers, where they were there."""
    case = ONE.format(options.crowd(1000, 100))
    judged = not options.quick
    verdicts = []

    def figure(subject: str, name: str, which: str = case) -> list[float]:
        return [found.figures[name] for found in among(rows, NAME, which, subject)]

    if not options.peers:
        return []
    for peer, most, strict in (
        ("sse-starlette", 0.8, True),
        ("better-sse", 1.0, True),
        ("nchan", 1.5, False),
    ):
        for name, words in (("fan_out_p50_ms", "p50"), ("fan_out_p99_ms", "p99")):
            found = ratios(figure("storefront", name), figure(peer, name))
            stretched = "" if strict else " (stretch)"
            what = f"broadcast fan-out {words} / {peer}{stretched}"
            verdicts.append(ratio_verdict(what, found, most=most, judged=judged and strict))
    name = "deliveries_per_second"
    found = ratios(figure("storefront", name, SUSTAINED), figure("sse-starlette", name, SUSTAINED))
    verdicts.append(
        ratio_verdict("broadcast sustained / sse-starlette", found, least=1.5, judged=judged)
    )
    found = ratios(*(figure(subject, name, SUSTAINED) for subject in TWO))
    verdicts.append(
        ratio_verdict(
            "broadcast sustained, 2 processes / nchan, 2", found, least=0.5, judged=judged
        )
    )
    return verdicts
