"""Everything behind the front door: the tasks that leave last, in three departments.

    run_back_office
    ├─ streaming     follower (store notifications → hub), heartbeat, heads
    ├─ pages         view caches, keys (where they are fetched), the sampler of the loop's lag
    └─ intake        consumers (one per queue) → dispatcher (a lane per customer) → recorder

What is not an expected error leaves through these nurseries and ends the process with a traceback.
"""

from __future__ import annotations

from functools import partial

import trio

from storefront.back_office.intake import open_intake
from storefront.back_office.pages import Pages, open_pages
from storefront.back_office.shop import Ports, Shop
from storefront.back_office.streaming import Streaming, make_streaming
from storefront.messaging.recorder import Recorder
from storefront.settings import Settings
from storefront.store.contract import Store
from storefront.telemetry.metrics import Metrics
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
    metrics = Metrics()
    streaming = make_streaming(settings, ports)
    async with (
        open_intake(settings, ports, metrics) as intake,
        open_pages(settings, ports) as pages,
        trio.open_nursery() as nursery,
    ):
        shop = _shop(settings, ports, metrics, streaming, pages)
        shop.readiness.parts["store"] = partial(_condition, ports.store, intake.recorder)
        if (ring := pages.tokens.ring) is not None:
            shop.readiness.parts["keys"] = ring.condition
        for department in (streaming, pages, intake, ports.store):
            metrics.read_from(department.readings)
        await nursery.start(streaming.run)
        await nursery.start(pages.run)
        await nursery.start(intake.run, shop)
        task_status.started(shop)


def _shop(
    settings: Settings, ports: Ports, metrics: Metrics, streaming: Streaming, pages: Pages
) -> Shop:
    readiness = Readiness()
    parts = WebParts(
        auth=settings.auth,
        streams=settings.streams,
        tokens=pages.tokens,
        hub=streaming.hub,
        heartbeat=streaming.heartbeat,
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
    )
    return Shop(
        app=create_app(parts),
        hub=streaming.hub,
        pauses=streaming.pauses,
        metrics=metrics,
        readiness=readiness,
    )


def _condition(store: Store, recorder: Recorder) -> str:
    words = ("durable" if store.durable else "not durable", recorder.condition())
    return ", ".join(filter(None, words))
