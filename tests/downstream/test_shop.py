"""Every client against the simulated services of both ages, over real HTTP: from an empty cart to an order."""

from __future__ import annotations

from contextlib import asynccontextmanager
from decimal import Decimal
from functools import partial

import pytest
import trio
from hypercorn.config import Config
from hypercorn.trio import serve as hypercorn_serve

from storefront.demo.addresses import Ports
from storefront.demo.faults import Failing, Fault
from storefront.demo.front import Desk, Era
from storefront.demo.journey import Pace
from storefront.demo.run import open_desks, serve_services
from storefront.domain.ids import CartId, CheckoutId, CustomerId, OrderId
from storefront.domain.translate import Totals
from storefront.downstream.commands import PassedOn
from storefront.downstream.identity import NewAddress
from storefront.downstream.orders import ShippingAddress
from storefront.downstream.services import Services, open_services
from storefront.errors import (
    DownstreamAbsentError,
    DownstreamError,
    DownstreamNonsenseError,
    DownstreamRefusedError,
    DownstreamTimeoutError,
    DownstreamUnavailableError,
)
from storefront.settings import ServicesSettings
from tests.demo.shop import Published, open_world
from tests.downstream.conftest import halfway

ALICE = CustomerId("11111111-1111-1111-1111-111111111111")
NOBODYS = "00000000-0000-4000-8000-0000000000ff"
BOWL = Decimal("19.99")
HOME = ShippingAddress(
    address_line1="123 Main St", city="Seattle", state_or_province="WA", postal_code="98101", country="US"
)  # fmt: skip
PATIENT = {
    "question_timeout": 20, "attempt_timeout": 10, "enrichment_timeout": 10, "connect_timeout": 10, "command_timeout": 20,
}  # fmt: skip
BUDGET = 60


async def serve(app, sock):
    config = Config()
    config.bind = [f"fd://{sock.detach()}"]
    config.accesslog = config.errorlog = None
    config.graceful_timeout = 0.1
    await hypercorn_serve(app, config)


class Shop:
    def __init__(self, services: Services, desks: dict[str, Desk]) -> None:
        self.services = services
        self.desks = desks

    def said(self, service: str, header: str) -> list[str | None]:
        return [asked.headers.get(header) for asked in self.desks[service].ledger.requests]


@asynccontextmanager
async def open_shop(era: Era, **settings):
    desks = open_desks(era=era)
    pace = Pace(payment=0, reservation=0, capture=0, commitment=0, dispatch=0, delivery=0)
    options = {"ports": Ports.any(), "serve": serve, "publish": Published(), "pace": pace}
    with trio.fail_after(BUDGET):
        async with trio.open_nursery() as nursery:
            urls = await nursery.start(
                partial(serve_services, open_world(), desks=desks, **options)
            )
            named = {f"{name}_url": url for name, url in urls.by_name().items()}
            named["customer_identity_url"] = named.pop("identity_url")
            async with open_services(
                ServicesSettings(**named, **(PATIENT | settings)), uniform=halfway
            ) as services:
                yield Shop(services, desks)
            nursery.cancel_scope.cancel()


@pytest.fixture(params=[Era.SEED, Era.NEW], ids=["then", "now"])
async def shop(request):
    async with open_shop(request.param) as opened:
        yield opened


@pytest.fixture
async def new():
    async with open_shop(Era.NEW) as opened:
        yield opened


async def checkout_of(services: Services) -> CheckoutId:
    cart = await services.shopping.initialize(ALICE)
    await services.shopping.add_item(cart, "DOG-BOWL-01", 2, BOWL)
    checkout = await services.shopping.start_checkout(cart)
    await services.orders.shipping_address(checkout, HOME)
    await services.orders.shipping_method(checkout, "Standard", Decimal("5.99"))
    await services.orders.payment_method(checkout, "tok_visa_test_12345")
    return checkout


async def test_a_cart_is_filled_changed_and_emptied(shop):
    shopping = shop.services.shopping
    cart = await shopping.initialize(ALICE)
    await shopping.add_item(cart, "DOG-BOWL-01", 2, BOWL)
    await shopping.add_item(cart, "CAT-TOY-05", 1, Decimal("29.99"))
    await shopping.change_quantity(cart, "DOG-BOWL-01", 3)
    found = await shopping.cart(cart)
    assert (found.cart_id, found.customer_id, found.status) == (cart, ALICE, "Active")
    assert [(line.sku, line.quantity) for line in found.items] == [("DOG-BOWL-01", 3), ("CAT-TOY-05", 1)]  # fmt: skip
    assert found.items[0].unit_price == BOWL
    assert str(found.items[0].line_total) == "59.97"
    assert found.total_amount == sum(line.quantity * line.unit_price for line in found.items)
    await shopping.remove_item(cart, "CAT-TOY-05")
    assert await shopping.totals(cart, ALICE) == Totals(item_count=1, total_amount=Decimal("59.97"))


async def test_an_order_comes_of_a_checkout(shop):
    services = shop.services
    checkout = await checkout_of(services)
    seen = await services.orders.checkout(checkout)
    assert (seen.checkout_id, seen.customer_id) == (checkout, ALICE)
    assert (seen.has_payment_method, seen.is_completed) == (True, False)
    assert (seen.shipping_method, str(seen.shipping_cost)) == ("Standard", "5.99")
    assert (str(seen.subtotal), str(seen.total)) == ("39.98", "45.97")
    assert seen.shipping_address == HOME
    order = await services.orders.complete(checkout)
    assert order != checkout
    placed = await services.orders.order(order)
    assert (placed.order_id, placed.customer_id, str(placed.total_amount)) == (order, ALICE, "45.97")  # fmt: skip
    assert (placed.shipping_address.street, placed.shipping_address.state) == ("123 Main St", "WA")
    assert await services.orders.customer(order) == ALICE
    [summary] = await services.orders.history(ALICE)
    assert (summary.order_id, summary.item_count, str(summary.total_amount)) == (order, 1, "45.97")
    assert summary.placed_at == placed.placed_at


async def test_products_are_the_same_in_both_ages(shop):
    catalog = shop.services.catalog
    product = await catalog.product("DOG-BOWL-01")
    assert (product.sku, product.category, product.status) == ("DOG-BOWL-01", "Dogs", "Active")
    assert product.primary_image == product.images[0].url != ""
    assert product.name
    page = await catalog.products("Dogs", 1, 2)
    assert [one.category for one in page.products] == ["Dogs", "Dogs"]
    assert (page.page, page.page_size, page.total_count) == (1, 2, 3)
    everything = await catalog.products(None, 1, 100)
    assert everything.total_count == len(everything.products) > 10
    assert (await catalog.products("None such", 1, 20)).products == ()


async def test_a_saved_address_has_its_line_in_both_ages(shop):
    identity = shop.services.identity
    address = NewAddress(
        nickname="Cabin", address_line1="1 Lake Rd", address_line2="Hut 2", city="Bend", state_or_province="OR",
        postal_code="97701", country="US",
    )  # fmt: skip
    made = await identity.save_address(ALICE, address)
    saved = {one.address_id: one for one in await identity.addresses(ALICE)}
    assert saved[made].nickname == "Cabin"
    assert saved[made].type == "Shipping"
    assert saved[made].display_line == "1 Lake Rd, Hut 2, Bend, OR 97701, US"
    assert {one.type for one in saved.values()} <= {"Shipping", "Both"}
    assert (saved[made].address_line1 is None) == (shop.desks["identity"].era is Era.SEED)


async def test_what_is_unknown_is_none_or_empty_and_no_failure(shop):
    services = shop.services
    assert await services.shopping.cart(CartId(NOBODYS)) is None
    assert await services.shopping.cart_of(ALICE) is None
    assert await services.shopping.totals(CartId(NOBODYS), ALICE) is None
    assert await services.orders.checkout(CheckoutId(NOBODYS)) is None
    assert await services.orders.order(OrderId(NOBODYS)) is None
    assert await services.orders.customer(OrderId(NOBODYS)) is None
    assert list(await services.orders.history(CustomerId(NOBODYS))) == []
    assert await services.catalog.product("NO-SUCH-SKU") is None
    assert list(await services.identity.addresses(CustomerId(NOBODYS))) == []
    for guard in services.guards.values():
        assert guard.statistics().outcomes["failed"] == 0


async def test_what_was_paid_and_sent_is_told_by_the_new_services(new):
    services = new.services
    order = await services.orders.complete(await checkout_of(services))
    with trio.fail_after(BUDGET):
        while not (shipments := await services.fulfillment.shipments(order)) or (
            shipments[0].delivered_at is None
        ):
            await trio.sleep(0.02)
    [payment] = await services.payments.of_order(order)
    assert (payment.order_id, str(payment.amount), payment.status) == (order, "45.97", "Captured")
    [shipment] = shipments
    assert (shipment.order_id, shipment.status) == (order, "Delivered")
    assert shipment.tracking_number
    assert list(await services.payments.of_order(OrderId(NOBODYS))) == []


async def test_the_old_services_have_no_such_questions_and_that_is_no_failure():
    async with open_shop(Era.SEED) as old:
        for ask in (
            partial(old.services.payments.of_order, OrderId(NOBODYS)),
            partial(old.services.fulfillment.shipments, OrderId(NOBODYS)),
            partial(old.services.inventory.stock, "DOG-BOWL-01"),
        ):
            for _ in range(25):
                with pytest.raises(DownstreamAbsentError, match="no such question"):
                    await ask()
        for guard in old.services.guards.values():
            assert guard.statistics().state == "closed"


async def test_prices_come_fifty_at_a_time_and_what_has_none_is_left_out(new):
    pricing = new.services.pricing
    found = await pricing.prices(["DOG-BOWL-01", "NO-SUCH-SKU", "DOG-BOWL-01", "A,B", ""])
    assert found == {"DOG-BOWL-01": BOWL}
    assert new.desks["pricing"].ledger.total == 1
    many = [f"NO-{number}" for number in range(120)]
    assert await pricing.prices([*many, "DOG-BOWL-01"]) == {"DOG-BOWL-01": BOWL}
    assert new.desks["pricing"].ledger.total == 4
    assert await pricing.prices([]) == {}
    assert new.desks["pricing"].ledger.total == 4


async def test_the_stock_of_what_no_warehouse_knows_is_unknown_and_not_nothing(new):
    assert await new.services.inventory.stock("DOG-BOWL-01") > 0
    assert await new.services.inventory.stock("NO-SUCH-SKU") is None


async def test_a_no_is_handed_on_with_its_words(shop):
    shopping, orders = shop.services.shopping, shop.services.orders
    with pytest.raises(DownstreamRefusedError) as caught:
        await shopping.add_item(CartId(NOBODYS), "DOG-BOWL-01", 1, BOWL)
    assert caught.value.status == 404
    cart = await shopping.initialize(ALICE)
    for command in (
        partial(shopping.start_checkout, cart),
        partial(shopping.change_quantity, cart, "DOG-BOWL-01", 0),
    ):
        with pytest.raises(DownstreamRefusedError) as caught:
            await command()
        assert caught.value.status in {400, 404}
        assert caught.value.body.startswith(b"{")
    checkout = await checkout_of(shop.services)
    await orders.complete(checkout)
    with pytest.raises(DownstreamRefusedError) as caught:
        await orders.complete(checkout)
    assert caught.value.status == 400
    assert b"already been completed" in caught.value.body
    assert shop.services.guards["shopping"].statistics().outcomes["failed"] == 0


async def test_the_callers_identity_and_key_go_along_with_commands_and_with_no_question(new):
    services = new.services
    cart = await services.shopping.initialize(
        ALICE, passed_on=PassedOn(authorization="Bearer abc", idempotency_key="k-1")
    )
    await services.shopping.cart(cart)
    assert new.said("shopping", "authorization") == ["Bearer abc", None]
    assert new.said("shopping", "idempotency-key") == ["k-1", None]
    assert new.said("shopping", "content-type") == ["application/json", None]


async def test_the_service_is_told_how_much_time_is_left(new):
    with trio.move_on_after(3):
        await new.services.catalog.product("DOG-BOWL-01")
    await new.services.catalog.product("DOG-BOWL-01")
    short, long = map(int, new.said("catalog", "request-timeout-ms"))
    assert 0 < short <= 3_000
    # Without a deadline of the caller's, the attempt's own.
    assert 3_000 < long <= 10_000


# What the simulated services can do wrong, through the clients.


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(failing=Failing.STATUS, status=500), DownstreamUnavailableError),
        (Fault(failing=Failing.STATUS, status=503), DownstreamUnavailableError),
        (Fault(failing=Failing.RESET), DownstreamUnavailableError),
        (Fault(failing=Failing.HALF_BODY), DownstreamUnavailableError),
        (Fault(failing=Failing.HANG), DownstreamTimeoutError),
        (Fault(latency=30), DownstreamTimeoutError),
        (Fault(failing=Failing.OVERSIZE, bytes=50_000_000), DownstreamNonsenseError),
        (Fault(failing=Failing.WRONG_SHAPE), DownstreamNonsenseError),
        (Fault(failing=Failing.WRONG_SHAPE, body="<html>hello</html>"), DownstreamNonsenseError),
    ],
    ids=lambda value: value.failing.value if isinstance(value, Fault) else "",
)
async def test_each_way_to_fail_is_that_services_failure_for_each_client(fault, kind):
    async with open_shop(Era.NEW, attempt_timeout=0.5, enrichment_timeout=0.5) as shop:
        services = shop.services
        cart = await services.shopping.initialize(ALICE)
        for desk in shop.desks.values():
            desk.faults.set(fault)
        questions = {
            "shopping": partial(services.shopping.cart, cart),
            "orders": partial(services.orders.history, ALICE),
            "catalog": partial(services.catalog.products, None, 1, 20),
            "customer_identity": partial(services.identity.addresses, ALICE),
            "payments": partial(services.payments.of_order, OrderId(NOBODYS)),
            "fulfillment": partial(services.fulfillment.shipments, OrderId(NOBODYS)),
            "pricing": partial(services.pricing.prices, ["DOG-BOWL-01"]),
            "inventory": partial(services.inventory.stock, "DOG-BOWL-01"),
        }
        ends: dict[str, DownstreamError] = {}

        async def ask(name: str) -> None:
            with pytest.raises(DownstreamError) as caught:
                await questions[name]()
            ends[name] = caught.value

        async with trio.open_nursery() as nursery:
            for name in questions:
                nursery.start_soon(ask, name)
        assert {name: type(error) for name, error in ends.items()} == dict.fromkeys(questions, kind)
        assert {error.service for error in ends.values()} == set(questions)
        for guard in services.guards.values():
            assert guard.statistics().outcomes["failed"] >= 1
