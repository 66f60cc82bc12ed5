"""A process whose way to Redis's announcements was cut makes up for what it missed when it has it back, of itself.

What it serves was recorded by another process. The heartbeat's look at the log, which would find it too, is minutes
away, and nothing that comes later would show that something is missing.
"""

from __future__ import annotations

import json
from functools import partial

import trio

from tests.system import shopfloor as shop
from tests.system.proxy import is_announcement, open_proxy, resp_units
from tests.system.servers.redis import RedisServer
from tests.system.shopfloor import ALICE

# Seconds from the way being free again: the longest pause between two attempts (5), one attempt, and a busy machine.
MADE_UP_FOR_WITHIN = 8.0
NO_BEAT = "300"


def subscribers(server: RedisServer) -> set[str]:
    """The connections that hear announcements, by Redis's own names for them."""
    with server.client() as client:
        return {each["id"] for each in client.client_list(_type="pubsub")}


def recorded(server: RedisServer) -> int:
    return sum(server.command("LLEN", log) for log in server.command("KEYS", "storefront:{*}:log"))


def is_subscription(unit: bytes) -> bool:
    return b"\r\nSUBSCRIBE\r\n" in unit


async def test_an_event_announced_while_a_process_could_not_hear_arrives_once_it_hears_again(
    vhost, redis_server, new_service
):
    async with open_proxy(redis_server.port, resp_units) as way:
        consuming = new_service(**shop.settings(vhost.url, REDIS_URL=redis_server.url))
        deaf = new_service(
            **shop.settings(
                vhost.url, REDIS_URL=way.in_front_of(redis_server.url), HEARTBEAT=NO_BEAT
            )
        )
        await consuming.start()
        await shop.until_consumed(vhost)
        others = subscribers(redis_server)
        await deaf.start()
        await shop.until(lambda: subscribers(redis_server) > others)
        async with await shop.open_stream(deaf.url) as client:
            way.up.withhold_from(is_subscription)
            (cut,) = subscribers(redis_server) - others
            assert redis_server.command("CLIENT", "KILL", "ID", cut) == 1
            await shop.until(lambda: bool(way.up.withheld))
            await trio.to_thread.run_sync(
                partial(shop.send, vhost.tool, "Shopping.ItemAdded", shop.numbered(ALICE, 1))
            )
            await shop.until(lambda: recorded(redis_server) == 1)
            await shop.until_settled(vhost)
            assert subscribers(redis_server) == others
            await way.up.release()
            with trio.fail_after(MADE_UP_FOR_WITHIN):
                event = await client.read_event("message")
            assert (json.loads(event.data)["itemCount"], event.id[-2:]) == (1, "-1")
            assert client.ended is None
        # It was the log that told it: nothing was announced to it before or since.
        assert not any(map(is_announcement, way.down.passed))
