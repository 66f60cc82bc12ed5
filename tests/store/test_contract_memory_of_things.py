"""What a store remembers beside the log: facts, owners of orders, view generations."""

from __future__ import annotations

import pytest

from storefront.domain.facts import Fact
from storefront.store.contract import FACT_LIFE, FACTS_KEPT, HEAD_LIFE, OWNER_LIFE, changed_at
from tests.store.kit import ALICE, BOB, DAY, NOW, ORDER, event, events, put


def shipment(name: str = "s1", state: str = "Dispatched", *, at: float, detail: str | None = None):
    return Fact(kind="shipment", id=name, state=state, detail=detail, order=ORDER, occurred_at=at)


def cart(cart_id: str, *, at: float):
    return Fact(kind="cart", id="", state=cart_id, occurred_at=at)


async def remember(store, *facts, customer=ALICE, now=NOW):
    names = [f"{fact.kind}/{fact.id}/{fact.state}/{fact.occurred_at}/{now}" for fact in facts]
    await put(
        store,
        *(event(name, customer, fact=fact) for name, fact in zip(names, facts, strict=True)),
        now=now,
    )


async def facts_of(store, customer=ALICE, *, now=NOW):
    return list(await store.facts(customer, now=now))


async def test_a_fact_is_kept_whole(store):
    fact = shipment(at=NOW - 0.125, detail="1Z999")
    await remember(store, fact)
    assert await facts_of(store) == [fact]


async def test_facts_come_newest_first_by_when_they_happened(store):
    late, early, middle = shipment("1", at=30), shipment("2", at=10), shipment("3", at=20)
    await remember(store, late, early)
    await remember(store, middle)
    assert await facts_of(store) == [late, middle, early]


async def test_a_newer_fact_of_the_same_thing_replaces_the_older(store):
    await remember(store, cart("c1", at=10), cart("c2", at=11))
    await remember(store, cart("c3", at=12))
    assert await facts_of(store) == [cart("c3", at=12)]


async def test_a_late_message_does_not_overwrite_a_newer_fact(store):
    await remember(store, cart("c2", at=11), cart("c1", at=10))
    await remember(store, cart("c0", at=9))
    assert await facts_of(store) == [cart("c2", at=11)]


async def test_of_two_at_the_same_moment_the_later_to_come_stands(store):
    await remember(store, cart("c1", at=10), cart("c2", at=10))
    assert await facts_of(store) == [cart("c2", at=10)]
    await remember(store, cart("c3", at=10))
    assert await facts_of(store) == [cart("c3", at=10)]


async def test_a_tracking_number_once_known_is_not_forgotten(store):
    await remember(store, shipment(at=10, detail="1Z999"))
    await remember(store, shipment(state="Delivered", at=20))
    assert await facts_of(store) == [shipment(state="Delivered", at=20, detail="1Z999")]


async def test_a_tracking_number_that_comes_late_joins_the_newer_status(store):
    await remember(store, shipment(state="Delivered", at=20))
    await remember(store, shipment(at=10, detail="1Z999"))
    assert await facts_of(store) == [shipment(state="Delivered", at=20, detail="1Z999")]


async def test_a_late_tracking_number_does_not_replace_the_one_of_a_newer_status(store):
    await remember(store, shipment(state="Delivered", at=20, detail="1Z999"))
    await remember(store, shipment(at=10, detail="1Z000"), shipment(at=11))
    assert await facts_of(store) == [shipment(state="Delivered", at=20, detail="1Z999")]


async def test_a_fact_that_a_late_detail_joined_lives_on_from_then(store):
    await remember(store, shipment(state="Delivered", at=20))
    later = NOW + FACT_LIFE
    await remember(store, shipment(at=10, detail="1Z999"), now=later)
    assert len(await facts_of(store, now=later + FACT_LIFE)) == 1


async def test_things_of_two_kinds_with_one_id_are_two_things(store):
    order = Fact(kind="order", id="x", state="Placed", occurred_at=10)
    await remember(store, order, shipment("x", at=9))
    assert await facts_of(store) == [order, shipment("x", at=9)]


async def test_facts_are_their_own_customers(store):
    await remember(store, cart("c1", at=10))
    await remember(store, cart("c2", at=20), customer=BOB)
    assert await facts_of(store) == [cart("c1", at=10)]
    assert await facts_of(store, BOB) == [cart("c2", at=20)]


async def test_an_event_may_say_something_of_two_things(store):
    order = Fact(kind="order", id=ORDER, state="PaymentCaptured", occurred_at=10)
    paid = Fact(kind="payment", id=ORDER, state="Captured", order=ORDER, occurred_at=10)
    await put(
        store, event("m", fact=order, also=paid), event("n"), event("o", also=cart("c", at=9))
    )
    found = await facts_of(store)
    assert sorted(found, key=lambda fact: fact.kind) == [cart("c", at=9), order, paid]
    reserved = Fact(kind="order", id=ORDER, state="InventoryReserved", occurred_at=11)
    await put(store, event("p", fact=reserved))
    assert await facts_of(store) == [reserved, paid, cart("c", at=9)]


async def test_a_dropped_repetition_leaves_no_fact(store):
    await put(store, event("m", fact=cart("c1", at=10)))
    await put(store, event("m", fact=cart("c2", at=20), also=shipment(at=20)))
    assert await facts_of(store) == [cart("c1", at=10)]


@pytest.mark.parametrize("batch", [1, 70, FACTS_KEPT + 20])
async def test_of_too_many_facts_those_that_happened_first_go(store, batch):
    # Shuffled by a step that is prime to the count, so neither end comes in order.
    total = FACTS_KEPT + 20
    moments = [(n * 7) % total for n in range(total)]
    facts = [shipment(str(at), at=at) for at in moments]
    for start in range(0, total, batch):
        await remember(store, *facts[start : start + batch])
    assert [fact.occurred_at for fact in await facts_of(store)] == list(range(total - 1, 19, -1))


async def test_a_fact_is_kept_for_90_days_from_its_record_and_not_longer(store):
    assert FACT_LIFE == 90 * DAY
    await remember(store, cart("c1", at=NOW + 5 * DAY))  # a clock elsewhere may be ahead
    assert len(await facts_of(store, now=NOW + FACT_LIFE)) == 1
    assert await facts_of(store, now=NOW + FACT_LIFE + 1) == []


async def test_a_fact_that_has_lapsed_neither_blocks_nor_lends_to_a_new_one(store):
    await remember(store, shipment(at=50, detail="1Z999"))
    now = NOW + FACT_LIFE + 1
    await remember(store, shipment(state="Late", at=40), now=now)
    assert await facts_of(store, now=now) == [shipment(state="Late", at=40)]


async def test_facts_that_have_lapsed_take_no_room(store):
    await remember(store, *(shipment(str(n), at=1000 + n) for n in range(FACTS_KEPT)))
    now = NOW + FACT_LIFE + 1
    await remember(store, *(shipment(f"new{n}", at=n) for n in range(FACTS_KEPT)), now=now)
    assert len(await facts_of(store, now=now)) == FACTS_KEPT


async def test_facts_outlive_the_numbering_they_came_with(store):
    await remember(store, cart("c1", at=10))
    now = NOW + HEAD_LIFE + 2 * DAY
    await store.position(ALICE, now=now)
    await put(store, *events(range(3)), now=now)
    assert await facts_of(store, now=now) == [cart("c1", at=10)]


async def test_a_customer_nothing_is_known_of_has_no_facts(store):
    assert await facts_of(store) == []


async def test_an_orders_owner_is_remembered_for_90_days(store):
    assert OWNER_LIFE == 90 * DAY
    assert await store.owner(ORDER, now=NOW) is None
    await store.place([(ORDER, ALICE)], now=NOW)
    assert await store.owner(ORDER, now=NOW + OWNER_LIFE) == ALICE
    assert await store.owner(ORDER, now=NOW + OWNER_LIFE + 1) is None


async def test_placing_again_changes_nothing_and_the_first_answer_stands(store):
    for customer in (ALICE, ALICE, BOB):
        await store.place([(ORDER, customer)], now=NOW)
    assert await store.owner(ORDER, now=NOW) == ALICE


async def test_an_order_whose_owner_was_forgotten_can_be_placed_again(store):
    await store.place([(ORDER, ALICE)], now=NOW)
    later = NOW + OWNER_LIFE + 1
    await store.place([(ORDER, BOB)], now=later)
    assert await store.owner(ORDER, now=later + OWNER_LIFE) == BOB


async def test_the_generation_is_empty_until_the_first_event(store):
    assert await store.generation(ALICE) == ""
    await put(store, event(1))
    assert await store.generation(ALICE) != ""
    assert await store.generation(BOB) == ""


async def test_every_event_makes_another_generation_and_none_comes_twice(store):
    seen = {""}
    for number in range(20):
        await put(store, event(number))
        generation = await store.generation(ALICE)
        assert generation == await store.generation(ALICE)
        assert generation not in seen
        seen.add(generation)


async def test_a_generation_tells_when_it_was_changed(store):
    await put(store, event(1), now=NOW + 0.125)
    assert changed_at(await store.generation(ALICE)) == NOW + 0.125
    renewed = await store.renew_generation(ALICE, now=NOW + 7)
    assert renewed == await store.generation(ALICE)
    assert changed_at(renewed) == NOW + 7


async def test_a_dropped_repetition_changes_no_generation(store):
    await put(store, event(1))
    before = await store.generation(ALICE)
    await put(store, event(1), event("other", BOB))
    assert await store.generation(ALICE) == before


async def test_a_renewed_generation_is_new_and_stays(store):
    first = await store.renew_generation(ALICE, now=NOW)
    second = await store.renew_generation(ALICE, now=NOW)
    assert len({"", first, second}) == 3
    assert await store.generation(ALICE) == second
    assert await store.generation(BOB) == ""


async def test_two_customers_generations_are_two(store):
    await put(store, event("a", ALICE), event("b", BOB))
    assert await store.generation(ALICE) != await store.generation(BOB)


async def test_a_numbering_that_starts_anew_does_not_bring_an_old_generation_back(store):
    await put(store, event(1))
    old = await store.generation(ALICE)
    now = NOW + HEAD_LIFE + 2 * DAY
    await store.position(ALICE, now=now)
    await put(store, event(2), now=now)
    assert await store.generation(ALICE) not in {"", old}
