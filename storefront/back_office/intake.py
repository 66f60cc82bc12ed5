"""From the queues into the log: consumers, dispatcher, recorder, and the questions they ask.

The questions have connections and breakers of their own: a flood of views must not keep a message
from its answer, nor the other way round.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import trio

from storefront.back_office.shop import Ports, Shop
from storefront.consumers import keep_consuming, most_unsettled
from storefront.downstream.guard import Guard
from storefront.downstream.http import open_http
from storefront.downstream.orders import Orders
from storefront.downstream.services import policy
from storefront.downstream.shopping import Shopping
from storefront.messaging.broker import Broker
from storefront.messaging.dispatch import Dispatcher
from storefront.messaging.outcomes import Watch
from storefront.messaging.placing import Placing
from storefront.messaging.recorder import Recorder
from storefront.settings import MessagingSettings, ServicesSettings, Settings
from storefront.telemetry.metrics import Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """Opened by `open_intake`; `run` keeps it going."""

    settings: MessagingSettings
    broker: Broker
    recorder: Recorder
    dispatcher: Dispatcher

    async def run(self, shop: Shop, *, task_status: trio.TaskStatus[None]) -> None:
        """Consume until the shop is leaving, and record until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.recorder.run)
            await nursery.start(self.dispatcher.run)
            task_status.started()
            await keep_consuming(
                self.settings,
                self.broker,
                self.dispatcher,
                stopping=shop.stopping,
                parts=shop.readiness.parts,
            )
            shop.consumers_left.set()

    def readings(self) -> Iterable[Reading]:
        """For /metrics."""
        return self.recorder.readings()


@asynccontextmanager
async def open_intake(settings: Settings, ports: Ports, watch: Watch) -> AsyncIterator[Intake]:
    """The rooms of messaging/, joined, with those whom they ask."""
    unsettled = most_unsettled(settings.messaging)
    recorder = Recorder(ports.store, clock=ports.clock, room=unsettled)
    async with _neighbours(settings.services, ports.uniform) as (shopping, orders):
        yield Intake(
            settings=settings.messaging,
            broker=ports.broker,
            recorder=recorder,
            dispatcher=Dispatcher(
                recorder=recorder,
                placing=Placing(ports.store, ask_orders=orders.customer, clock=ports.clock),
                ask_shopping=shopping.totals,
                watch=watch,
                clock=ports.clock,
                in_hand=2 * unsettled,
            ),
        )


@asynccontextmanager
async def _neighbours(
    settings: ServicesSettings, uniform: Callable[[float, float], float]
) -> AsyncIterator[tuple[Shopping, Orders]]:
    # Nobody looks at a screen for these answers: an attempt may take all of the time there is.
    patient = settings.question_timeout
    patience = policy(settings, attempt=patient)
    places = settings.connections_per_service
    opened = partial(open_http, connections=places, connect_timeout=patient)
    async with (
        opened("shopping", settings.shopping_url) as shopping,
        opened("orders", settings.orders_url) as orders,
    ):
        yield (
            Shopping(shopping, Guard("shopping", patience, uniform=uniform)),
            Orders(orders, Guard("orders", patience, uniform=uniform)),
        )
