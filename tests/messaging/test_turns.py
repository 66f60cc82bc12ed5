"""Whose turn it is when somebody has to be waited for: the store's word, and a neighbour's at the end."""

from __future__ import annotations

import trio

from storefront.errors import StoreUnavailableError
from storefront.messaging.consumer import FINISH_WITHIN
from tests.messaging.conftest import ALICE, EPOCH, guid


async def test_what_the_store_is_asked_about_is_passed_by_nothing_that_came_behind_it(
    office, autojump_clock, monkeypatch
):
    """As after a restart: the store knows whose the order is, and this process does not yet."""

    async def owner(_order, *, now):
        await trio.sleep(0.1)
        return ALICE

    monkeypatch.setattr(office.store, "owner", owner)
    await office.authorize(9)
    await office.add_item(count=1)
    await office.authorize(9)
    await office.add_item(count=2)
    await trio.sleep(0.2)
    shown = [event.get("newStatus", event.get("itemCount")) for event in office.events()]
    assert shown == ["PaymentAuthorized", 1, "PaymentAuthorized", 2]
    assert office.neighbours.asked == {}


async def test_while_the_store_is_away_nothing_passes_what_waits_for_its_word(
    office, autojump_clock, monkeypatch
):
    await office.store.place([(guid(5), ALICE)], now=EPOCH)  # by another process

    async def away(*_args, **_kwargs):
        raise StoreUnavailableError("away")

    with monkeypatch.context() as without_store:
        without_store.setattr(office.store, "owner", away)
        without_store.setattr(office.store, "record", away)
        await office.authorize(5)
        await office.add_item(count=1)
        await trio.sleep(20)
        assert office.events() == []
        assert office.unsettled == 0  # in hand, and not given back
    await office.authorize(5)
    await office.add_item(count=2)
    await trio.sleep(10)
    shown = [event.get("newStatus", event.get("itemCount")) for event in office.events()]
    assert shown == ["PaymentAuthorized", 1, "PaymentAuthorized", 2]
    assert office.neighbours.asked == {}


async def test_asked_to_stop_it_waits_for_a_neighbour_that_hangs_for_half_a_second_and_no_longer(
    office, autojump_clock
):
    for order in (8, 9):
        office.neighbours.slow[guid(order)] = 60
        await office.authorize(order)
    await office.add_item(count=1)
    await trio.testing.wait_all_tasks_blocked()
    office.stopping.set()
    await office.left.wait()
    assert trio.current_time() == FINISH_WITHIN
    assert office.unsettled == 2
    assert office.states[-1] == "stopped"
