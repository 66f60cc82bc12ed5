"""The cart page: cold, from the cache, and without Catalog.

*Cold*: 200 carts that nobody asked for before, of ten products that nobody else has; Shopping and
Catalog answer in 20 ms. Two round trips (the cart, then all its products at once) are 40 ms that
nobody can save; 25 ms more are ours.

*Cached*: one cart that is fresh in the cache, and a route of fixed JSON of the same size in the
same app on the same server, asked for by turns on one connection. Their ratio is what a view costs
beyond serving bytes: the token, the rate limit, the cache, the ETag.

*Degraded*: Catalog refuses connections, or takes them and never answers. The view must come within
its deadline and say that it is not complete.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.clients.remote import Askers
from bench.floor import Floor
from bench.measure.latency import Latency
from bench.measure.processes import Usage
from bench.measure.samples import Column
from bench.options import Options
from bench.report.rows import Row, Verdict, among, bound_verdict, ratio_verdict
from bench.scenarios.shop import ANSWER, cart_requests, run_neighbours
from bench.servers.storefront import Storefront
from bench.servers.subject import get

NAME = "views"
STORY = "the cart page: cold, cached, degraded"

COLD, CACHED, STILL = "cold, 10 SKUs", "cached", "fixed JSON"
REFUSED, SILENT = "Catalog refuses", "Catalog is silent"
OURS = 25.0  # ms beyond two round trips
DEADLINE, LEEWAY = 1000.0, 100.0  # ms
AN_HOUR = "3600"  # what is cached stays fresh over a run


async def run(floor: Floor, number: int) -> list[Row]:
    """One round. The fixed route needs a view's size, so one is asked for first."""
    async with run_neighbours(floor, shared_skus=False) as around:
        settings = around.settings | {
            "CACHE_FRESH": AN_HOUR,
            "CACHE_KEPT": AN_HOUR,
            "QUERY_RATE": "1000000",
        }
        body = await _a_body(floor, settings)
        async with (
            floor.storefront(settings, observed=True, still=body) as subject,
            floor.askers() as askers,
        ):
            rows = [await _cold(floor, subject, askers, number)]
            rows += await _cached(floor, subject, askers, number)
            around.by_name["catalog"].freeze()
            rows.append(await _degraded(floor, subject, askers, number, SILENT, first=20_000))
            around.by_name["catalog"].kill()
        # A process of its own: the breaker of the first remembers Catalog's silence.
        async with (
            floor.storefront(settings) as subject,
            floor.askers() as askers,
        ):
            rows.append(await _degraded(floor, subject, askers, number, REFUSED, first=30_000))
    return rows


async def _a_body(floor: Floor, settings: dict[str, str]) -> bytes:
    async with floor.storefront(settings) as subject, floor.askers() as askers:
        await askers.connect(subject.port, cart_requests([0]), connections=1)
        # The second is from the cache, and is the one whose size counts.
        asked = await askers.ask(count=2)
        return asked.sample.encode()


async def _cold(floor: Floor, subject: Storefront, askers: Askers, number: int) -> Row:
    count = floor.options.pick(200, 20)
    floor.say(f"views: {count} cold carts")
    warm = 10
    await askers.connect(subject.port, cart_requests(range(1, 1 + warm + count)), connections=1)
    await askers.ask(count=warm)
    meter = floor.meter(lambda: list(subject.pids()))
    meter.start()
    asked = await askers.ask(count=count, first=warm)
    usage = meter.read()
    notes = _complaints(asked.statuses, asked.said, '"freshness":"live"', count)
    return _row(number, COLD, asked.done - asked.asked, usage, notes)


async def _cached(floor: Floor, subject: Storefront, askers: Askers, number: int) -> list[Row]:
    pairs = floor.options.pick(1000, 100)
    floor.say(f"views: {pairs} cached carts, {pairs} times fixed JSON")
    (cart,) = cart_requests([0])
    still = get("/bench/still", accept="application/json")
    # Who comes first turns around with the round.
    both = [cart, still] if number % 2 else [still, cart]
    await askers.connect(subject.port, both, connections=1)
    await askers.ask(count=40)
    meter = floor.meter(lambda: list(subject.pids()))
    meter.start()
    asked = await askers.ask(count=2 * pairs)
    usage = meter.read()
    took = asked.done - asked.asked
    is_cart = asked.which % 2 == both.index(cart)
    # The fixed JSON is the view's own, to the byte, and says the same.
    notes = _complaints(asked.statuses, asked.said, '"freshness":"cached"', 2 * pairs)
    return [
        _row(number, CACHED, took[is_cart], usage, notes),
        _row(number, STILL, took[~is_cart], usage, [f"{len(asked.sample)} bytes"]),
    ]


async def _degraded(
    floor: Floor, subject: Storefront, askers: Askers, number: int, case: str, *, first: int
) -> Row:
    count = floor.options.pick(60, 6)
    floor.say(f"views: {count} carts while {case}")
    await askers.connect(subject.port, cart_requests(range(first, first + count)), connections=1)
    meter = floor.meter(lambda: list(subject.pids()))
    meter.start()
    asked = await askers.ask(count=count)
    usage = meter.read()
    notes = _complaints(asked.statuses, asked.said, '"complete":false', count)
    return _row(number, case, asked.done - asked.asked, usage, notes)


def _complaints(
    statuses: dict[str, int], said: dict[str, int], wanted: str, count: int
) -> list[str]:
    found = []
    if set(statuses) != {"200"}:
        found.append(f"not all were 200: {statuses}")
    if said.get(wanted, 0) != count:
        found.append(f"{wanted} was said by {said.get(wanted, 0)} of {count}")
    return found


def _row(number: int, case: str, took: Column, usage: Usage, notes: Sequence[str]) -> Row:
    return Row(
        scenario=NAME,
        case=case,
        subject="storefront",
        round=number,
        rate=len(took) / usage.seconds,
        latency=Latency.of(took.tolist()),
        usage=usage,
        figures={"complaints": float(len([note for note in notes if "bytes" not in note]))},
        # One asker on one connection is as busy as what it asks.
        flat_out=True,
        notes=notes,
    )


def judge(rows: Sequence[Row], options: Options) -> list[Verdict]:
    """Cold within 65 ms, cached within a quarter of fixed JSON, degraded within the deadline."""
    judged = not options.quick

    def p50(case: str) -> list[float]:
        return [row.latency.p50 for row in among(rows, NAME, case) if row.latency]

    def slowest(case: str) -> list[float]:
        return [row.latency.max for row in among(rows, NAME, case) if row.latency]

    cached = [a / b for a, b in zip(p50(CACHED), p50(STILL), strict=True)]
    complaints = [row.figures["complaints"] for row in among(rows, NAME)]
    return [
        bound_verdict(
            "views that said something else than they should",
            [sum(complaints)],
            most=0,
            judged=True,
        ),
        bound_verdict(
            "view, cold, median", p50(COLD), most=2 * ANSWER + OURS, unit=" ms", judged=judged
        ),
        ratio_verdict("view, cached / fixed JSON, medians", cached, most=1.25, judged=judged),
        bound_verdict(
            "view, Catalog refuses, slowest",
            slowest(REFUSED),
            most=DEADLINE + LEEWAY,
            unit=" ms",
            judged=judged,
        ),
        bound_verdict(
            "view, Catalog is silent, slowest",
            slowest(SILENT),
            most=DEADLINE + LEEWAY,
            unit=" ms",
            judged=judged,
        ),
    ]
