"""What the page shows: tables of now, and one point for its charts. PURE.

A percentile is of what was written since the last look, so it is None where nothing was. Those of
the table are of the last minute, for a number that changes every second cannot be read.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from storefront.dashboard.merging import Sum
from storefront.dashboard.reports import Counts, Report, labelled
from storefront.telemetry.metrics_histogram import WAYS, quantile

PUBLISH = "storefront_publish_to_socket_seconds"
RECORD = "storefront_record_to_socket_seconds"
WAYS_TOLD = {"publisher to socket": PUBLISH, "log to socket": RECORD}
SHARES = (0.5, 0.95, 0.99)


class Shape(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A part of the picture."""


class Point(Shape, frozen=True, kw_only=True):
    """One moment of the charts; times in seconds, rates per second."""

    at: float
    live: float
    opening: float
    catching_up: float
    leaving: float
    events_in: float
    events_out: float
    p50: float | None
    p95: float | None
    p99: float | None
    lag: float


class ProcessNow(Shape, frozen=True, kw_only=True):
    """One process; `age` is how old its word is, in seconds."""

    name: str
    worker: int
    version: str
    up: float
    age: float
    streams: int
    lag: float
    consumes: list[str]


class QueueNow(Shape, frozen=True, kw_only=True):
    """A queue; `ready` is None where nobody could tell."""

    queue: str
    consumers: int
    in_hand: int
    oldest: float
    ready: int | None


class BreakerNow(Shape, frozen=True, kw_only=True):
    """A neighbour: in how many processes its breaker is in which state."""

    service: str
    closed: int
    open: int
    probing: int
    opened: int
    refused: int


class CacheNow(Shape, frozen=True, kw_only=True):
    """A view: how often it was asked for, and answered from the cache while that was fresh."""

    view: str
    asked: int
    hits: int
    old: int
    failed: int


class Latency(Shape, frozen=True, kw_only=True):
    """Percentiles in seconds over the last minute, and of how many."""

    way: str
    p50: float | None
    p95: float | None
    p99: float | None
    events: int


class Picture(Shape, frozen=True, kw_only=True):
    """All of it. `alone`: whether the other processes could not be heard."""

    at: float
    point: Point
    processes: list[ProcessNow]
    alone: bool
    customers: int
    latencies: list[Latency]
    queues: list[QueueNow]
    dead_letters: int
    dead_letters_ready: int | None
    breakers: list[BreakerNow]
    cache: list[CacheNow]
    opened: dict[str, int]
    ended: dict[str, int]
    replays: dict[str, int]
    resets: int
    refused: int
    store_durable: bool
    store_away: bool


def point(at: float, now: Sum, lately: Sum) -> Point:
    """One moment of the charts."""
    states = _by_label(now, "storefront_streams_by_state")
    p50, p95, p99 = _quantiles(lately.counts.get(PUBLISH, []))
    return Point(
        at=at,
        live=states.get("live", 0),
        opening=states.get("opening", 0),
        catching_up=states.get("catching-up", 0),
        leaving=states.get("leaving", 0),
        events_in=lately.values.get("storefront_recorder_events_total", 0.0),
        events_out=lately.values.get("storefront_events_written_total", 0.0),
        p50=p50,
        p95=p95,
        p99=p99,
        lag=now.values.get("storefront_loop_lag_seconds", 0.0),
    )


def picture(
    newest: Point, now: Sum, minute: Counts, reports: Sequence[Report], *, alone: bool
) -> Picture:
    """All of it.

    Args:
        newest: its point in the charts.
        now: all processes together.
        minute: what their histograms counted in the last minute.
        reports: of each of them.
        alone: whether others could not be heard.
    """
    deliveries = labelled(now.values, "storefront_deliveries_total")
    resets = _by_label(now, "storefront_streams_opened_total").get("reset", 0)
    return Picture(
        at=newest.at,
        point=newest,
        processes=[_process(each, newest.at) for each in reports],
        alone=alone,
        customers=_whole(now, "storefront_stream_customers"),
        latencies=[_latency(way, minute.get(metric, [])) for way, metric in WAYS_TOLD.items()],
        queues=_queues(now),
        dead_letters=int(sum(n for (outcome, _), n in deliveries.items() if outcome == _DEAD)),
        dead_letters_ready=_known(now.values.get("storefront_dead_letters_ready")),
        breakers=_breakers(now),
        cache=_cache(now),
        opened=_by_label(now, "storefront_streams_opened_total"),
        ended=_by_label(now, "storefront_streams_ended_total"),
        replays=_by_label(now, "storefront_replays_total"),
        resets=resets + _whole(now, "storefront_streams_reset_total"),
        refused=_whole(now, "storefront_streams_refused_total"),
        store_durable=bool(now.values.get("storefront_store_durable", 1)),
        store_away=bool(now.values.get("storefront_recorder_store_away", 0)),
    )


_DEAD = "dead-letter"


def _process(told: Report, at: float) -> ProcessNow:
    consuming = labelled(told.values, "storefront_queue_consuming")
    states = labelled(told.values, "storefront_streams_by_state")
    return ProcessNow(
        name=told.process.name,
        worker=told.process.worker,
        version=told.process.version,
        up=max(0.0, at - told.process.started_at),
        age=max(0.0, at - told.at),
        streams=int(sum(states.values())),
        lag=told.values.get("storefront_loop_lag_seconds", 0.0),
        consumes=sorted(queue for (queue,), mine in consuming.items() if mine),
    )


def _queues(now: Sum) -> list[QueueNow]:
    consuming = labelled(now.values, "storefront_queue_consuming")
    in_hand = labelled(now.values, "storefront_queue_in_hand")
    oldest = labelled(now.values, "storefront_queue_oldest_seconds")
    ready = labelled(now.values, "storefront_queue_ready")
    return [
        QueueNow(
            queue=key[0],
            consumers=int(consuming[key]),
            in_hand=int(in_hand.get(key, 0)),
            oldest=oldest.get(key, 0.0),
            ready=_known(ready.get(key)),
        )
        for key in sorted(consuming)
    ]


def _breakers(now: Sum) -> list[BreakerNow]:
    states = labelled(now.values, "storefront_breaker_state")
    opened = _by_label(now, "storefront_downstream_opened_total")
    refused = _by_label(now, "storefront_downstream_refused_total")
    return [
        BreakerNow(
            service=service,
            closed=int(states.get((service, "closed"), 0)),
            open=int(states.get((service, "open"), 0)),
            probing=int(states.get((service, "probing"), 0)),
            opened=opened.get(service, 0),
            refused=refused.get(service, 0),
        )
        for service in sorted({service for service, _ in states})
    ]


def _cache(now: Sum) -> list[CacheNow]:
    found: dict[str, dict[str, int]] = {}
    for (view, outcome), count in labelled(now.values, "storefront_views_total").items():
        found.setdefault(view, {})[outcome] = int(count)
    return [
        CacheNow(
            view=view,
            asked=sum(outcomes.values()),
            hits=_beginning(outcomes, "cached"),
            old=_beginning(outcomes, "expired"),
            failed=outcomes.get("unavailable", 0),
        )
        for view, outcomes in sorted(found.items())
    ]


def _beginning(outcomes: dict[str, int], how: str) -> int:
    """Those that were so, whole or in part."""
    return sum(count for outcome, count in outcomes.items() if outcome.startswith(how))


def _latency(way: str, counts: Sequence[int]) -> Latency:
    p50, p95, p99 = _quantiles(counts)
    return Latency(way=way, p50=p50, p95=p95, p99=p99, events=sum(counts))


def _quantiles(counts: Sequence[int]) -> list[float | None]:
    return [quantile(share, WAYS, counts) for share in SHARES]


def _by_label(now: Sum, metric: str) -> dict[str, int]:
    return {key[0]: int(value) for key, value in labelled(now.values, metric).items()}


def _whole(now: Sum, metric: str) -> int:
    return int(now.values.get(metric, 0))


def _known(value: float | None) -> int | None:
    return None if value is None else int(value)
