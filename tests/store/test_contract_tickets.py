"""What a store promises of tickets: spent once, by one asker, and not after their time."""

from __future__ import annotations

import trio

from storefront.store.tickets import Tickets
from tests.store.kit import NOW

LIFE = 30.0


async def issue(store, content: bytes = b"alice", *, now: float = NOW) -> bytes:
    return await store.issue_ticket(content, until=now + LIFE, now=now)


async def test_a_ticket_is_honoured_once_with_what_was_kept_for_it(store):
    content = bytes(range(256)) + b" 1 \r\n"
    ticket = await issue(store, content)
    assert await store.spend_ticket(ticket, now=NOW) == content
    assert await store.spend_ticket(ticket, now=NOW) is None


async def test_of_many_who_bring_one_ticket_at_once_one_is_let_in(store):
    ticket = await issue(store)
    answers = []

    async def spend():
        answers.append(await store.spend_ticket(ticket, now=NOW))

    async with trio.open_nursery() as nursery:
        for _ in range(12):
            nursery.start_soon(spend)
    assert answers.count(b"alice") == 1
    assert answers.count(None) == 11


async def test_a_ticket_is_good_until_its_time_is_over(store):
    early, late = await issue(store), await issue(store)
    assert await store.spend_ticket(early, now=NOW + LIFE - 0.125) == b"alice"
    assert await store.spend_ticket(late, now=NOW + LIFE) is None


async def test_a_ticket_that_came_late_is_not_good_even_if_the_clock_is_set_back(store):
    ticket = await issue(store)
    assert await store.spend_ticket(ticket, now=NOW + LIFE) is None
    assert await store.spend_ticket(ticket, now=NOW) is None


async def test_no_two_tickets_are_the_same_and_each_stands_for_its_own(store):
    tickets = {await issue(store, str(n).encode()): str(n).encode() for n in range(50)}
    assert len(tickets) == 50
    assert {len(ticket) for ticket in tickets} == {32}
    for ticket, content in tickets.items():
        assert await store.spend_ticket(ticket, now=NOW) == content


async def test_a_ticket_that_never_was_is_nobodys(store):
    await issue(store)
    for ticket in (b"", bytes(32), b"*" * 32, b"x" * 500):
        assert await store.spend_ticket(ticket, now=NOW) is None


def test_in_one_process_the_oldest_ticket_goes_when_there_are_too_many():
    tickets = Tickets(kept=3)
    issued = [tickets.issue(str(n).encode(), until=NOW + LIFE, now=NOW) for n in range(4)]
    spent = [tickets.spend(ticket, now=NOW) for ticket in issued]
    assert spent == [None, b"1", b"2", b"3"]


def test_in_one_process_tickets_whose_time_is_over_take_no_room():
    tickets = Tickets(kept=100)
    for n in range(10):
        tickets.issue(b"", until=NOW + n, now=NOW + n)
    assert len(tickets._content) == 1
