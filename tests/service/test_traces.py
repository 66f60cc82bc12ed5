"""One trace through the whole service: what hangs below what, what the browser is given, what is said of nobody."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
import structlog
import trio
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from opentelemetry.trace import SpanKind

from storefront.domain.positions import Position
from storefront.messaging.envelope import wolverine
from tests.service.browsers import data_of, open_tab
from tests.service.conftest import ALICE, QUEUE, wall_clock
from tests.service.market import open_market
from tests.telemetry.collecting import PUBLISHER, TRACE, TRACE_ID, collecting

CART = "019c5dd6-29d2-7fb9-9d90-cf760997d1c0"
PROCESS = f"process {QUEUE}"


async def publish(world, number: int = 1, *, trace: str | None = TRACE, **fields: object) -> None:
    """As a neighbour of another make would, which no span of ours is around."""
    body = {
        "cartId": CART,
        "customerId": ALICE,
        "itemCount": number,
        "totalAmount": Decimal("39.98"),
        "occurredAt": "2026-02-17T21:58:44.1234567+00:00",
    }
    kind = "Messages.Contracts.Shopping.ItemAdded"
    message = wolverine(
        kind, body | fields, message_id=f"m-{number}", sent_at=wall_clock(), source="Shopping.Api",
        traceparent=trace,
    )  # fmt: skip
    await world.broker.publish(QUEUE, message)
    await trio.testing.wait_all_tasks_blocked()


async def test_a_message_its_record_and_its_fan_out_hang_below_their_publisher(
    world, autojump_clock
):
    with collecting() as found:
        async with open_tab(world.app, world.token()), open_tab(world.app, world.token()):
            await publish(world)
    assert found.parent_of(PROCESS) == PUBLISHER
    assert found.parent_of("record") == PROCESS
    assert found.parent_of("fan out") == "record"
    process = found.one(PROCESS)
    assert process.kind is SpanKind.CONSUMER
    assert [f"{link.context.span_id:016x}" for link in process.links] == [PUBLISHER]
    assert process.attributes["storefront.outcome"] == "recorded"
    assert process.attributes["storefront.message.type"] == "Shopping.ItemAdded"
    assert found.one("fan out").attributes["storefront.streams"] == 2
    ids = {f"{found.one(name).context.trace_id:032x}" for name in (PROCESS, "record", "fan out")}
    assert ids == {TRACE_ID}


async def test_a_frame_carries_the_context_of_its_record_live_and_replayed_alike(
    world, autojump_clock
):
    with collecting() as found:
        async with open_tab(world.app, world.token()) as tab:
            first = tab.blocks[-1].removeprefix("id: ")
            await publish(world)
            (live,) = [
                block for block in tab.blocks if "data: {" in block and "event:" not in block
            ]
        async with open_tab(world.app, world.token(), Last_Event_ID=first) as tab:
            assert tab.blocks[-1] == live
        # From the store itself, and not from what the process remembers.
        stored = await world.store.since(
            ALICE, Position.parse(first), now=wall_clock(), limit=9, max_bytes=9999
        )
    record = found.one("record").context
    told = f"00-{TRACE_ID}-{record.span_id:016x}-01"
    assert data_of(live).endswith(f',"traceparent":"{told}"}}')
    assert json.loads(data_of(live))["traceparent"] == told
    (entry,) = stored.entries
    assert entry.traceparent == told
    assert b"traceparent" not in entry.payload
    # Whoever does not trace writes what is stored, and no more.
    async with open_tab(world.app, world.token(), Last_Event_ID=first) as tab:
        assert data_of(tab.blocks[-1]) == entry.payload.decode()


async def test_a_trace_that_nobody_keeps_is_in_no_frame(world, autojump_clock):
    with collecting(ParentBased(ALWAYS_OFF)) as found:
        async with open_tab(world.app, world.token()) as tab:
            await publish(world, 1, trace=TRACE[:-2] + "00")
            await publish(world, 2, trace=None)
            assert len(tab.events) == 2
            assert not any("traceparent" in event for event in tab.events)
    assert found.names == []


@pytest.mark.parametrize(
    ("times", "fields", "outcome"),
    [
        (2, {}, "duplicate"),
        (1, {"customerId": "nobody's"}, "dead-letter"),
        (1, {"customerId": "00000000-0000-0000-0000-000000000000"}, "anonymous"),
    ],
)
async def test_whatever_becomes_of_a_message_its_span_ends_with_it(
    world, autojump_clock, times, fields, outcome
):
    with collecting() as found:
        for _ in range(times):
            await publish(world, **fields)
    spans = [span for span in found.spans if span.name == PROCESS]
    assert len(spans) == times
    assert spans[-1].attributes["storefront.outcome"] == outcome
    if outcome == "dead-letter":
        assert ALICE not in spans[-1].to_json()


async def test_a_stream_has_a_span_for_its_opening_and_none_for_its_life(world, autojump_clock):
    with collecting() as found:
        async with open_tab(world.app, world.token()):
            assert found.names == ["GET /sse/storefront", "open stream"]
            await trio.sleep(65)
        assert found.parent_of("open stream") == "GET /sse/storefront"
        assert found.names == ["GET /sse/storefront", "open stream"]


async def test_health_and_metrics_are_asked_without_a_trace(world, autojump_clock):
    with collecting() as found:
        client = world.app.test_client()
        for path in ("/health/live", "/metrics"):
            assert (await client.get(path)).status_code == 200
        assert (await client.get("/nothing/here?ticket=s3cr3t")).status_code == 404
    assert found.names == ["GET"]
    assert "s3cr3t" not in found.one("GET").to_json()


async def test_a_refetch_goes_on_with_the_trace_that_its_frame_brought_down_to_each_service():
    async with open_market() as market:
        with collecting() as found, structlog.testing.capture_logs() as lines:
            cart = await market.filled_cart(("DOG-BOWL-01", 2), ("CAT-TOY-05", 1))
            market.forget()
            answer = await market.get(f"/api/storefront/carts/{cart}", traceparent=TRACE)
            assert answer.status_code == 200
        heard = {
            name: [asked.headers.get("traceparent", "") for asked in desk.ledger.requests]
            for name, desk in market.desks.items()
            if desk.ledger.total
        }
    mine = [span for span in found.spans if f"{span.context.trace_id:032x}" == TRACE_ID]
    tree = sorted((span.name, found.parent(span)) for span in mine)
    route = "GET /api/storefront/carts/<string(length=36):cart_id>"
    assert tree == [
        (route, PUBLISHER),
        ("GET catalog", "view cart_by_id"),
        ("GET catalog", "view cart_by_id"),
        ("GET shopping", "view cart_by_id"),
        ("view cart_by_id", route),
    ]
    # Each service was told the very span of the attempt that asked it.
    attempts = {f"{s.context.span_id:016x}": s.name for s in mine if s.kind is SpanKind.CLIENT}
    told = {said: name for name, each in heard.items() for said in each}
    assert len(told) == 3
    for said, name in told.items():
        assert said[3:35] == TRACE_ID
        assert attempts[said[36:52]] == f"GET {name}"
    (server,) = [span for span in mine if span.kind is SpanKind.SERVER]
    assert server.attributes["http.response.status_code"] == 200
    # No id of anybody, and nothing that was said.
    for span in mine:
        told_of = json.dumps(dict(span.attributes)) + span.name
        assert ALICE not in told_of
        assert cart not in told_of
    (line,) = [line for line in lines if line["event"] == "request"]
    assert (line["method"], line["status"]) == ("GET", 200)
