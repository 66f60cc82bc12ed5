"""Everything behind the front door: the tasks that leave last, in three departments.

    run_back_office
    ├─ streaming     follower (store notifications → hub), heartbeat, heads
    ├─ pages         view caches, keys (where they are fetched), the sampler of the loop's lag
    ├─ dashboard     the sampler of everything else, and what waits on the broker
    └─ intake        consumers (one per queue) → dispatcher (a serial queue per customer) → recorder

What is not an expected error leaves through these nurseries and ends the process with a traceback.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import trio

from storefront.back_office.intake import open_intake
from storefront.back_office.pages import Pages, open_pages
from storefront.back_office.shop import Ports, Shop
from storefront.back_office.streaming import Streaming, make_streaming
from storefront.dashboard.reports import Process
from storefront.dashboard.sampler import Dashboard
from storefront.messaging.recorder import Recorder
from storefront.messaging.watched import WatchedBroker
from storefront.settings import Settings
from storefront.store.contract import Store
from storefront.store.watched import System, WatchedStore
from storefront.telemetry.metrics import Metrics
from storefront.telemetry.span_counts import SPANS
from storefront.web.app import create_app
from storefront.web.parts import Readiness, WebParts

__all__ = ["Ports", "Shop", "run_back_office"]


async def run_back_office(
    settings: Settings,
    ports: Ports,
    *,
    task_status: trio.TaskStatus[Shop] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run everything behind the front door until cancelled; `started()` carries the Shop."""
    ports, watched = _watched(settings, ports)
    metrics = Metrics(_about(ports.me))
    streaming = make_streaming(settings, ports)
    async with (
        open_intake(settings, ports, metrics) as intake,
        open_pages(settings, ports) as pages,
        trio.open_nursery() as nursery,
    ):
        dashboard = _dashboard(ports, metrics, streaming)
        shop = _shop(settings, ports, metrics, streaming, pages, dashboard=dashboard)
        shop.readiness.parts["store"] = partial(_condition, ports.store, intake.recorder)
        if (ring := pages.tokens.ring) is not None:
            shop.readiness.parts["keys"] = ring.condition
        for department in (streaming, pages, intake, ports.store, watched, SPANS):
            metrics.read_from(department.readings)
        await nursery.start(streaming.run)
        await nursery.start(pages.run)
        await nursery.start(intake.run, shop)
        if dashboard is not None:
            metrics.read_from(dashboard.readings)
            nursery.start_soon(watched.run)
            nursery.start_soon(dashboard.run, shop.stopping)
        task_status.started(shop)


def _shop(
    settings: Settings,
    ports: Ports,
    metrics: Metrics,
    streaming: Streaming,
    pages: Pages,
    *,
    dashboard: Dashboard | None,
) -> Shop:
    readiness = Readiness()
    parts = WebParts(
        auth=settings.auth,
        streams=settings.streams,
        tokens=pages.tokens,
        hub=streaming.hub,
        heartbeat=streaming.heartbeat,
        fan_out=streaming.fan_out,
        log=streaming.replays,
        pauses=streaming.pauses,
        metrics=metrics,
        readiness=readiness,
        clock=ports.clock,
        pages=ports.pages,
        commands=pages.commands,
        tickets=pages.tickets,
        views=pages.views,
        admit=pages.shedding.admit,
        dashboard=dashboard,
        metrics_apart=settings.serving.metrics_bind is not None,
        worker=ports.me.worker,
    )
    metrics.read_from(parts.durations.readings)
    return Shop(
        app=create_app(parts),
        hub=streaming.hub,
        pauses=streaming.pauses,
        metrics=metrics,
        readiness=readiness,
    )


def _watched(settings: Settings, ports: Ports) -> tuple[Ports, WatchedBroker]:
    """The same ports, with somebody at each who counts."""
    broker = WatchedBroker(ports.broker)
    system: System = "sqlite" if settings.store.redis_url is None else "redis"
    store = WatchedStore(ports.store, system)
    return replace(ports, broker=broker, store=store), broker


def _dashboard(ports: Ports, metrics: Metrics, streaming: Streaming) -> Dashboard | None:
    if ports.board is None:
        return None
    return Dashboard(
        ports.me,
        metrics.readings,
        ports.board,
        clock=ports.clock,
        chores=(streaming.count_states,),
    )


def _about(me: Process) -> dict[str, str]:
    """What OpenTelemetry calls a process; none that is not told."""
    if not me.name:
        return {}
    return {
        "service_name": "storefront",
        "service_version": me.version,
        "service_instance_id": me.name,
        "worker": str(me.worker or ""),
    }


def _condition(store: Store, recorder: Recorder) -> str:
    words = ("durable" if store.durable else "not durable", recorder.condition())
    return ", ".join(filter(None, words))
