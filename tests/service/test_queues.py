"""Three queues, each with a life of its own."""

from __future__ import annotations

import trio

from storefront.consumers import queues
from tests.service.browsers import open_tab
from tests.service.conftest import ALICE

ORDER = "33333333-3333-3333-3333-333333333333"
SHIPMENT = "44444444-4444-4444-4444-444444444444"
RETURN = "55555555-5555-5555-5555-555555555555"
MOMENT = "2026-02-17T22:00:01+00:00"


async def place_order(world):
    body = {"orderId": ORDER, "customerId": ALICE, "totalAmount": 45.97, "placedAt": MOMENT}
    await world.publish("Orders.OrderPlaced", body)
    await trio.testing.wait_all_tasks_blocked()


async def hand_over(world):
    body = {"orderId": ORDER, "shipmentId": SHIPMENT, "carrier": "UPS", "trackingNumber": "1Z9"}
    await world.publish("Fulfillment.ShipmentHandedToCarrier", body | {"handedAt": MOMENT})


async def ask_for_return(world):
    body = {"returnId": RETURN, "orderId": ORDER, "customerId": ALICE, "requestedAt": MOMENT}
    await world.publish("Returns.ReturnRequested", body)


async def readiness(world):
    answer = await world.app.test_client().get("/health/ready?verbose")
    return (await answer.get_json())["parts"]


async def test_an_event_of_every_queue_reaches_its_customer(world, autojump_clock):
    async with open_tab(world.app, world.token()) as tab:
        await place_order(world)
        await hand_over(world)
        await ask_for_return(world)
        await trio.testing.wait_all_tasks_blocked()
        told = sorted((event["eventType"], event["newStatus"]) for event in tab.events)
        assert told == [
            ("order-status-changed", "Placed"),
            ("return-status-changed", "Requested"),
            ("shipment-status-changed", "Shipped"),
        ]
    for queue in queues(world.settings.messaging).values():
        assert world.broker.depth(queue.name) == 0


async def test_a_queue_that_another_process_holds_leaves_us_the_others(world, autojump_clock):
    queue = queues(world.settings.messaging)["fulfillment"]
    world.broker.cut()
    world.broker.mend()
    async with open_tab(world.app, world.token()) as tab, world.broker.consuming(queue, prefetch=1):
        await trio.sleep(1)
        assert await readiness(world) == {
            "store": "not durable",
            "consumer.notifications": "consuming",
            "consumer.fulfillment": "standing by",
            "consumer.returns": "consuming",
        }
        await place_order(world)
        await ask_for_return(world)
        await trio.testing.wait_all_tasks_blocked()
        assert [event["newStatus"] for event in tab.events] == ["Placed", "Requested"]
    await hand_over(world)
    await trio.sleep(1)
    assert (await readiness(world))["consumer.fulfillment"] == "consuming"
    assert world.broker.depth(queue.name) == 0
