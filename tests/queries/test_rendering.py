"""What is kept of a view, and what is said of it when it is served."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storefront.domain.positions import Position
from storefront.queries.parts import Composed, Source
from storefront.queries.rendering import (
    SCHEMA,
    Rendered,
    Served,
    body_of,
    header_of,
    render,
    restore,
)
from storefront.queries.shapes import CartView
from tests.queries.neighbours import ALICE, BOB, CART

NOW = 1_790_000_000.0


def view(subtotal: str = "39.90") -> CartView:
    return CartView(cart_id=CART, customer_id=ALICE, items=(), subtotal=Decimal(subtotal))


def rendered(of=None, *, position="e0-7", as_of=NOW, **states) -> Rendered:
    sources = {name: Source(state, 10.0) for name, state in (states or {"shopping": "ok"}).items()}
    composed = Composed(view=of or view(), owner=ALICE, sources=sources)
    return render(composed, began=10.0, as_of=as_of, position=position and Position.parse(position))


def told(served: Served, now: float = NOW) -> dict:
    return msgspec.json.decode(body_of(served, now=now))


def test_is_stale_and_meta_stand_behind_the_views_own_fields():
    body = body_of(Served(rendered=rendered()), now=NOW + 0.25)
    assert body == (
        b'{"cartId":"019c5dd6-29d2-7fb9-9d90-cf760997d1c0",'
        b'"customerId":"11111111-1111-1111-1111-111111111111","items":[],"subtotal":39.90,'
        b'"isStale":false,"meta":{"freshness":"live","complete":true,'
        b'"asOf":"2026-09-21T14:13:20+00:00","streamPosition":"e0-7",'
        b'"sources":{"shopping":{"state":"ok","ageMs":250}}}}'
    )


@pytest.mark.parametrize(
    ("freshness", "stale", "states"),
    [
        ("live", False, ["ok", "cached", "expired", "timeout"]),
        ("cached", True, ["cached", "cached", "expired", "timeout"]),
        ("expired", True, ["expired", "expired", "expired", "timeout"]),
    ],
)
def test_what_was_answered_once_is_as_old_as_the_view_it_is_in(freshness, stale, states):
    made = rendered(a="ok", b="cached", c="expired", d="timeout")
    seen = told(Served(rendered=made, freshness=freshness))
    assert (seen["isStale"], seen["meta"]["freshness"]) == (stale, freshness)
    assert [source["state"] for source in seen["meta"]["sources"].values()] == states


def test_an_age_counts_from_the_question_however_the_view_came():
    composed = Composed(
        view=view(),
        owner=ALICE,
        sources={"shopping": Source("ok", 10.2), "catalog": Source("cached", -50.0)},
    )
    made = render(composed, began=10.0, as_of=NOW, position=None)
    seen = told(Served(rendered=made, freshness="cached"), NOW + 20)
    assert seen["meta"]["sources"]["shopping"]["ageMs"] == 19_800
    assert seen["meta"]["sources"]["catalog"]["ageMs"] == 80_000


def test_a_clock_that_was_set_back_makes_no_age_negative():
    assert told(Served(rendered=rendered()), NOW - 60)["meta"]["sources"]["shopping"]["ageMs"] == 0


# ETag.


def test_the_etag_is_of_the_view_and_not_of_its_moment_or_place():
    assert rendered().etag == rendered(position="e0-9", as_of=NOW + 30).etag
    assert rendered().etag == rendered(shopping="cached").etag
    assert rendered().etag != rendered(view("39.91")).etag
    assert rendered().etag != rendered(shopping="timeout").etag
    assert rendered(shopping="ok", catalog="timeout").etag != rendered(shopping="timeout", catalog="ok").etag  # fmt: skip


def test_a_view_past_its_freshness_is_not_the_same_as_a_fresh_one():
    made = rendered()
    tags = [Served(rendered=made, freshness=f).etag for f in ("live", "cached", "expired")]
    assert tags[0] == tags[1] != tags[2]
    assert all(tag.startswith('W/"') and tag.endswith('"') for tag in tags)


# What is kept.


def test_what_was_kept_is_what_was_made():
    made = rendered(shopping="ok", catalog="timeout")
    assert restore(made.stored(), ALICE) == made
    assert not made.complete


@pytest.mark.parametrize("owner", [BOB, None])
def test_what_is_somebody_elses_is_a_miss(owner):
    assert restore(rendered().stored(), owner) is None


def test_an_entry_of_another_schema_is_a_miss():
    older = msgspec.structs.replace(rendered(), schema=SCHEMA + 1)
    assert restore(older.stored(), ALICE) is None


@pytest.mark.parametrize(
    "change",
    [{"body": b'{"cartId":"another"}'}, {"sources": {}}, {"as_of": float("nan")}, {"etag": "x"}],
    ids=lambda change: next(iter(change)),
)
def test_a_damaged_entry_is_a_miss(change):
    made = rendered(shopping="timeout")
    assert restore(msgspec.structs.replace(made, **change).stored(), ALICE) is None


@given(st.binary(max_size=300))
def test_no_rubbish_is_an_entry_or_an_error(rubbish):
    assert restore(rubbish, ALICE) is None


@given(st.data())
def test_an_entry_with_one_byte_changed_is_never_another_view(data):
    made = rendered()
    kept = bytearray(made.stored())
    at = data.draw(st.integers(0, len(kept) - 1))
    kept[at] ^= data.draw(st.integers(1, 255))
    found = restore(bytes(kept), ALICE)
    assert found is None or (found.body, found.owner) == (made.body, made.owner)


def test_what_is_not_there_has_no_body_and_what_is_anothers_says_whose():
    nothing = Composed(view=None, owner=None, sources={})
    others = Composed(view=None, owner=BOB, sources={})
    made = [render(one, began=0.0, as_of=NOW, position=None) for one in (nothing, others)]
    assert [(one.found, one.foreign) for one in made] == [(False, False), (False, True)]
    assert [one.body for one in made] == [b"", b""]


def test_an_array_keeps_its_bytes_and_its_meta_travels_in_one_line_of_ascii():
    composed = Composed(view=[1, 2], owner=ALICE, sources={"orders": Source("ok", 0.0)})
    served = Served(
        rendered=render(composed, began=0.0, as_of=NOW, position=None), freshness="expired"
    )
    assert body_of(served, now=NOW) == b"[1,2]"
    line = header_of(served, now=NOW)
    assert line.isascii()
    assert "\n" not in line
    meta = msgspec.json.decode(line)
    assert list(meta)[:2] == ["isStale", "freshness"]
    assert (meta["isStale"], meta["sources"]["orders"]["state"]) == (True, "expired")
