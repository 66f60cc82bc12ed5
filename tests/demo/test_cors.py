"""Pages of the right origin may ask, and see the faults too."""

from __future__ import annotations

import pytest

from storefront.demo.catalog import catalog_app
from storefront.demo.faults import Failing, Fault
from storefront.demo.front import Desk
from tests.demo.shop import open_world

SHOP = "http://127.0.0.1:8080"
PRODUCT = "/api/products/DOG-BOWL-01"


@pytest.fixture
def desk():
    return Desk(allowed_origins={SHOP})


@pytest.fixture
def catalog(desk):
    return catalog_app(open_world(), desk).test_client()


async def test_the_shops_page_may_read_the_answer_and_its_location(catalog):
    answer = await catalog.get(PRODUCT, headers={"Origin": SHOP})
    assert answer.headers["Access-Control-Allow-Origin"] == SHOP
    assert answer.headers["Access-Control-Expose-Headers"] == "Location"
    assert answer.headers["Vary"] == "Origin"


@pytest.mark.parametrize("origin", ["http://127.0.0.1:8081", "http://evil.test", "null", ""])
async def test_nobody_else_may(catalog, origin):
    answer = await catalog.get(PRODUCT, headers={"Origin": origin})
    assert answer.status_code == 200
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert answer.headers["Vary"] == "Origin"


async def test_a_preflight_is_answered_and_not_counted(catalog, desk):
    desk.faults.set(Fault(failing=Failing.STATUS))
    asked = {"Origin": SHOP, "Access-Control-Request-Method": "PUT"}
    answer = await catalog.options(PRODUCT, headers=asked)
    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Origin"] == SHOP
    assert "PUT" in answer.headers["Access-Control-Allow-Methods"]
    assert "content-type" in answer.headers["Access-Control-Allow-Headers"]
    assert desk.ledger.total == 0


async def test_a_preflight_of_another_origin_gets_no_permission(catalog):
    answer = await catalog.options(PRODUCT, headers={"Origin": "http://evil.test"})
    assert "Access-Control-Allow-Origin" not in answer.headers


async def test_the_page_sees_a_fault_as_what_it_is(catalog, desk):
    desk.faults.set(Fault(failing=Failing.STATUS))
    answer = await catalog.get(PRODUCT, headers={"Origin": SHOP})
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (503, SHOP)


async def test_origins_may_be_filled_in_later():
    origins: set[str] = set()
    catalog = catalog_app(open_world(), Desk(allowed_origins=origins)).test_client()
    origins.add(SHOP)
    answer = await catalog.get(PRODUCT, headers={"Origin": SHOP})
    assert answer.headers["Access-Control-Allow-Origin"] == SHOP
