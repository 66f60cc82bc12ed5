"""The composition root that `serve` uses, on virtual time, over a store and a broker in memory."""

from __future__ import annotations

import itertools
import uuid
from dataclasses import dataclass, field
from decimal import Decimal

import pytest
import trio

from storefront.back_office import Ports, Shop, run_back_office
from storefront.consumers import usual_queue
from storefront.messaging.envelope import wolverine
from storefront.messaging.memory import MemoryBroker
from storefront.settings import (
    AuthSettings,
    MessagingSettings,
    ServicesSettings,
    Settings,
    StreamSettings,
)
from storefront.store.memory import MemoryStore
from storefront.web.auth import mint

EPOCH = 1_790_000_000.0  # what the wall clock says when the virtual clock says 0
SECRET = "a secret of at least thirty-two bytes"
QUEUE = "storefront-notifications"
ALICE = "11111111-1111-1111-1111-111111111111"
BOB = "22222222-2222-2222-2222-222222222222"


def wall_clock() -> float:
    return EPOCH + trio.current_time()


@dataclass
class World:
    """The shop under test and its surroundings."""

    shop: Shop
    settings: Settings
    store: MemoryStore
    broker: MemoryBroker
    serial: itertools.count = field(default_factory=lambda: itertools.count(1))

    @property
    def app(self):
        return self.shop.app

    def token(
        self, customer: str | None = ALICE, lifetime: float = 3600.0, roles: tuple[str, ...] = ()
    ) -> str:
        return mint(
            self.settings.auth, customer=customer, now=wall_clock(), lifetime=lifetime, roles=roles
        )

    async def publish(self, kind: str, body: dict, message_id: str | None = None) -> None:
        message = wolverine(
            f"Messages.Contracts.{kind}",
            body,
            message_id=message_id or str(uuid.UUID(int=next(self.serial))),
            sent_at=wall_clock(),
            source="Test",
        )
        await self.broker.publish(usual_queue(self.settings.messaging, message.type), message)

    async def add_item(self, customer: str = ALICE, count: int = 1, total: str = "39.98") -> None:
        await self.publish(
            "Shopping.ItemAdded",
            {
                "cartId": "019c5dd6-29d2-7fb9-9d90-cf760997d1c0",
                "customerId": customer,
                "itemCount": count,
                "totalAmount": Decimal(total),
                "occurredAt": "2026-02-17T21:58:44.1234567+00:00",
            },
        )


SETTINGS = Settings(
    auth=AuthSettings(
        jwt_secret=SECRET, cookie_name="storefront", cors_origins=("http://localhost:5238",)
    ),
    streams=StreamSettings(max_streams=50, max_streams_per_customer=3),
    messaging=MessagingSettings(prefetch=100),
    # Nobody is there: what would be asked of a neighbour fails at once.
    services=ServicesSettings(shopping_url="http://127.0.0.1:9", orders_url="http://127.0.0.1:9"),
)


@pytest.fixture
async def world(nursery, autojump_clock):
    store = MemoryStore(
        window=300.0, kept_ids=200, token=(f"e{n}" for n in itertools.count()).__next__
    )
    broker = MemoryBroker()
    nursery.start_soon(broker.run)
    ports = Ports(
        store=store, broker=broker, clock=wall_clock, uniform=lambda low, high: (low + high) / 2
    )
    shop = await nursery.start(run_back_office, SETTINGS, ports)
    await trio.testing.wait_all_tasks_blocked()
    yield World(shop, SETTINGS, store, broker)
    nursery.cancel_scope.cancel()
