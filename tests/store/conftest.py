from __future__ import annotations

import pytest

from tests.store.kit import OPENERS


@pytest.fixture(params=sorted(OPENERS))
async def store(request, tmp_path):
    """Each of the stores in turn, empty."""
    async with OPENERS[request.param](tmp_path) as opened:
        yield opened
