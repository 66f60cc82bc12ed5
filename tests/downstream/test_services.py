"""All services as they are configured, each behind a guard of its own."""

from __future__ import annotations

import pytest

from storefront.downstream.guard import Policy
from storefront.downstream.services import open_services, policy
from storefront.errors import DownstreamOpenError, SettingsError
from storefront.settings import ServicesSettings
from tests.downstream.conftest import halfway

ALWAYS = {"shopping", "orders", "catalog", "customer_identity", "payments", "fulfillment"}


async def test_what_is_not_configured_is_not_there():
    async with open_services(ServicesSettings(), uniform=halfway) as services:
        assert (services.pricing, services.inventory) == (None, None)
        assert set(services.guards) == ALWAYS
    both = ServicesSettings(pricing_url="http://127.0.0.1:9", inventory_url="http://127.0.0.1:9")
    async with open_services(both, uniform=halfway) as services:
        assert set(services.guards) == ALWAYS | {"pricing", "inventory"}
        assert services.pricing.name == "pricing"


async def test_a_service_is_known_by_the_name_of_its_setting():
    with pytest.raises(SettingsError, match=r"^STOREFRONT_CUSTOMER_IDENTITY_URL: "):
        async with open_services(
            ServicesSettings(customer_identity_url="http://[::1"), uniform=halfway
        ):
            pass


def test_unset_numbers_are_those_of_the_design():
    usual = policy(ServicesSettings(), attempt=0.35)
    assert usual == Policy()
    assert (usual.patience.share, usual.patience.calls, usual.patience.window) == (0.5, 20, 10)
    assert (usual.patience.connections, usual.patience.probes) == (5, 3)
    assert (usual.patience.pause, usual.patience.longest) == (5, 60)
    assert (usual.places, usual.retry_share) == (10, 0.1)
    assert (ServicesSettings().connect_timeout, ServicesSettings().enrichment_timeout) == (
        0.15,
        0.25,
    )


async def test_one_service_out_of_order_is_no_other_ones_business(nobody):
    settings = ServicesSettings(catalog_url=nobody, orders_url=nobody, connect_timeout=5)
    async with open_services(settings, uniform=halfway) as services:
        for _ in range(10):
            with pytest.raises(Exception, match=r"^catalog: "):
                await services.catalog.product("A")
        with pytest.raises(DownstreamOpenError):
            await services.catalog.product("A")
        assert services.guards["orders"].statistics().state == "closed"
