"""What it costs that somebody looks: the fan-out with traces sent and metrics read, and without.

One customer's events to 1,000 streams, faster than they can go: deliveries per second. With it on,
a collector in a process of its own has to have got every span that there is to be, and /metrics are
read every second; with it off nothing is configured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack

import httpx
import trio

from bench.floor import Floor
from bench.options import Options
from bench.report.rows import Row, Verdict, among, ratio_verdict, ratios
from bench.scenarios.measuring import row, stretch
from bench.servers.collector import Collector
from bench.servers.storefront import Storefront

NAME = "tracing"
STORY = "the fan-out with traces and metrics, and without"

OFF, ON = "off", "on"
WARM_UP = 20
# Of an event: it was taken, recorded, handed to the streams. Of a stream: its request, its opening.
SPANS_OF_EVENT, SPANS_OF_STREAM = 3, 2
SENT_WITHIN = 20.0  # seconds: the exporter sends every five


async def run(floor: Floor, number: int) -> list[Row]:
    """One round: both, in an order that turns around."""
    rows = []
    for case in (OFF, ON) if number % 2 else (ON, OFF):
        floor.say(f"tracing: {case}")
        async with AsyncExitStack() as stack:
            collector = stack.enter_context(Collector(floor.room("collector")))
            await collector.start()
            environment = _environment(collector) if case == ON else {}
            most = str(floor.options.crowd(1000, 50))
            subject = await stack.enter_async_context(
                floor.storefront({"MAX_STREAMS_PER_CUSTOMER": most}, environment=environment)
            )
            rows.append(await _measured(floor, subject, collector, case, number))
    return rows


def _environment(collector: Collector) -> Mapping[str, str]:
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        # Every span counts here; by default what is too much at once is let go.
        "OTEL_BSP_MAX_QUEUE_SIZE": "65536",
    }


async def _measured(
    floor: Floor, subject: Storefront, collector: Collector, case: str, number: int
) -> Row:
    options = floor.options
    streams = options.crowd(1000, 50)
    count = options.pick(600, 20)
    async with floor.crowd() as crowd, floor.publisher() as publisher:
        await crowd.enter(subject, streams, customers=1)
        await crowd.settle()
        await publisher.connect(subject, 1)
        await stretch(floor, subject, crowd, publisher, count=options.pick(WARM_UP, 2), rate=10.0)
        async with trio.open_nursery() as nursery:
            if case == ON:
                nursery.start_soon(_scrape, subject)
            found = await stretch(floor, subject, crowd, publisher, count=count, rate=400.0)
            nursery.cancel_scope.cancel()
        expected = SPANS_OF_EVENT * publisher.published + SPANS_OF_STREAM * streams
        got = await _got(collector, expected) if case == ON else 0
    figures = {
        "deliveries_per_second": found.rate,
        "spans": float(got),
        "spans_missing": float(expected - got) if case == ON else 0.0,
    }
    return row(NAME, case, subject, number, found, figures=figures, flat_out=True)


async def _scrape(subject: Storefront) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        while True:
            await client.get(f"http://{subject.host}:{subject.port}/metrics")
            await trio.sleep(1)


async def _got(collector: Collector, expected: int) -> int:
    """How many spans came, once all did or it took too long."""
    got = 0
    async with httpx.AsyncClient(trust_env=False) as client:
        with trio.move_on_after(SENT_WITHIN):
            while got < expected:
                got = int((await client.get(collector.url)).text)
                await trio.sleep(0.2)
    return got


def judge(rows: Sequence[Row], options: Options) -> list[Verdict]:
    """With it on, at least nine tenths; and every span has come."""

    def figure(case: str, name: str) -> list[float]:
        return [found.figures[name] for found in among(rows, NAME, case, "storefront")]

    name = "deliveries_per_second"
    found = ratios(figure(ON, name), figure(OFF, name))
    missing = sum(map(abs, figure(ON, "spans_missing")))
    return [
        ratio_verdict(
            "fan-out with traces and metrics / without", found, least=0.9, judged=not options.quick
        ),
        Verdict(
            what="spans that did not come, or came too many",
            found=f"{missing:.0f}",
            target="<= 0",
            held=missing == 0,
        ),
    ]
