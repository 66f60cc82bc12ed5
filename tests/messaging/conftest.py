"""The way of a delivery on virtual time: the real dispatcher and recorder, over memory."""

from __future__ import annotations

import itertools
import json
import uuid
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial

import pytest
import trio

from storefront.domain.translate import Totals
from storefront.errors import BrokerError
from storefront.messaging.broker import Queue
from storefront.messaging.consumer import stand_by
from storefront.messaging.dispatch import Dispatcher
from storefront.messaging.envelope import wolverine
from storefront.messaging.memory import MemoryBroker
from storefront.messaging.placing import Placing
from storefront.messaging.recorder import HELD, Recorder
from storefront.store.memory import MemoryStore
from storefront.supervise import keep_running
from tests.store.faulty import FaultyStore

EPOCH = 1_790_000_000.0
QUEUE = Queue(name="storefront-notifications", arguments={}, dead_letters="dead")
ALICE = "11111111-1111-1111-1111-111111111111"
BOB = "22222222-2222-2222-2222-222222222222"


def guid(number: int) -> str:
    return str(uuid.UUID(int=number))


@dataclass
class Neighbours:
    """Shopping and Orders as a test wants them: answers, delays and outages by id."""

    carts: dict[str, Totals] = field(default_factory=dict)
    orders: dict[str, str] = field(default_factory=dict)
    slow: dict[str, float] = field(default_factory=dict)
    fails: Exception | None = None
    asked: Counter[str] = field(default_factory=Counter)
    asked_for: set[tuple[str, str]] = field(default_factory=set)

    async def totals(self, cart: str, customer: str) -> Totals | None:
        self.asked_for.add((cart, customer))
        return self.carts.get(await self._answer(cart))

    async def customer(self, order: str) -> str | None:
        return self.orders.get(await self._answer(order))

    async def _answer(self, key: str) -> str:
        self.asked[key] += 1
        await trio.sleep(self.slow.get(key, 0))
        if self.fails is not None:
            raise self.fails
        return key


@dataclass
class Office:
    """A consumer at work."""

    broker: MemoryBroker
    store: FaultyStore
    neighbours: Neighbours
    stopping: trio.Event
    left: trio.Event
    recorder: Recorder
    dispatcher: Dispatcher | None = None
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    states: list[str] = field(default_factory=list)
    recorded: list = field(default_factory=list)
    serial: itertools.count = field(default_factory=lambda: itertools.count(1))

    def settled(self, outcome: str, kind: str) -> None:
        self.outcomes[outcome, kind] += 1

    async def publish(self, kind: str, body: dict | bytes, **changes) -> None:
        given = body if isinstance(body, dict) else {}
        message = wolverine(
            f"Messages.Contracts.{kind}",
            given,
            message_id=guid(next(self.serial)),
            sent_at=EPOCH,
            source="Test",
        )
        if isinstance(body, bytes):
            changes["body"] = body
        await self.broker.publish(QUEUE.name, _replace(message, **changes))

    async def add_item(
        self, customer: str = ALICE, cart: int = 1, count: int | None = 1, **changes
    ) -> None:
        body: dict[str, object] = {
            "cartId": guid(cart),
            "customerId": customer,
            "addedAt": "2026-02-17T21:58:44+00:00",
        }
        if count is not None:
            body |= {"itemCount": count, "totalAmount": Decimal("1.00")}
        await self.publish("Shopping.ItemAdded", body, **changes)

    async def place_order(self, order: int, customer: str = ALICE) -> None:
        await self.publish(
            "Orders.OrderPlaced",
            {
                "orderId": guid(order),
                "customerId": customer,
                "placedAt": "2026-02-17T22:00:00+00:00",
            },
        )

    async def authorize(self, order: int) -> None:
        await self.publish(
            "Payments.PaymentAuthorized",
            {
                "paymentId": guid(7),
                "orderId": guid(order),
                "authorizedAt": "2026-02-17T22:00:01+00:00",
            },
        )

    def events(self, customer: str = ALICE) -> list[dict]:
        return [json.loads(entry.payload) for entry in self.recorded if entry.customer == customer]

    @property
    def unsettled(self) -> int:
        return self.broker.depth(QUEUE.name)


def _replace(message, **changes):
    from dataclasses import replace

    return replace(message, **changes)


def clock() -> float:
    return EPOCH + trio.current_time()


# Deliveries that may be in hand: twice the prefetch.
IN_HAND = 200


@pytest.fixture
async def office(nursery):
    store = FaultyStore(
        MemoryStore(window=300.0, kept_ids=200, token=(f"e{n}" for n in itertools.count()).__next__)
    )
    async with open_office(nursery, store, MemoryBroker(), Neighbours()) as made:
        yield made
    nursery.cancel_scope.cancel()


@asynccontextmanager
async def open_office(
    nursery: trio.Nursery,
    store: FaultyStore,
    broker: MemoryBroker,
    neighbours: Neighbours,
    *,
    held: int = HELD,
):
    """Everything from the broker to the store, at work in the nursery."""
    stopping, left = trio.Event(), trio.Event()
    recorder = Recorder(store, clock=clock, room=100, held=held)
    made = Office(broker, store, neighbours, stopping, left, recorder)
    made.dispatcher = Dispatcher(
        recorder=recorder,
        placing=Placing(store, ask_orders=neighbours.customer, clock=clock),
        ask_shopping=neighbours.totals,
        watch=made,
        clock=clock,
        in_hand=IN_HAND,
    )
    nursery.start_soon(broker.run)
    nursery.start_soon(recorder.run)
    await nursery.start(made.dispatcher.run)
    await nursery.start(partial(store.follow, made.recorded.extend, lambda: None))

    async def consume() -> None:
        consume = partial(
            stand_by,
            broker,
            QUEUE,
            made.dispatcher,
            prefetch=100,
            stopping=stopping,
            tell=made.states.append,
        )
        await keep_running("consumer", consume, on=BrokerError, stopping=stopping)
        left.set()

    nursery.start_soon(consume)
    await trio.testing.wait_all_tasks_blocked()
    yield made
