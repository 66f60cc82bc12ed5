"""A token that was read before: believed for as long as it would be if it were read again, and no longer."""

from __future__ import annotations

import jwt
import pytest
import trio

from storefront.errors import AuthenticationError, KeysAwayError
from storefront.settings import AuthSettings
from storefront.web.auth import Tokens
from storefront.web.auth_form import Head
from storefront.web.auth_memo import LONGEST, Memo, Proof
from storefront.web.keys_set import read_key_set
from tests.web.issuing import OTHER_RSA, RSA, issued, jwk, jwks
from tests.web.signing import ALICE, BOB, NOW, SECRET, token


class Clock:
    def __init__(self):
        self.now = NOW

    def __call__(self):
        return self.now


@pytest.fixture
def verified(monkeypatch):
    """How often a signature was verified."""
    seen = []
    decode = jwt.decode

    def noting(*args, **kwargs):
        seen.append(args[0])
        return decode(*args, **kwargs)

    monkeypatch.setattr("storefront.web.auth.jwt.decode", noting)
    return seen


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def tokens(clock):
    return Tokens(AuthSettings(jwt_secret=SECRET), clock=clock)


def test_a_token_is_verified_once_and_says_the_same_each_time(tokens, verified):
    first, again = tokens.read(token()), tokens.read(token())
    assert first == again
    assert first.customer == ALICE
    assert len(verified) == 1


def test_each_token_is_known_by_all_of_its_text(tokens, verified):
    good = token()
    assert tokens.read(token(sub=BOB)).customer == BOB
    assert tokens.read(good).customer == ALICE
    header, claims, signature = good.split(".")
    bobs = token(sub=BOB).split(".")[1]
    for forged in (f"{header}.{bobs}.{signature}", f"{header}.{claims}.", f"{good[:-2]}AA"):
        for _ in range(2):
            with pytest.raises(AuthenticationError):
                tokens.read(forged)


def test_what_was_remembered_ends_exactly_at_exp(tokens, clock):
    good = token(exp=NOW + 60)
    tokens.read(good)
    clock.now = NOW + 59.999
    assert tokens.read(good).customer == ALICE
    clock.now = NOW + 60
    with pytest.raises(AuthenticationError, match="expired"):
        tokens.read(good)
    assert len(tokens._memo) == 0


def test_leeway_puts_the_end_off_for_what_is_remembered_too(clock):
    tokens = Tokens(AuthSettings(jwt_secret=SECRET, jwt_leeway=10), clock=clock)
    tokens.read(token(exp=NOW + 60))
    clock.now = NOW + 69.999
    assert tokens.read(token(exp=NOW + 60)).customer == ALICE
    clock.now = NOW + 70
    with pytest.raises(AuthenticationError):
        tokens.read(token(exp=NOW + 60))


@pytest.mark.parametrize(
    "bad",
    [
        token(secret="another secret of thirty-two bytes!"),
        token(exp=NOW - 1),
        token(nbf=NOW + 1),
        token(sub="nobody"),
        token({"typ": "id"}),
        "a.b.c",
        "",
        "ü" * 10,
        "\ud800.b.c",
    ],
    ids=lambda bad: ascii(bad[-12:]),
)
def test_what_was_refused_is_not_remembered(tokens, bad):
    for _ in range(3):
        with pytest.raises(AuthenticationError):
            tokens.read(bad)
    assert len(tokens._memo) == 0


def test_a_token_that_is_not_valid_yet_is_good_when_it_is(tokens, clock):
    early = token(nbf=NOW + 1)
    with pytest.raises(AuthenticationError):
        tokens.read(early)
    clock.now = NOW + 1
    assert tokens.read(early).customer == ALICE


# Keys that change.


def ringed(clock, *keys):
    tokens = Tokens(
        AuthSettings(jwt_jwks_url="http://127.0.0.1:9/keys", jwt_algorithms=("RS256",)), clock=clock
    )
    publish(tokens, *keys)
    return tokens


def publish(tokens, *keys):
    tokens.ring._settle(read_key_set(jwks(*keys), ["RS256"]))
    tokens.ring._under_way = False


async def test_a_key_that_was_withdrawn_is_not_believed_for_a_moment_longer(clock):
    old, new = jwk(RSA, "old"), jwk(OTHER_RSA, "new")
    tokens, good = ringed(clock, old, new), issued(RSA, "old")
    assert tokens.read(good).customer == ALICE
    publish(tokens, new)
    with pytest.raises(AuthenticationError):
        tokens.read(good)
    # Nor when it is there again, but by a new proof.
    publish(tokens, old, new)
    assert tokens.read(good).customer == ALICE


async def test_another_key_under_the_same_name_does_not_vouch_for_what_the_old_one_proved(clock):
    tokens, good = ringed(clock, jwk(RSA, "k")), issued(RSA, "k")
    assert tokens.read(good).customer == ALICE
    publish(tokens, jwk(OTHER_RSA, "k"))
    with pytest.raises(AuthenticationError):
        tokens.read(good)


async def test_the_only_key_that_changed_does_not_vouch_for_tokens_that_name_none(clock):
    tokens, good = ringed(clock, jwk(RSA)), issued(RSA)
    assert tokens.read(good).customer == ALICE
    publish(tokens, jwk(OTHER_RSA))
    with pytest.raises(AuthenticationError):
        tokens.read(good)


async def test_the_same_keys_fetched_anew_verify_each_token_once_more(clock, verified):
    tokens, good = ringed(clock, jwk(RSA, "k")), issued(RSA, "k")
    for seen in (1, 2):
        publish(tokens, jwk(RSA, "k"))
        tokens.read(good)
        tokens.read(good)
        assert len(verified) == seen


async def test_while_nobody_knows_the_keys_what_was_proved_before_is_not_enough(clock):
    tokens, good = ringed(clock, jwk(RSA, "k")), issued(RSA, "k")
    tokens.read(good)
    tokens.ring._set = None
    with pytest.raises(KeysAwayError):
        tokens.read(good)


async def test_a_token_whose_key_left_the_set_has_it_fetched_again(clock, autojump_clock):
    tokens, good = ringed(clock, jwk(RSA, "k")), issued(RSA, "k")
    tokens.read(good)
    publish(tokens, jwk(OTHER_RSA, "other"))
    await trio.sleep(3600)
    with trio.move_on_after(0):
        await tokens.know_key_of(good)
    assert tokens.ring._wanted.is_set()


# Bounds.


def proof(ends_at=NOW + 60):
    return Proof(head=Head("HS256", None), key=None, caller="somebody", ends_at=ends_at)


def test_no_more_tokens_are_remembered_than_the_bound_and_the_longest_unused_goes():
    memo = Memo(most=3)
    for number in range(3):
        memo.keep(str(number), proof())
    assert memo.find("0", NOW) is not None
    memo.keep("3", proof())
    assert len(memo) == 3
    assert [memo.find(str(number), NOW) is not None for number in range(4)] == [True, False, True, True]  # fmt: skip


def test_a_token_that_is_long_is_read_each_time(tokens, verified):
    long = token(story="x" * LONGEST)
    assert len(long) > LONGEST
    assert {tokens.read(long).customer for _ in range(2)} == {ALICE}
    assert len(verified) == 2
    assert len(tokens._memo) == 0


def test_no_token_lies_about_in_memory(tokens):
    good = token()
    tokens.read(good)
    assert good not in repr(vars(tokens._memo))
    assert good.encode() not in tokens._memo._proofs


def test_whoever_has_many_good_tokens_takes_no_more_places_than_there_are(tokens):
    tokens._memo = Memo(most=5)
    for number in range(50):
        tokens.read(token(exp=NOW + 60 + number))
    assert len(tokens._memo) == 5
