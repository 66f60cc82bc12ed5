"""Each customer has one stream, and messages for all of them come through RabbitMQ: how many a
second?

RabbitMQ → log → hub → socket, at growing rates until it falls behind, with the embedded log and
with Redis; and the pipeline that a Python shop would write first, aio-pika and sse-starlette in
sixty lines, which keeps no log. Then all of them at half of what the slower of pipeline and Redis
can take: the latency of an ordinary day.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

from bench.clients.remote import Crowd
from bench.floor import Floor
from bench.load.remote import Publisher
from bench.options import Options
from bench.report.rows import Row, Verdict, among, ratio_verdict, ratios
from bench.scenarios.climbing import climb, kept_up
from bench.scenarios.measuring import Stretch, row, stretch
from bench.servers.subject import Subject

NAME = "personal"
STORY = "RabbitMQ to each customer's one stream, at growing rates"

RATES = (100.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0)
OURS = ("storefront", "storefront-redis")
PIPELINE = "pipeline"
LIMIT = "highest rate"
HALF = "half of it"


async def run(floor: Floor, number: int) -> list[Row]:
    """One round: limits first, then all at the same rate."""
    names = [*OURS, *([PIPELINE] if floor.options.peers else [])]
    names = names if number % 2 else names[::-1]
    rows: list[Row] = []
    limits: dict[str, float] = {}
    for name in names:
        found, limits[name] = await _limit(floor, name, number)
        rows += found
    compared = [limits[name] for name in names if name != "storefront"]
    half = max(min(compared) / 2, RATES[0] / 2)
    for name in names:
        rows.append(await _at(floor, name, number, half))
    return rows


@asynccontextmanager
async def _opened(floor: Floor, name: str) -> AsyncIterator[tuple[Subject, Crowd, Publisher]]:
    customers = floor.options.crowd(1000, 50)
    async with (
        _subject(floor, name) as subject,
        floor.crowd() as crowd,
        floor.publisher() as publisher,
    ):
        await crowd.enter(subject, customers, customers=customers)
        await crowd.settle()
        await publisher.connect(subject, customers)
        # Every path once, every customer's numbering begun.
        await stretch(floor, subject, crowd, publisher, count=customers, rate=200.0)
        yield subject, crowd, publisher


@asynccontextmanager
async def _subject(floor: Floor, name: str) -> AsyncIterator[Subject]:
    if name == PIPELINE:
        async with floor.peer(name) as peer:
            yield peer
    else:
        async with floor.storefront(name=name, shared=name != "storefront") as ours:
            yield ours


async def _limit(floor: Floor, name: str, number: int) -> tuple[list[Row], float]:
    seconds = floor.options.pick(8.0, 1.0)
    rates = floor.options.pick(RATES, RATES[:2])
    async with _opened(floor, name) as (subject, crowd, publisher):

        async def step(rate: float) -> Stretch:
            floor.say(f"personal: {name} at {rate:.0f}/s")
            count = int(rate * seconds)
            return await stretch(floor, subject, crowd, publisher, count=count, rate=rate)

        looks = floor.options.pick(2, 0)
        best, steps = await climb(step, rates, lambda f: f.published.count, looks=looks)
        make = partial(row, NAME, subject=subject, number=number, flat_out=True)
        rows = [
            make(
                case=f"{rate:.0f}/s",
                found=found,
                figures={"offered": rate, "kept_up": float(held)},
                notes=[] if held else ["fell behind"],
            )
            for rate, held, found in steps
        ]
        top = next((f for rate, _, f in steps if rate == best), steps[0][2])
        rows.append(make(case=LIMIT, found=top, figures={"messages_per_second": best}))
    return rows, best


async def _at(floor: Floor, name: str, number: int, rate: float) -> Row:
    floor.say(f"personal: {name} at {rate:.0f}/s, half the limit")
    async with _opened(floor, name) as (subject, crowd, publisher):
        count = int(rate * floor.options.pick(10.0, 1.0))
        found = await stretch(floor, subject, crowd, publisher, count=count, rate=rate)
        notes = [] if kept_up(found, count) else ["fell behind"]
        figures = {"offered": rate}
        return row(NAME, HALF, subject, number, found, figures=figures, notes=notes)


def judge(rows: Sequence[Row], options: Options) -> list[Verdict]:
    """With the log in Redis: no less than the pipeline without one, and not much later."""
    if not options.peers:
        return []
    judged = not options.quick

    def limits(subject: str) -> list[float]:
        found = among(rows, NAME, LIMIT, subject)
        return [each.figures["messages_per_second"] for each in found]

    def p99(subject: str) -> list[float]:
        return [each.latency.p99 for each in among(rows, NAME, HALF, subject) if each.latency]

    verdicts = []
    for ours, strict in (("storefront-redis", True), ("storefront", False)):
        verdicts += [
            ratio_verdict(
                f"personal, highest rate, {ours} / {PIPELINE}",
                ratios(limits(ours), limits(PIPELINE)),
                least=1.0,
                judged=judged and strict,
            ),
            ratio_verdict(
                f"personal at half of it, p99, {ours} / {PIPELINE}",
                ratios(p99(ours), p99(PIPELINE)),
                most=1.5,
                judged=judged and strict,
            ),
        ]
    return verdicts
