"""What every shelf of views promises, held by the one in memory; tests/system/test_cache_shelves.py holds it by Redis."""

from __future__ import annotations

import pytest
import trio

from storefront.queries.memory_shelf import MemoryShelf
from tests.queries.keeping import MEBIBYTE, memory_store
from tests.store.kit import ALICE, BOB, NOW, event

KEY = "cart"


@pytest.fixture
def store():
    return memory_store()


@pytest.fixture
def shelf(store):
    return MemoryShelf(store, most=MEBIBYTE)


async def happens(store, customer=ALICE, *, name="1"):
    await store.record([event(f"{customer} {name}", customer)], now=NOW)
    return await store.generation(customer)


async def test_nothing_lies_there_at_first(store, shelf):
    assert await shelf.look(ALICE, KEY) == ("", None)


async def test_a_look_brings_the_generation_and_the_entry(store, shelf):
    generation = await happens(store)
    entry = b"\x00\xff any bytes"
    assert await shelf.keep(ALICE, KEY, generation, entry, 60.0) == "kept"
    assert await shelf.look(ALICE, KEY) == (generation, entry)


async def test_an_entry_can_be_kept_for_a_customer_without_events(store, shelf):
    assert await shelf.keep(ALICE, KEY, "", b"entry", 60.0) == "kept"
    assert await shelf.look(ALICE, KEY) == ("", b"entry")


async def test_what_was_read_under_another_generation_is_refused(store, shelf):
    old = await happens(store)
    assert await shelf.keep(ALICE, KEY, old, b"kept", 60.0) == "kept"
    new = await happens(store, name="2")
    for other in (old, "", "never was"):
        assert await shelf.keep(ALICE, KEY, other, b"late", 60.0) == "overtaken"
    assert await shelf.look(ALICE, KEY) == (new, b"kept")


async def test_a_renewed_generation_refuses_too(store, shelf):
    await store.renew_generation(ALICE, now=NOW)
    assert await shelf.keep(ALICE, KEY, "", b"late", 60.0) == "overtaken"


async def test_an_old_entry_stays_when_an_event_comes(store, shelf):
    await shelf.keep(ALICE, KEY, "", b"old", 60.0)
    generation = await happens(store)
    assert await shelf.look(ALICE, KEY) == (generation, b"old")


async def test_an_entry_takes_the_place_of_the_one_before(store, shelf):
    for entry in (b"first", b"second"):
        await shelf.keep(ALICE, KEY, "", entry, 60.0)
    assert await shelf.look(ALICE, KEY) == ("", b"second")


async def test_customers_and_views_are_kept_apart(store, shelf):
    generation = await happens(store)
    await shelf.keep(ALICE, "a", generation, b"alice a", 60.0)
    await shelf.keep(ALICE, "b", generation, b"alice b", 60.0)
    await shelf.keep(BOB, "a", "", b"bob a", 60.0)
    assert await shelf.look(ALICE, "a") == (generation, b"alice a")
    assert await shelf.look(ALICE, "b") == (generation, b"alice b")
    assert await shelf.look(BOB, "a") == ("", b"bob a")
    assert await shelf.look(BOB, "b") == ("", None)


async def test_an_entry_goes_by_itself_when_its_time_is_over(store, shelf):
    await shelf.keep(ALICE, "short", "", b"entry", 0.15)
    await shelf.keep(ALICE, "long", "", b"entry", 60.0)
    await trio.sleep(0.3)
    assert await shelf.look(ALICE, "short") == ("", None)
    assert await shelf.look(ALICE, "long") == ("", b"entry")


async def test_an_entry_whose_time_was_over_before_it_came_is_gone_at_once(store, shelf):
    await shelf.keep(ALICE, KEY, "", b"entry", -5.0)
    await trio.sleep(0.05)
    assert await shelf.look(ALICE, KEY) == ("", None)


async def test_keys_are_taken_as_they_are(store, shelf):
    for key in ("order:{x}:1", "products?caf%C3%A9&1", "a b", "ü"):
        await shelf.keep(ALICE, key, "", key.encode(), 60.0)
        assert await shelf.look(ALICE, key) == ("", key.encode())


async def test_it_counts(store, shelf):
    await shelf.look(ALICE, KEY)
    for name, words, labels, value in shelf.readings():
        assert name.startswith("storefront_cache_")
        assert words.endswith(".")
        assert labels == {}
        assert value >= 0
