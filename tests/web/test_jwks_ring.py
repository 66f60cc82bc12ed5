"""The set in force and its renewal, on virtual time: whatever the identity service does."""

from __future__ import annotations

import itertools

import pytest
import trio

from storefront.errors import (
    AuthenticationError,
    DownstreamNonsenseError,
    DownstreamUnavailableError,
    KeysAwayError,
)
from storefront.web.keys_ring import FETCH_WITHIN, HOLD, PATIENCE, REFRESH, KeyRing
from tests.web.issuing import OTHER_RSA, P256, RSA, jwk, jwks

GONE = DownstreamUnavailableError("keys", "ConnectError")
OLD, NEW, BOTH = (
    jwks(jwk(RSA, "old")),
    jwks(jwk(OTHER_RSA, "new")),
    jwks(jwk(RSA, "old"), jwk(OTHER_RSA, "new")),
)
HANGS = object()


class Identity:
    """The identity service: what it says, and when it was asked."""

    def __init__(self, says: object, takes: float = 0.02) -> None:
        self.says = says
        self.takes = takes
        self.asked: list[float] = []

    async def fetch(self) -> bytes:
        self.asked.append(trio.current_time())
        await trio.sleep(self.takes)
        if self.says is HANGS:
            await trio.sleep_forever()
        if isinstance(self.says, Exception):
            raise self.says
        assert isinstance(self.says, bytes)
        return self.says


@pytest.fixture
def opened(nursery):
    """A ring over a service that says this, at work."""

    def open_ring(says: object, takes: float = 0.02) -> tuple[KeyRing, Identity]:
        identity = Identity(says, takes)
        ring = KeyRing(identity.fetch, ["RS256", "ES256"])

        async def run() -> None:
            await ring.run(uniform=lambda low, high: (low + high) / 2)

        nursery.start_soon(run)
        return ring, identity

    return open_ring


def verdict(ring: KeyRing, kid: str | None = "old", algorithm: str = "RS256") -> str:
    try:
        ring.find(kid, algorithm)
    except AuthenticationError:
        return "no"
    except KeysAwayError:
        return "away"
    return "yes"


async def known(ring: KeyRing, kid: str | None) -> float:
    """How long a caller with this key is kept waiting."""
    began = trio.current_time()
    await ring.know(kid)
    return round(trio.current_time() - began, 6)


async def test_the_set_is_fetched_at_once_and_then_every_five_minutes(opened, autojump_clock):
    ring, identity = opened(OLD, takes=0)
    assert verdict(ring) == "away"
    await trio.sleep(0.01)
    assert verdict(ring) == "yes"
    await trio.sleep(3 * REFRESH)
    assert identity.asked == [0, 300, 600, 900]


async def test_the_first_who_come_wait_for_the_first_fetch(opened, autojump_clock):
    ring, _ = opened(OLD, takes=0.3)
    assert await known(ring, "old") == 0.3
    assert verdict(ring) == "yes"
    assert await known(ring, "old") == 0


# A change of keys.


async def test_a_new_key_is_fetched_when_its_first_token_comes_which_waits_for_it(
    opened, autojump_clock
):
    ring, identity = opened(OLD)
    await trio.sleep(HOLD)
    identity.says = BOTH
    assert verdict(ring, "new") == "no"
    assert await known(ring, "new") == 0.02
    assert (verdict(ring, "new"), verdict(ring, "old")) == ("yes", "yes")
    assert identity.asked == [0, 30]
    # The five minutes run from the last fetch.
    await trio.sleep(REFRESH - 0.01)
    assert identity.asked == [0, 30]
    await trio.sleep(0.02)
    assert identity.asked == pytest.approx([0, 30, 330.02])


async def test_a_key_that_was_withdrawn_is_believed_until_the_next_fetch(opened, autojump_clock):
    ring, identity = opened(BOTH)
    await trio.sleep(1)
    identity.says = NEW
    await trio.sleep(REFRESH - 1)
    assert verdict(ring, "old") == "yes"
    await trio.sleep(0.1)
    assert (verdict(ring, "old"), verdict(ring, "new")) == ("no", "yes")


async def test_unknown_keys_have_the_set_fetched_once_in_thirty_seconds_however_many_come(
    opened, autojump_clock, nursery
):
    ring, identity = opened(OLD)
    waited = []

    async def stranger(number: int) -> None:
        await trio.sleep(number * 0.1)
        waited.append(await known(ring, f"made up {number}"))
        assert verdict(ring, f"made up {number}") in {"no", "away"}

    async with trio.open_nursery() as strangers:
        for number in range(1000):
            strangers.start_soon(stranger, number)
    assert identity.asked == pytest.approx([0, 30, 60, 90], abs=0.2)
    assert sum(1 for seconds in waited if seconds) <= 4
    assert max(waited) == 0.02
    assert verdict(ring, "made up 5") == "no"


async def test_many_with_the_same_new_key_share_one_fetch(opened, autojump_clock):
    ring, identity = opened(OLD)
    await trio.sleep(HOLD)
    identity.says = BOTH
    async with trio.open_nursery() as callers:
        for _ in range(50):
            callers.start_soon(ring.know, "new")
    assert trio.current_time() == pytest.approx(HOLD + 0.02)
    assert len(identity.asked) == 2


async def test_a_token_that_names_no_key_or_a_known_one_never_has_it_fetched(
    opened, autojump_clock
):
    ring, identity = opened(BOTH)
    await trio.sleep(HOLD + 1)
    for kid in (None, "old", "new"):
        assert await known(ring, kid) == 0
    assert verdict(ring, None) == "no", "there are two"
    assert verdict(ring, "old", "ES256") == "no", "it is no such key"
    await trio.sleep(10)
    assert len(identity.asked) == 1


# An identity service that behaves badly.


BAD = {
    "refuses": GONE,
    "hangs": HANGS,
    "answers with something else": DownstreamNonsenseError("keys", "status 302"),
    "says garbage": b"<html>",
    "has no keys": b'{"keys":[]}',
    "has keys for nothing": jwks(jwk(P256, "old", use="enc")),
}


@pytest.mark.parametrize("says", BAD.values(), ids=BAD.keys())
async def test_without_a_set_nobody_is_let_in_and_nobody_is_told_no(opened, says, autojump_clock):
    ring, _ = opened(says)
    assert await known(ring, "old") <= PATIENCE
    for _ in range(100):
        assert verdict(ring) == "away"
        assert verdict(ring, None) == "away"
        assert ring.condition() == "none fetched yet"
        await trio.sleep(1)
        assert await known(ring, "old") == 0, "who comes later does not wait"


@pytest.mark.parametrize("says", BAD.values(), ids=BAD.keys())
async def test_the_old_set_stays_in_force_whatever_the_service_says_later(
    opened, says, autojump_clock
):
    ring, identity = opened(OLD)
    await trio.sleep(REFRESH - 1)
    identity.says = says
    for _ in range(50):
        await trio.sleep(97)
        assert await known(ring, "old") == 0
        assert verdict(ring, "old") == "yes"
    assert (
        ring.condition()
        == f"1 known, fetched {trio.current_time():.0f} s ago, the last fetch failed"
    )


@pytest.mark.parametrize("says", BAD.values(), ids=BAD.keys())
async def test_a_new_key_that_could_not_be_fetched_is_not_told_no(opened, says, autojump_clock):
    """The token may be good, and a browser that is told 401 never comes back."""
    ring, identity = opened(OLD)
    await trio.sleep(HOLD)
    identity.says = says
    assert await known(ring, "new") <= PATIENCE
    assert verdict(ring, "new") == "away"
    identity.says = BOTH
    await trio.sleep(FETCH_WITHIN + HOLD + 0.1)
    assert verdict(ring, "new") == "yes"
    assert verdict(ring, "made up") == "no"


async def test_a_service_that_hangs_delays_the_first_half_second_and_nobody_after_it(
    opened, autojump_clock
):
    ring, _ = opened(HANGS)
    await trio.sleep(0.2)
    assert await known(ring, "old") == 0.3
    assert await known(ring, "old") == 0
    assert trio.current_time() == PATIENCE


async def test_while_there_is_no_set_it_is_tried_again_soon_and_then_less_often(
    opened, autojump_clock
):
    ring, identity = opened(GONE, takes=0)
    await trio.sleep(130)
    assert identity.asked == [0, 1, 3, 7, 15, 31, 61, 91, 121]
    identity.says = OLD
    await trio.sleep(25)
    assert verdict(ring) == "yes"


async def test_one_that_hangs_is_given_up_after_five_seconds(opened, autojump_clock):
    _, identity = opened(HANGS, takes=0)
    await trio.sleep(20)
    assert identity.asked == [0, 6, 13]


async def test_with_a_set_a_fetch_that_failed_is_tried_again_after_thirty_seconds(
    opened, autojump_clock
):
    ring, identity = opened(OLD, takes=0)
    await trio.sleep(1)
    identity.says = GONE
    for moment in itertools.count(300):
        await trio.sleep_until(moment)
        await ring.know("made up")  # which changes nothing about it
        if moment > 395:
            break
    assert identity.asked == [0, 30 * 10, 330, 360, 390]


# What is seen of it.


async def test_it_can_be_asked_how_it_is(opened, autojump_clock):
    ring, identity = opened(BOTH)
    assert ring.condition() == "none fetched yet"
    await trio.sleep(100.02)
    assert ring.condition() == "2 known, fetched 100 s ago"
    identity.says = GONE
    await trio.sleep(300)
    readings = {(name, *labels.values()): value for name, _, labels, value in ring.readings()}
    assert readings == {
        ("storefront_keys",): 2,
        ("storefront_keys_fetches_total", "fetched"): 1,
        ("storefront_keys_fetches_total", "failed"): 4,
    }


async def test_a_bug_in_the_fetch_is_not_taken_for_a_service_that_is_down(autojump_clock):
    async def broken() -> bytes:
        raise ZeroDivisionError

    ring = KeyRing(broken, ["RS256"])
    with pytest.raises(ZeroDivisionError), trio.fail_after(10):
        await ring.run(uniform=min)
