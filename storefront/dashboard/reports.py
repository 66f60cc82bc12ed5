"""What one process tells of itself: the numbers of its /metrics that the dashboard shows. PURE."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from storefront.telemetry.metrics import Reading
from storefront.telemetry.metrics_histogram import Histogram

# What is shown, and what several processes make of it: `sum`, or for what each of them sees of the
# same thing, or what is as bad as the worst, `max` or `min`.
SHOWN = {
    "storefront_streams_by_state": "sum",
    "storefront_stream_customers": "sum",
    "storefront_streams_opened_total": "sum",
    "storefront_streams_ended_total": "sum",
    "storefront_streams_reset_total": "sum",
    "storefront_streams_refused_total": "sum",
    "storefront_replays_total": "sum",
    "storefront_events_written_total": "sum",
    "storefront_recorder_events_total": "sum",
    "storefront_deliveries_total": "sum",
    "storefront_queue_consuming": "sum",
    "storefront_queue_in_hand": "sum",
    "storefront_queue_oldest_seconds": "max",
    "storefront_queue_ready": "max",
    "storefront_dead_letters_ready": "max",
    "storefront_loop_lag_seconds": "max",
    "storefront_breaker_state": "sum",
    "storefront_downstream_opened_total": "sum",
    "storefront_downstream_refused_total": "sum",
    "storefront_views_total": "sum",
    "storefront_store_durable": "min",
    "storefront_recorder_store_away": "max",
    "storefront_publish_to_socket_seconds": "sum",
    "storefront_record_to_socket_seconds": "sum",
}
# Between a name and its labels' values. None of ours has it in a value.
_JOINT = "|"

Values = dict[str, float]
Counts = dict[str, list[int]]


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """Who reports.

    Attributes:
        name: no other process has it, nor had; a worker that is started anew has another.
        worker: its number, 0 where there are none.
        version: of Storefront.
        started_at: seconds since 1970.
    """

    name: str
    worker: int
    version: str
    started_at: float


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """How a process is at one moment.

    Attributes:
        process: which.
        at: seconds since 1970.
        values: gauges and counters since it began.
        counts: of histograms, by bucket.
    """

    process: Process
    at: float
    values: Values
    counts: Counts


def report(process: Process, at: float, readings: Iterable[Reading]) -> Report:
    """What there is to tell."""
    values: Values = {}
    counts: Counts = {}
    for name, _, labels, value in readings:
        if name not in SHOWN:
            continue
        key = _JOINT.join([name, *labels.values()])
        if isinstance(value, Histogram):
            counts[key] = list(value.counts)
        else:
            # Two departments may count the same (each its own guards): it is one number here.
            values[key] = values.get(key, 0) + float(value)
    return Report(process=process, at=at, values=values, counts=counts)


def metric_of(key: str) -> str:
    """The metric that a key belongs to."""
    return key.partition(_JOINT)[0]


def labelled(values: Values, metric: str) -> dict[tuple[str, ...], float]:
    """The values of a metric, by those of its labels."""
    parts = ((key.split(_JOINT), value) for key, value in values.items())
    return {tuple(labels): value for (name, *labels), value in parts if name == metric}


def written(told: Report) -> bytes:
    """For the board."""
    return msgspec.json.encode(told)


def read(said: bytes) -> Report | None:
    """From the board; None for what is no report, as another version's may be."""
    try:
        return msgspec.json.decode(said, type=Report)
    except msgspec.DecodeError:
        return None
