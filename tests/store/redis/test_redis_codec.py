"""How things are spelled in Redis, and what a URL may be."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storefront.domain.facts import Fact
from storefront.domain.positions import Position
from storefront.errors import SettingsError
from storefront.store import redis_codec as codec
from storefront.store.contract import Recording
from storefront.store.redis_counts import Counts
from storefront.store.redis_scripts import Command, Keys, Scripts, order_key
from storefront.store.redis_server import Server
from tests.store.kit import ALICE, NOW, ORDER

texts = st.text(st.characters(exclude_categories=["Cs"]))


@given(payload=st.binary(), trace=st.none() | texts, now=st.floats(0, 4e9))
def test_an_entry_is_read_as_it_was_written(payload, trace, now):
    recording = Recording(message_id="m", customer=ALICE, payload=payload, traceparent=trace)
    written = codec.entry_bytes(recording, now)
    entry = codec.read_entry(ALICE, Position("e", 7), written)
    assert (entry.customer, entry.position) == (ALICE, Position("e", 7))
    assert (entry.payload, entry.traceparent, entry.recorded_at) == (payload, trace, now)
    announced = codec.customer_bytes(ALICE) + b"e 7 " + written
    assert codec.read_announcement(announced) == entry


@given(
    fact=st.builds(
        Fact,
        kind=st.sampled_from(["cart", "order", "shipment"]),
        id=texts,
        state=texts,
        detail=st.none() | texts,
        order=st.none() | texts,
        occurred_at=st.floats(0, 4e9),
    )
)
def test_a_fact_is_read_as_it_was_written(fact):
    assert codec.read_fact(*codec.fact_bytes(fact, NOW)) == (NOW, fact)


@given(st.binary(max_size=60))
def test_of_other_bytes_nothing_but_an_unreadable_error_comes(data):
    for read in (
        lambda: codec.read_announcement(data),
        lambda: codec.read_entry(ALICE, Position("e", 1), data),
        lambda: codec.read_fact(b"cart:", data),
    ):
        with contextlib.suppress(codec.UnreadableError):
            read()


def test_the_keys_of_a_customer_share_a_hash_tag_and_an_order_has_its_own_slot():
    keys = Keys.of(ALICE)
    assert {keys.numbering, keys.log, keys.ids, keys.facts} == {
        f"storefront:{{{ALICE}}}:{name}" for name in ("numbering", "log", "ids", "facts")
    }
    assert "{" not in order_key(ORDER)


def test_a_script_that_is_not_known_is_sent_in_full():
    call = Scripts(window=300.0, kept_ids=5).place.call(["k"], ["a", 1])
    assert call.words[0] == "EVALSHA"
    assert call.in_full() == ("EVAL", call.text, 1, "k", "a", 1)
    assert Command("k", ("GET", "k")).text == b""


@pytest.mark.parametrize(
    "url",
    [
        "http://:hush@localhost",
        "redis://:hush@localhost:port/0",
        "redis://:hush@localhost:99999/0",
        "redis://:hush@localhost/0?db=hush",
        "redis://:hush@localhost/0?no_such_option=hush",
        "rediss://:hush@localhost/0?ssl_cert_reqs=hush",
        "hush",
        "",
    ],
)
def test_a_url_that_is_none_is_told_by_the_name_of_its_setting_and_not_repeated(url):
    with pytest.raises(SettingsError) as raised:
        Server.at(url, Counts())
    message = str(raised.value)
    assert message.startswith("STOREFRONT_REDIS_URL: ")
    assert "hush" not in message
    assert "\n" not in message
    assert raised.value.__cause__ is None


@pytest.mark.parametrize(
    ("url", "shown", "database"),
    [
        ("redis://:hush@localhost:7000/3", "localhost:7000", 3),
        ("rediss://user:hush@redis.example", "redis.example:6379", 0),
        ("unix:///run/redis.sock?db=2&password=hush", "/run/redis.sock", 2),
    ],
)
def test_a_server_is_named_without_its_secrets(url, shown, database):
    server = Server.at(url, Counts())
    assert (repr(server), server.database) == (shown, database)
