"""The service is gone for a moment, and then everybody is back at once, each with a cursor.

5,000 customers have seen two events each. The service is killed; one message more for each of them
waits in RabbitMQ meanwhile. It starts again, and all 5,000 streams come back in the same second,
while the messages of the outage are being recorded and somebody goes on looking at carts. Every
stream must be resumed where it was, every event come once, and no view be slower than its deadline.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import trio

from bench.clients.remote import Asked, Askers, Crowd, Ramp
from bench.floor import Floor
from bench.load.remote import Publisher
from bench.measure.latency import Latency
from bench.options import Options
from bench.report.rows import Row, Verdict, among, bound_verdict
from bench.scenarios.shop import cart_requests, open_neighbours
from bench.servers.storefront import Storefront

NAME = "reconnect-storm"
STORY = "5,000 streams come back with cursors after a restart"

SEEN = 2
VIEWS = 20.0  # per second
DEADLINE = 1000.0  # ms: VIEW_DEADLINE's default
LEEWAY = 100.0  # ms, as in the promise's tests
WITHIN = 120.0  # seconds for all to be back and served


async def run(floor: Floor, number: int) -> list[Row]:
    """One round, with the embedded log; a second case with Redis."""
    return [await _run(floor, number, shared=shared) for shared in (False, True)]


async def _run(floor: Floor, number: int, *, shared: bool) -> Row:
    streams = floor.options.crowd(5000, 200)
    case = "redis" if shared else "embedded"
    async with (
        open_neighbours(floor, shared_skus=True) as urls,
        floor.storefront(urls, shared=shared) as subject,
        floor.crowd() as crowd,
        floor.publisher() as publisher,
        floor.askers() as askers,
    ):
        await crowd.enter(subject, streams, customers=streams)
        await crowd.settle()
        await publisher.connect(subject, streams)
        await crowd.mark()
        await publisher.publish(SEEN * streams, rate=500.0)
        await crowd.until(SEEN * streams, within=WITHIN)
        floor.say(f"reconnect storm: {case}, the service is killed")
        subject.kill()
        await crowd.leave()
        await publisher.publish(streams, rate=2000.0)
        await crowd.mark()
        await subject.start(consuming=False)
        floor.say(f"reconnect storm: {case}, {streams} come back")
        return await _return(floor, number, case, _Cast(subject, crowd, publisher, askers))


@dataclass(frozen=True, slots=True)
class _Cast:
    subject: Storefront
    crowd: Crowd
    publisher: Publisher
    askers: Askers


async def _return(floor: Floor, number: int, case: str, cast: _Cast) -> Row:
    crowd, streams = cast.crowd, cast.crowd.streams
    # Other customers' carts: views and streams share nothing but the service.
    requests = cart_requests(range(streams, streams + 100))
    await cast.askers.connect(cast.subject.port, requests, connections=20)
    meter = floor.meter(lambda: list(cast.subject.pids()))
    meter.start()
    ramps: list[Ramp] = []
    asked: list[Asked] = []
    seconds = floor.options.pick(15.0, 3.0)

    async def ask() -> None:
        asked.append(await cast.askers.ask(rate=VIEWS, seconds=seconds))

    async def come_back() -> None:
        ramps.append(await crowd.open(within=WITHIN))
        # Whoever was told to be patient comes again, as a browser does.
        await crowd.settle()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        nursery.start_soon(come_back)
    await crowd.until(streams, within=floor.options.pick(WITHIN, 20.0))
    usage = meter.read()
    arrivals = await crowd.collect(SEEN + 1)
    controls = arrivals.summary["controls"]
    views = Latency.of((asked[0].done - asked[0].due).tolist())
    good = asked[0].statuses.get("200", 0)
    return Row(
        scenario=NAME,
        case=case,
        subject=cast.subject.name,
        round=number,
        rate=streams / ramps[0].seconds if ramps[0].seconds else 0.0,
        latency=Latency.of(ramps[0].waits.tolist()),
        faults=arrivals.faults,
        usage=usage,
        figures={
            "seconds": ramps[0].seconds,
            "resumed": float(controls.get("stream:resumed", 0)),
            "not_resumed": float(streams - controls.get("stream:resumed", 0)),
            "view_p50_ms": views.p50,
            "view_p99_ms": views.p99,
            "view_max_ms": views.max,
            "views_not_200": float(sum(asked[0].statuses.values()) - good),
        },
        flat_out=True,
        notes=[
            *crowd.complaints,
            f"control frames: {controls}",
            f"views: {asked[0].statuses}",
        ],
    )


def judge(rows: Sequence[Row], options: Options) -> list[Verdict]:
    """All resumed; views in time."""
    verdicts = []
    for case in ("embedded", "redis"):
        found = among(rows, NAME, case)

        def figures(name: str, of: Sequence[Row] = found) -> list[float]:
            return [max(row.figures[name] for row in of)] if of else []

        verdicts += [
            bound_verdict(
                f"storm, {case}: streams not resumed", figures("not_resumed"), most=0, judged=True
            ),
            bound_verdict(
                f"storm, {case}: views without an answer",
                figures("views_not_200"),
                most=0,
                judged=True,
            ),
            bound_verdict(
                f"storm, {case}: slowest view",
                figures("view_max_ms"),
                most=DEADLINE + LEEWAY,
                unit=" ms",
                judged=not options.quick,
            ),
        ]
    return verdicts
