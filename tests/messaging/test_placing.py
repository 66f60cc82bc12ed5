"""Whose order it is, where the store does not say it of this one: it waits, and holds no other."""

from __future__ import annotations

import pytest

from storefront.errors import StoreUnavailableError
from storefront.messaging.placing import Placing
from storefront.store.contract import Refused
from storefront.store.memory import MemoryStore


class OneServerGone(MemoryStore):
    """Whatever is asked of some orders is refused; see contract, promise 6."""

    def __init__(self):
        super().__init__(window=300.0, kept_ids=5, token=lambda: "t")
        self.gone = set()

    async def owner(self, order, *, now):
        if order in self.gone:
            return Refused("unreachable", "its server is gone")
        return await super().owner(order, now=now)


@pytest.fixture
def asked():
    return []


@pytest.fixture
def store():
    return OneServerGone()


@pytest.fixture
def placing(store, asked):
    async def ask_orders(order):
        asked.append(order)

    return Placing(store, ask_orders=ask_orders, clock=lambda: 0.0)


async def test_a_look_that_holds_everybody_goes_on_without_an_answer_that_is_refused(
    store, placing
):
    await store.place([("1", "alice"), ("2", "bob")], now=0.0)
    store.gone = {"1"}
    assert await placing.recall("1") is None
    assert await placing.recall("2") == "bob"
    assert placing.remembered("1") is None


async def test_an_order_that_the_store_may_know_is_waited_for_and_orders_is_not_asked(
    store, placing, asked
):
    await store.place([("1", "alice")], now=0.0)
    store.gone = {"1"}
    with pytest.raises(StoreUnavailableError, match="its server is gone"):
        await placing.find("1")
    assert asked == []
    store.gone = set()
    assert await placing.find("1") == "alice"
