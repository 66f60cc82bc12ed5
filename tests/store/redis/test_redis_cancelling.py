"""Whoever asks may leave at any moment: nobody is ever given an answer to another question."""

from __future__ import annotations

import random
import socket
import threading

import pytest
import trio

from storefront.domain.ids import CustomerId, OrderId
from storefront.errors import StoreUnavailableError
from tests.store.kit import ALICE, NOW, event, payloads, put, read, start_of
from tests.store.redis.kit import eventually, open_store, recovered

pytestmark = pytest.mark.system

ORDERS = 40


async def test_no_answer_reaches_one_who_did_not_ask(store):
    """Tasks that ask whose order it is, and are cancelled at random, mostly in the middle."""
    chance = random.Random(20261122)
    for number in range(ORDERS):
        await store.place([(OrderId(f"order {number}"), CustomerId(f"owner {number}"))], now=NOW)
    asked = answered = cancelled = 0

    async def ask(number):
        nonlocal asked, answered, cancelled
        for _ in range(60):
            asked += 1
            with trio.move_on_after(chance.choice([0, 0.0005, 0.001, 0.002, 5])) as scope:
                found = await store.owner(OrderId(f"order {number}"), now=NOW)
                assert found == f"owner {number}"
                answered += 1
            cancelled += scope.cancelled_caught

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            for number in range(ORDERS):
                nursery.start_soon(ask, number)
    assert answered + cancelled == asked
    assert min(answered, cancelled) > asked / 20


async def test_one_who_is_cancelled_while_recording_can_record_again(store):
    chance = random.Random(20261122)
    for number in range(200):
        with trio.move_on_after(chance.uniform(0, 0.003)):
            await put(store, event(number))
        await recovered(lambda number=number: put(store, event(number)))
    log = await read(store, start_of(await store.position(ALICE, now=NOW)))
    assert payloads(log) == [str(number) for number in range(200)]


async def test_cancelled_calls_keep_no_connection_and_no_place(server, redis_store):
    async def ask_and_leave():
        with trio.move_on_after(0.0005):
            await redis_store.position(ALICE, now=NOW)

    for _ in range(10):
        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(ask_and_leave)
    # More at once than there are places: none was kept.
    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(lambda: redis_store.position(ALICE, now=NOW))
    await eventually(lambda: int(server.command("INFO", "clients")["connected_clients"]) <= 17)


async def test_a_name_that_cannot_be_looked_up_is_not_waited_for(monkeypatch):
    """The look-up is in a thread that cannot be cancelled; whoever asked is not held by it."""

    over = threading.Event()

    def slow(_host, _port, _family=0, _type=0, _proto=0, flags=0):
        if not flags & socket.AI_NUMERICHOST:
            over.wait(3)
        raise socket.gaierror(socket.EAI_NONAME, "nobody knows")

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    began = trio.current_time()
    async with open_store("redis://redis.example:6379/0") as store:
        assert trio.current_time() - began < 1
        began = trio.current_time()
        with pytest.raises(StoreUnavailableError):
            await put(store, event(1))
        assert trio.current_time() - began < 1
        over.set()
