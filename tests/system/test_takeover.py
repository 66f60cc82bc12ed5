"""One process consumes a queue at a time; when it goes, however it goes, another one takes over.

The moments are those of the processes' own log lines, on this machine's one clock.
"""

from __future__ import annotations

import json
import signal
import time
from datetime import datetime
from functools import partial

import httpx
import pamqp.frame
import trio
from pamqp.commands import Channel, Connection

from storefront.demo.faults import Failing, Fault
from tests.system import shopfloor as shop
from tests.system.proxy import Handed, Proxy, amqp_frames, handed_over, open_proxy
from tests.system.servers.service import ServiceProcess
from tests.system.shopfloor import ALICE, QUEUE

# Each has an owner of its own: who consumes one of them need not consume the others.
QUEUES = (QUEUE, "storefront-fulfillment-events", "storefront-returns-events")
# The promise: seconds from the end of the process that consumed to another's first moment.
TAKEN_OVER_WITHIN = 2.0
# A host that is gone without a word is given up by the broker once it heard nothing in two heartbeats running, so after
# two to three of them; with the 10 s of production 29 s were measured. The test has no time for that.
HEARTBEAT = 2
GIVEN_UP_WITHIN = 3 * HEARTBEAT + TAKEN_OVER_WITHIN


def consuming_since(process: ServiceProcess, queue: str = QUEUE) -> float:
    """When it last began to consume the queue, in seconds since 1970; 0.0 if it never did."""
    for line in reversed(process.output().splitlines()):
        if '"consuming"' in line and queue in line:
            said = json.loads(line)
            if (said["event"], said["queue"]) == ("consuming", queue):
                return datetime.fromisoformat(said["timestamp"]).timestamp()
    return 0.0


async def taken_over(
    standing_by: list[ServiceProcess], after: float, within: float, queue: str = QUEUE
) -> float:
    """Wait until one of these consumes; the seconds from `after` until it did."""
    since = partial(consuming_since, queue=queue)
    await shop.until(lambda: any(since(each) > after for each in standing_by), within=within)
    return max(map(since, standing_by)) - after


def consumed_by(process: ServiceProcess, among: list[ServiceProcess]) -> list[str]:
    """The queues that this process, and none of the others, began to consume last."""
    return [
        queue
        for queue in QUEUES
        if max(among, key=partial(consuming_since, queue=queue)) is process
    ]


async def publish(vhost, number: int) -> None:
    body = shop.numbered(ALICE, number)
    await trio.to_thread.run_sync(partial(shop.send, vhost.tool, "Shopping.ItemAdded", body))


async def test_of_three_processes_one_consumes_and_another_takes_over_within_two_seconds(
    vhost, redis_server, new_service
):
    three = [new_service(**shop.settings(vhost.url, REDIS_URL=redis_server.url)) for _ in range(3)]
    await three[0].start()
    for queue in QUEUES:
        await shop.until_consumed(vhost, queue)
    for other in three[1:]:
        await other.start()
    async with await shop.open_stream(three[0].url) as client:
        cursor = client.sse.last_event_id
    took, handed_on = [], set()
    ends = [signal.SIGKILL, signal.SIGTERM] * 2
    for number, end in enumerate(ends, start=1):
        await publish(vhost, number)
        consumer = max(three, key=consuming_since)
        left_behind = consumed_by(consumer, three)
        left_at = time.time()
        if end is signal.SIGKILL:
            consumer.kill()
        else:
            consumer.send(end)
        others = [each for each in three if each is not consumer]
        for queue in left_behind:
            took.append(await taken_over(others, left_at, within=10, queue=queue))
            handed_on.add(queue)
            await shop.until_consumed(vhost, queue)
        await consumer.wait(within=5)
        await consumer.start()
    await shop.until_settled(vhost)
    async with await shop.open_stream(three[0].url, cursor=cursor) as client:
        with trio.fail_after(10):
            seen = [json.loads((await client.read_event("message")).data) for _ in ends]
    assert [each["itemCount"] for each in seen] == list(range(1, len(ends) + 1))
    assert handed_on == set(QUEUES)
    assert max(took) <= TAKEN_OVER_WITHIN


async def test_a_consumer_asked_to_leave_hands_the_queue_over_although_a_neighbour_hangs(
    rabbit, vhost, redis_server, new_service
):
    async with shop.open_neighbours() as neighbours, open_proxy(rabbit.port, amqp_frames) as way:
        common = neighbours.settings | {"REDIS_URL": redis_server.url, "DRAIN": "10"}
        leaving = new_service(**(shop.settings(vhost.url) | common))
        heir = new_service(**(shop.settings(way.in_front_of(vhost.url)) | common))
        await leaving.start()
        await shop.until_consumed(vhost)
        await heir.start()
        shopping = neighbours.desks["shopping"]
        shopping.faults.set(Fault(failing=Failing.HANG))
        # Each would be waited for in its turn, two seconds long.
        hanging = [shop.item_added(ALICE, shop.guid())] * 6
        await trio.to_thread.run_sync(
            partial(shop.send, vhost.tool, "Shopping.ItemAdded", *hanging)
        )
        await shop.until(lambda: shopping.ledger.in_flight == 1)
        # The worst moment to leave is when the other one has just asked in vain.
        so_far = refusals(way)
        await shop.until(lambda: refusals(way) > so_far)
        left_at = time.time()
        leaving.send(signal.SIGTERM)
        assert await taken_over([heir], left_at, within=12) <= TAKEN_OVER_WITHIN
        await shop.until(lambda: vhost.unacknowledged(QUEUE) == len(hanging))


def refusals(way: Proxy) -> int:
    """How often the process behind this proxy was told that another one consumes the queue."""
    meanings = [pamqp.frame.unmarshal(frame)[2] for frame in way.down.passed]
    return sum(isinstance(each, Channel.Close) and QUEUE in each.reply_text for each in meanings)


async def test_the_broker_is_told_to_expect_a_heartbeat_every_ten_seconds(
    rabbit, vhost, new_service
):
    """What a vanished host is noticed by; left to itself the client library would ask for 60."""
    async with open_proxy(rabbit.port, amqp_frames) as way:
        await new_service(**shop.settings(way.in_front_of(vhost.url))).start()
        await shop.until_consumed(vhost)
        meanings = [pamqp.frame.unmarshal(frame)[2] for frame in way.up.passed]
    agreed = [each.heartbeat for each in meanings if isinstance(each, Connection.TuneOk)]
    assert set(agreed) == {10}


async def test_a_consumer_whose_host_vanishes_is_replaced_and_what_it_still_does_is_known_already(
    rabbit, vhost, redis_server, new_service
):
    async with (
        shop.open_neighbours() as neighbours,
        open_proxy(rabbit.port, amqp_frames) as first,
        open_proxy(rabbit.port, amqp_frames) as second,
    ):
        cart = neighbours.world.carts.initialise(ALICE)
        price = neighbours.world.products["DOG-BOWL-01"].price
        neighbours.world.carts.add(cart.cart_id, "DOG-BOWL-01", 2, price)
        shopping = neighbours.desks["shopping"]
        common = neighbours.settings | {"REDIS_URL": redis_server.url, "QUESTION_TIMEOUT": "60"}
        impatient = f"{vhost.url}?heartbeat={HEARTBEAT}"
        vanishing = new_service(**shop.settings(first.in_front_of(impatient), **common))
        heir = new_service(**shop.settings(second.in_front_of(impatient), **common))
        await vanishing.start()
        await shop.until_consumed(vhost)
        await heir.start()
        shopping.faults.set(Fault(latency=GIVEN_UP_WITHIN + 2, times=1))
        async with await shop.open_stream(heir.url) as client:
            body = shop.item_added(ALICE, cart.cart_id)
            (sent,) = await trio.to_thread.run_sync(
                partial(shop.send, vhost.tool, "Shopping.ItemAdded", body)
            )
            await shop.until(lambda: shopping.ledger.in_flight == 1)
            vanished_at = time.time()
            first.fall_silent()
            took = await taken_over([heir], vanished_at, within=GIVEN_UP_WITHIN + 5)
            with trio.fail_after(5):
                assert (await client.read_event("message")).id.endswith("-1")
            # The answer that the vanished one was waiting for, and what it makes of it.
            await shop.until_async(partial(repeated, vanishing), 1, within=GIVEN_UP_WITHIN + 5)
            await shop.until_settled(vhost)
            await publish(vhost, 7)
            with trio.fail_after(5):
                event = await client.read_event("message")
        assert (json.loads(event.data)["itemCount"], event.id[-2:]) == (7, "-2")
        assert handed_over(second.down.passed)[0] == Handed(sent, redelivered=True)
        assert took <= GIVEN_UP_WITHIN


async def repeated(process: ServiceProcess) -> int:
    """How many messages this process recorded and found that another one had."""
    async with httpx.AsyncClient(trust_env=False) as client:
        told = (await client.get(f"{process.url}/metrics")).text
    return sum(
        int(float(line.rpartition(" ")[2]))
        for line in told.splitlines()
        if line.startswith("storefront_deliveries_total") and 'outcome="duplicate"' in line
    )
