"""The whole shop on real sockets, as the Storefront will meet it."""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest
import trio
from hypercorn.config import Config
from hypercorn.trio import serve as hypercorn_serve
from structlog.testing import capture_logs

from storefront.demo.addresses import SERVICES, Ports, listening
from storefront.demo.faults import Failing, Fault
from storefront.demo.journey import Pace
from storefront.demo.run import open_desks, serve_services
from storefront.demo.sever import sever
from storefront.errors import ListenError
from tests.demo.shop import ALICE, HOME_JSON, Published, open_world

# Seconds. Far more than anything here takes; a hang shows as a failure, not as a stuck run.
BUDGET = 10


async def serve(app, sock):
    config = Config()
    config.bind = [f"fd://{sock.detach()}"]
    config.accesslog = config.errorlog = None
    config.graceful_timeout = 0.1
    await hypercorn_serve(app, config)


@asynccontextmanager
async def open_shop(published, desks, **options):
    options = {"ports": Ports.any(), "serve": serve, "publish": published, "desks": desks} | options
    with trio.fail_after(BUDGET):
        async with trio.open_nursery() as nursery:
            urls = await nursery.start(partial(serve_services, open_world(), **options))
            async with httpx.AsyncClient(trust_env=False, timeout=5) as http:
                yield urls, http
            nursery.cancel_scope.cancel()


async def test_an_order_goes_all_the_way_over_http():
    published, desks = Published(), open_desks()
    pace = Pace(payment=0.01, reservation=0, capture=0, commitment=0, dispatch=0, delivery=0)
    async with open_shop(published, desks, pace=pace) as (urls, http):
        made = await http.post(f"{urls.shopping}/api/carts", json={"customerId": ALICE})
        cart = f"{urls.shopping}{made.headers['Location']}"
        await http.post(f"{cart}/items", json={"sku": "DOG-BOWL-01", "quantity": 2})
        started = await http.post(f"{cart}/checkout", json={})
        checkout = f"{urls.orders}{started.json()['url']}"
        await http.post(f"{checkout}/shipping-address", json=HOME_JSON)
        await http.post(
            f"{checkout}/shipping-method",
            json={"shippingMethod": "Standard", "shippingCost": 5.99},
        )
        await http.post(f"{checkout}/payment-method", json={"paymentMethodToken": "tok"})
        order_id = (await http.post(f"{checkout}/complete", json={})).json()["orderId"]
        await published.delivered.wait()
        order = (await http.get(f"{urls.orders}/api/orders/{order_id}")).json()
        [payment] = (await http.get(f"{urls.payments}/api/payments?orderId={order_id}")).json()
        shipments = f"{urls.fulfillment}/api/fulfillment/shipments?orderId={order_id}"
        [shipment] = (await http.get(shipments)).json()
    assert published.names == [
        "Shopping.ItemAdded",
        "Orders.OrderPlaced",
        "Payments.PaymentAuthorized",
        "Inventory.ReservationConfirmed",
        "Payments.PaymentCaptured",
        "Inventory.ReservationCommitted",
        "Fulfillment.ShipmentDispatched",
        "Fulfillment.ShipmentDelivered",
    ]
    assert (order["status"], payment["status"], shipment["status"]) == (
        "Delivered",
        "Captured",
        "Delivered",
    )
    assert desks["orders"].ledger.asked(f"/api/orders/{order_id}") == 1


async def test_every_service_answers_at_its_own_address():
    async with open_shop(Published(), open_desks()) as (urls, http):
        assert len(set(urls.by_name().values())) == len(SERVICES) == 8
        for url in urls.by_name().values():
            assert (await http.get(f"{url}/health")).text == "Healthy"


@pytest.mark.parametrize(
    ("failing", "error", "words"),
    [
        # A reset is a reset, and no end of file.
        (Failing.RESET, httpx.ReadError, "Connection reset by peer"),
        (Failing.HALF_BODY, httpx.RemoteProtocolError, "without sending complete message body"),
        (Failing.HANG, httpx.ReadTimeout, None),
    ],
)
async def test_what_breaks_on_the_wire_breaks_for_the_asker(failing, error, words):
    desks = open_desks()
    async with open_shop(Published(), desks) as (urls, http):
        desks["catalog"].faults.set(Fault(times=1, failing=failing))
        with pytest.raises(error, match=words):
            await http.get(f"{urls.catalog}/api/products/DOG-BOWL-01", timeout=0.3)
        # The service is not harmed: the next question on a new connection is answered.
        assert (await http.get(f"{urls.catalog}/api/products/DOG-BOWL-01")).status_code == 200


async def test_a_reset_leaves_the_other_connections_alone():
    desks = open_desks()
    async with open_shop(Published(), desks) as (urls, http):
        desks["catalog"].faults.set(Fault(path_prefix="/api/products/DOG", failing=Failing.RESET))
        desks["catalog"].faults.set(Fault(path_prefix="/api/products/CAT", latency=0.3))
        async with trio.open_nursery() as nursery:
            answers = []

            async def ask():
                answers.append(await http.get(f"{urls.catalog}/api/products/CAT-TOY-05"))

            nursery.start_soon(ask)
            await trio.sleep(0.1)
            with pytest.raises(httpx.ReadError):
                await http.get(f"{urls.catalog}/api/products/DOG-BOWL-01")
        assert [answer.status_code for answer in answers] == [200]


def test_looking_for_a_connection_leaves_no_descriptor_open():
    before = len(list(Path("/dev/fd").iterdir()))
    assert not sever(("192.0.2.1", 1), ("192.0.2.2", 2))
    assert len(list(Path("/dev/fd").iterdir())) == before


async def test_a_taken_port_is_replaced_and_said_once():
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        taken = squatter.getsockname()[1]
        ports = Ports(**{**dict.fromkeys(SERVICES, 0), "orders": taken})
        with capture_logs() as logs, listening("127.0.0.1", ports) as sockets:
            given = sockets["orders"].getsockname()[1]
    assert given != taken
    assert [(log["event"], log["service"], log["port"], log["instead"]) for log in logs] == [
        ("port taken", "orders", taken, given)
    ]


def test_the_ports_are_those_of_the_real_services():
    assert Ports() == Ports(
        shopping=5236,
        orders=5231,
        catalog=5133,
        identity=5235,
        payments=5232,
        inventory=5233,
        fulfillment=5234,
        pricing=5242,
    )


def test_an_address_of_another_machine_cannot_be_listened_on():
    with pytest.raises(ListenError, match=r"192\.0\.2\.1"), listening("192.0.2.1", Ports.any()):
        pass


def test_sockets_that_nobody_took_over_are_closed():
    with listening("127.0.0.1", Ports.any()) as sockets:
        left = list(sockets.values())
        mine = sockets.pop("orders")
    assert {sock.fileno() for sock in left if sock is not mine} == {-1}
    assert mine.fileno() != -1
    mine.close()


async def test_the_urls_name_the_machine_as_the_browser_knows_it():
    async with open_shop(
        Published(), open_desks(), host="0.0.0.0", advertised_host="localhost"
    ) as (urls, http):
        assert all(url.startswith("http://localhost:") for url in urls.by_name().values())
        assert (await http.get(f"{urls.pricing}/health")).status_code == 200
