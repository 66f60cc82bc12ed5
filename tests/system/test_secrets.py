"""Something recognisable is pushed through every door, and found in no log, no problem, no span and no dead letter's
reason. `OrderPlaced` carries a payment token and a street address; a publisher, a browser and a service may be broken
in a way that puts either anywhere.
"""

from __future__ import annotations

import json
from functools import partial

import httpx
import pytest
import trio

from storefront.demo.faults import Failing, Fault
from tests.system import shopfloor as shop
from tests.system.servers.amqp_tool import WOLVERINE_DEAD_LETTERS
from tests.system.servers.ports import free_port
from tests.system.shopfloor import ALICE, QUEUE
from tests.telemetry.collector import collecting_otlp

MARK = "s3cr3t"
ADDRESS = {
    "addressLine1": f"{MARK}-street", "addressLine2": f"{MARK}-flat", "city": f"{MARK}-city",
    "stateOrProvince": "WA", "postalCode": "98101", "country": "US",
}  # fmt: skip


def messages() -> list[tuple[str, bytes]]:
    """What goes well, and what a publisher can do wrong."""
    order = shop.order_placed(ALICE, shop.guid()).replace(b"123 Main St", f"{MARK}-st".encode())
    placed = order.replace(b"tok_visa_test_12345", f"{MARK}-tok".encode())
    added = shop.numbered(ALICE, 1)
    item = shop.item_added(ALICE, shop.guid())
    return [
        ("Orders.OrderPlaced", placed),
        ("Orders.OrderPlaced", placed[:-20]),
        ("Orders.OrderPlaced", f'"{MARK}-bare"'.encode()),
        ("Orders.OrderPlaced", placed.replace(ALICE.encode(), f"{MARK}-who".encode())),
        ("Orders.OrderPlaced", placed.replace(b"2026-02-17T22", f"{MARK}-when".encode())),
        ("Orders.OrderPlaced", placed.replace(b"45.97", f'"{MARK}-much"'.encode())),
        ("Shopping.ItemAdded", added.replace(b'"itemCount":1', f'"itemCount":"{MARK}"'.encode())),
        ("Shopping.ItemAdded", item.replace(b"DOG-BOWL-01", f"{MARK}-sku".encode())),
        ("Shopping.ItemAdded", b"\xff\xfe" + f"{MARK}-bytes".encode()),
        ("Shopping.Surprise", f'{{"{MARK}-key":"{MARK}"}}'.encode()),
    ]


def requests() -> list[tuple[str, str, dict, bytes]]:
    """Method, target, headers, body; those of Alice have her token."""
    mine = shop.bearer(ALICE)
    as_json = mine | {"Content-Type": "application/json", "Idempotency-Key": f"{MARK}-key"}
    cart, checkout = (f"/api/storefront/{kind}/{shop.guid()}" for kind in ("carts", "checkouts"))
    wrong = json.dumps(ADDRESS | {"city": [f"{MARK}-list"]}).encode()
    return [
        ("GET", f"/sse/storefront?ticket={MARK}", {}, b""),
        ("GET", f"/sse/storefront?token={MARK}&access_token={MARK}", {}, b""),
        ("GET", f"/sse/storefront?customerId={MARK}", mine, b""),
        ("GET", f"/sse/storefront?customerId={shop.BOB}&x={MARK}", mine, b""),
        ("GET", "/sse/storefront", {"Authorization": f"Bearer {MARK}.{MARK}.{MARK}"}, b""),
        ("GET", "/sse/storefront", {"Authorization": f"Basic {MARK}"}, b""),
        ("GET", "/sse/storefront", {"Cookie": f"__Host-storefront={MARK}; other={MARK}"}, b""),
        ("GET", f"/{MARK}/path", {"Referer": f"http://x/{MARK}", "User-Agent": MARK}, b""),
        ("GET", f"/api/carts/{MARK}/view", mine, b""),
        ("GET", f"/api/storefront/products?page={MARK}&category={MARK}", {}, b""),
        ("GET", f"/api/carts/{ALICE}/view", mine | {"traceparent": MARK, "baggage": f"a={MARK}"}, b""),
        (MARK.upper(), f"/api/carts/{ALICE}/view", mine, b""),
        ("POST", f"{cart}/items", as_json, f'{{"sku":"{MARK}",'.encode()),
        ("POST", f"{cart}/items", as_json, f'{{"sku":"{MARK}","quantity":"{MARK}"}}'.encode()),
        ("DELETE", f"{cart}/items/{MARK}", as_json, b""),
        ("POST", f"{checkout}/shipping-address", as_json, json.dumps(ADDRESS).encode()),
        ("POST", f"{checkout}/shipping-address", as_json, wrong),
        ("POST", f"{checkout}/payment-method", as_json, f'{{"paymentMethodToken":"{MARK}"}}'.encode()),
        ("POST", f"/api/storefront/customers/{ALICE}/addresses", as_json, json.dumps(ADDRESS).encode()),
    ]  # fmt: skip


FAULTS = (
    Fault(failing=Failing.WRONG_SHAPE, body=f'{{"cartId":"{MARK}","items":"{MARK}"}}'),
    Fault(failing=Failing.WRONG_SHAPE, body=f"<html>{MARK}"),
    Fault(failing=Failing.STATUS, status=500),
    Fault(failing=Failing.HALF_BODY),
    Fault(failing=Failing.RESET),
)


async def test_nothing_that_came_through_a_door_is_told_of(vhost, new_service):
    with collecting_otlp() as collector:
        async with shop.open_neighbours() as neighbours:
            service = new_service(**shop.settings(vhost.url, **neighbours.settings))
            service._environment |= {
                "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
                "OTEL_EXPORTER_OTLP_HEADERS": f"api-key={MARK}-otel",
                "OTEL_BSP_SCHEDULE_DELAY": "50",
            }
            await service.start()
            await shop.until_consumed(vhost)
            for kind, body in messages():
                properties = shop.wolverine_properties(kind, shop.guid())
                properties["headers"] |= {"x-custom": f"{MARK}-header", "tracestate": f"a={MARK}"}
                publish = partial(vhost.tool.publish, QUEUE, body, **properties)
                await trio.to_thread.run_sync(publish)
            await shop.until_settled(vhost)
            answers = await ask_all(service.url, neighbours)
            await service.stop()
    dead = vhost.tool.get(WOLVERINE_DEAD_LETTERS, limit=50)
    assert len(dead) >= 5
    notes = ("x-storefront-reason", "exception-type", "exception-message", "original-destination")
    for letter in dead:
        assert not any(MARK in str(letter.headers.get(note, "")) for note in notes)
    said = service.output()
    assert said.count('"event": "dead letter"') + said.count('"event":"dead letter"') == len(dead)
    assert [line for line in said.splitlines() if MARK in line.lower()] == []
    assert [text for text in answers if MARK in text.lower()] == []
    assert len(collector.spans) > len(dead) + 10
    assert MARK.encode() not in bytes(collector.raw).lower()


async def ask_all(url: str, neighbours) -> list[str]:
    answers = []
    async with httpx.AsyncClient(base_url=url, timeout=20) as client:
        for method, target, headers, body in requests():
            answer = await client.request(method, target, headers=headers, content=body)
            answers.append(f"{answer.status_code} {answer.headers} {answer.text}")
        for fault in FAULTS:
            for desk in neighbours.desks.values():
                desk.faults.set(fault)
            for target in (
                f"/api/storefront/carts/{shop.guid()}",
                f"/api/orders?customerId={ALICE}",
            ):
                answer = await client.get(target, headers=shop.bearer(ALICE))
                answers.append(f"{answer.status_code} {answer.headers} {answer.text}")
    assert {answer[:3] for answer in answers} >= {"200", "400", "401", "403", "404", "503"}
    return answers


@pytest.mark.parametrize("reachable", [True, False])
async def test_a_broker_and_a_redis_that_refuse_a_password_do_not_have_it_told(
    redis_server, vhost, new_service, reachable
):
    port = vhost.url.rpartition(":")[2].partition("/")[0] if reachable else str(free_port())
    name = vhost.url.rpartition("/")[2]
    redis = redis_server.url.partition("://")[2] if reachable else f"127.0.0.1:{free_port()}/0"
    service = new_service(
        **shop.settings(
            f"amqp://{MARK}-user:{MARK}-password@127.0.0.1:{port}/{name}",
            REDIS_URL=f"redis://:{MARK}-password@{redis}",
        )
    )
    await service.start()
    await shop.until(lambda: "restarting" in service.output())
    async with httpx.AsyncClient(base_url=service.url, timeout=20) as client:
        ready = await client.get("/health/ready?verbose")
        stream = await client.get("/sse/storefront", headers=shop.bearer(ALICE))
        metrics = await client.get("/metrics")
    await service.stop()
    for text in (service.output(), ready.text, stream.text, metrics.text):
        assert f"{MARK}-password" not in text
