"""What the rooms count themselves, as Prometheus asks for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict

from storefront.downstream.breaker import State
from storefront.downstream.guard import Guard
from storefront.realtime.hub import Hub
from storefront.realtime.replay import LogReader
from storefront.serving import ServingWatch
from storefront.telemetry.metrics import Reading


def of_hub(hub: Hub) -> Iterable[Reading]:
    """Who is listening."""
    now = hub.statistics()
    yield "storefront_streams", "Streams open now.", {}, now.streams
    yield "storefront_stream_customers", "Customers with a stream open now.", {}, now.customers
    yield "storefront_events_published_total", "Events that had a listener.", {}, now.published
    yield "storefront_streams_refused_total", "Streams there was no room for.", {}, now.refused
    if hub.watch is not None:
        yield from hub.watch.readings()
    for reason, ended in now.ended.items():
        labels: dict[str, str] = {"reason": reason}
        yield "storefront_streams_ended_total", "Streams that ended, by reason.", labels, ended


def of_replays(log: LogReader) -> Iterable[Reading]:
    """How those who came back or fell behind were answered."""
    now = log.statistics()
    name, words = "storefront_replays_total", "Pieces of a log asked for, by who answered."
    yield name, words, {"from": "memory"}, now.remembered
    yield name, words, {"from": "store"}, now.read
    yield "storefront_recent_bytes", "Events kept in memory for replays.", {}, now.kept


def of_neighbours(guards: Mapping[str, Guard]) -> Iterable[Reading]:
    """How each service has been, from here."""
    for service, guard in guards.items():
        now, whose = guard.statistics(), {"service": service}
        yield (
            "storefront_downstream_closed",
            "1 while a service is asked as usual.",
            whose,
            now.state == "closed",
        )
        for state in State:
            words = "1 for the state a breaker is in."
            labels = whose | {"state": state.value}
            yield "storefront_breaker_state", words, labels, now.state == state.value
        yield "storefront_downstream_in_flight", "Attempts under way.", whose, now.in_flight
        yield "storefront_downstream_waiting", "Callers without a place.", whose, now.waiting
        yield "storefront_downstream_opened_total", "Openings of a breaker.", whose, now.opened
        yield "storefront_downstream_retries_total", "Questions asked twice.", whose, now.retries
        yield "storefront_downstream_refused_total", "Callers turned away.", whose, now.refused
        for outcome, count in now.outcomes.items():
            labels = whose | {"outcome": outcome}
            yield "storefront_downstream_attempts_total", "Attempts, by end.", labels, count


def of_serving(watch: ServingWatch) -> Iterable[Reading]:
    """How the HTTP server is."""
    for name, value in asdict(watch.statistics()).items():
        yield f"storefront_http_{name}", f"Of the HTTP server: {name.replace('_', ' ')}.", {}, value
