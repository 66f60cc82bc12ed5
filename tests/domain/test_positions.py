from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storefront.domain.positions import Position

EPOCH = st.from_regex(r"[A-Za-z0-9._:]{1,64}", fullmatch=True)


@given(EPOCH, st.integers(min_value=0, max_value=10**18 - 1))
def test_a_position_is_read_as_it_was_written_and_fits_a_header(epoch, seq):
    written = str(Position(epoch, seq))
    assert Position.parse(written) == Position(epoch, seq)
    assert len(written) <= 128
    assert written.isascii()


@given(st.text())
def test_whatever_a_browser_sends_is_no_error_and_has_one_spelling(text):
    found = Position.parse(text)
    assert found is None or str(found) == text


@pytest.mark.parametrize(
    "text",
    ["", "-", "a-", "-1", "a-01", "a--1", "a-1 ", "a-1\n", "a-\u0661", "a-1e3", "a" * 65 + "-1"],
)
def test_these_are_no_positions(text):
    assert Position.parse(text) is None
