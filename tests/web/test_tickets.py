"""Tickets in the office: what they stand for, for how long, how many, and what is none."""

from __future__ import annotations

import base64

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from storefront.errors import AuthenticationError, TooManyRequestsError
from storefront.store.memory import MemoryStore
from storefront.web.auth import Caller
from storefront.web.tickets import LIFE, TicketOffice, read_ticket
from tests.web.signing import ALICE, BOB, NOW


def caller(
    customer: str | None = ALICE, *roles: str, left: float = 3600.0, subject: str = "auth0|5"
) -> Caller:
    return Caller(customer=customer, roles=frozenset(roles), expires_at=NOW + left, subject=subject)


@pytest.fixture
def office() -> TicketOffice:
    store = MemoryStore(window=300.0, kept_ids=10, token=iter(map(str, range(100))).__next__)
    return TicketOffice(store, clock=lambda: NOW + trio.current_time())


@pytest.mark.parametrize(
    "who",
    [
        caller(),
        caller(ALICE, "support"),
        caller(None, "support", "admin", subject="carol@example.org"),
        caller(None, "admin", subject=""),
    ],
    ids=lambda who: f"{who.customer} {sorted(who.roles)}",
)
async def test_a_ticket_stands_once_for_who_asked_for_it_and_all_they_may(
    office, who, autojump_clock
):
    ticket, seconds = await office.issue(who)
    assert seconds == LIFE == 30
    assert await office.honour(ticket) == who
    assert await office.honour(ticket) is None


@pytest.mark.parametrize(("after", "good"), [(29.99, True), (30.0, False), (3600.0, False)])
async def test_a_ticket_is_good_for_half_a_minute(office, after, good, autojump_clock):
    ticket, _ = await office.issue(caller())
    await trio.sleep(after)
    assert (await office.honour(ticket) is not None) is good


@pytest.mark.parametrize(("after", "good"), [(4.99, True), (5.0, False)])
async def test_a_ticket_ends_with_the_token_that_asked_for_it(office, after, good, autojump_clock):
    ticket, seconds = await office.issue(caller(left=5.0))
    assert seconds == 5
    await trio.sleep(after)
    assert (await office.honour(ticket) is not None) is good


async def test_a_ticket_tells_nothing_and_goes_into_a_url_as_it_is(office, autojump_clock):
    ticket, _ = await office.issue(caller())
    assert len(ticket) == 48
    assert ticket.replace("-", "").replace("_", "").isalnum()
    raw = base64.urlsafe_b64decode(ticket)
    assert ALICE.encode() not in raw
    assert len({(await office.issue(caller()))[0] for _ in range(10)}) == 10


async def test_a_customer_gets_twenty_tickets_at_once_and_two_a_second_and_others_theirs(
    office, autojump_clock
):
    for _ in range(20):
        await office.issue(caller())
    with pytest.raises(TooManyRequestsError) as caught:
        await office.issue(caller())
    assert caught.value.retry_after == 1
    await office.issue(caller(BOB))
    await trio.sleep(0.5)
    await office.issue(caller())
    with pytest.raises(TooManyRequestsError):
        await office.issue(caller())


async def test_what_became_of_tickets_is_counted(office, autojump_clock):
    for _ in range(20):
        ticket, _ = await office.issue(caller())
    with pytest.raises(TooManyRequestsError):
        await office.issue(caller())
    await office.honour(ticket)
    await office.honour(ticket)
    counted = {labels["outcome"]: value for _, _, labels, value in office.readings()}
    assert counted == {"issued": 20, "honoured": 1, "late": 1, "refused": 1}


async def test_every_other_spelling_of_a_ticket_is_none(office, autojump_clock):
    ticket, _ = await office.issue(caller())
    for place in range(len(ticket)):
        changed = "A" if ticket[place] != "A" else "B"
        with pytest.raises(AuthenticationError):
            read_ticket(ticket[:place] + changed + ticket[place + 1 :])
    for spoilt in (
        ticket + "=",
        ticket[:-1],
        ticket + "A",
        " " + ticket,
        ticket + "\n",
        ticket.swapcase(),
    ):
        with pytest.raises(AuthenticationError):
            read_ticket(spoilt)
    assert await office.honour(ticket) is not None


@given(st.text() | st.from_regex(r"[A-Za-z0-9_-]{48}", fullmatch=True))
def test_no_text_that_is_no_ticket_raises_anything_else(text):
    with pytest.raises(AuthenticationError) as caught:
        read_ticket(text)
    assert str(caught.value) == "this is no ticket"
