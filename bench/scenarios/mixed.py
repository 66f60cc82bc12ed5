"""Events while people look at carts: what 80 % of all the views it can give do to the streams.

First the limit: carts asked for in a closed loop, most from the cache and one in ten composed anew
(an event of that customer has just changed its generation). Then events to 1,000 customers at a
quiet rate, alone; then the same events with views, open loop, at 80 % of the limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import trio

from bench.clients.remote import Asked, Askers, Crowd
from bench.floor import Floor
from bench.load.remote import Publisher
from bench.measure.latency import Latency
from bench.options import Options
from bench.report.rows import Row, Verdict, among, bound_verdict, ratio_verdict, ratios
from bench.scenarios.measuring import Stretch, row, stretch
from bench.scenarios.shop import cart_requests, open_neighbours
from bench.servers.storefront import Storefront

NAME = "mixed"
STORY = "events while views run at 80 % of their limit"

ALONE, WITH_VIEWS = "events alone", "with views"
EVENTS = 20.0  # per second
SHARE = 0.8
CALLERS = 16  # connections of those who look


async def run(floor: Floor, number: int) -> list[Row]:
    """One round."""
    streams = floor.options.crowd(1000, 50)
    async with (
        open_neighbours(floor, shared_skus=True) as urls,
        floor.storefront(urls | {"QUERY_RATE": "1000000"}) as subject,
        floor.crowd() as crowd,
        floor.publisher() as publisher,
        floor.askers() as askers,
    ):
        cast = _Cast(subject, crowd, publisher, askers)
        await crowd.enter(subject, streams, customers=streams)
        await crowd.settle()
        await publisher.connect(subject, streams)
        await askers.connect(subject.port, cart_requests(range(streams)), connections=CALLERS)
        await stretch(floor, subject, crowd, publisher, count=streams, rate=200.0)
        floor.say("mixed: the limit of views")
        limit = await _limit(floor, cast)
        seconds = floor.options.pick(15.0, 2.0)
        floor.say("mixed: events alone")
        alone = await _events(floor, cast, seconds)
        floor.say(f"mixed: events, and {SHARE * limit:.0f} views/s")
        both, asked = await _with_views(floor, cast, seconds, SHARE * limit)
        return [
            row(NAME, ALONE, subject, number, alone, figures={"views_per_second_limit": limit}),
            _row(subject, number, both, asked, limit),
        ]


@dataclass(frozen=True, slots=True)
class _Cast:
    subject: Storefront
    crowd: Crowd
    publisher: Publisher
    askers: Askers


async def _limit(floor: Floor, cast: _Cast) -> float:
    """Views per second in a closed loop, with the events that make one in some anew."""
    seconds = floor.options.pick(8.0, 1.0)
    found: list[Asked] = []

    async def ask() -> None:
        found.append(await cast.askers.ask(seconds=seconds))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await cast.publisher.publish(int(EVENTS * seconds), rate=EVENTS)
    return len(found[0].done) / found[0].seconds


async def _events(floor: Floor, cast: _Cast, seconds: float) -> Stretch:
    count = int(EVENTS * seconds)
    return await stretch(floor, cast.subject, cast.crowd, cast.publisher, count=count, rate=EVENTS)


async def _with_views(
    floor: Floor, cast: _Cast, seconds: float, rate: float
) -> tuple[Stretch, Asked]:
    found: list[Asked] = []

    async def ask() -> None:
        found.append(await cast.askers.ask(rate=rate, seconds=seconds + 1))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await trio.sleep(0.5)
        both = await _events(floor, cast, seconds)
    return both, found[0]


def _row(subject: Storefront, number: int, both: Stretch, asked: Asked, limit: float) -> Row:
    views = Latency.of((asked.done - asked.due).tolist())
    good = asked.statuses.get("200", 0)
    figures = {
        "views_per_second": len(asked.done) / asked.seconds,
        "views_per_second_limit": limit,
        "view_p50_ms": views.p50,
        "view_p99_ms": views.p99,
        "views_not_200": float(len(asked.done) - good),
    }
    return row(
        NAME, WITH_VIEWS, subject, number, both, figures=figures, notes=[f"views: {asked.said}"]
    )


def judge(rows: Sequence[Row], options: Options) -> list[Verdict]:
    """Streams go before views."""

    def p99(case: str) -> list[float]:
        return [each.latency.p99 for each in among(rows, NAME, case) if each.latency]

    refused = [each.figures["views_not_200"] for each in among(rows, NAME, WITH_VIEWS)]
    return [
        ratio_verdict(
            "mixed: event p99 with views / alone",
            ratios(p99(WITH_VIEWS), p99(ALONE)),
            most=2.0,
            judged=not options.quick,
        ),
        bound_verdict("mixed: views not answered with 200", refused, most=0, judged=False),
    ]
