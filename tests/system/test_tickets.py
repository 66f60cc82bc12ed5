"""Two processes on one Redis, who take their keys from an identity service: a ticket of one opens one stream at the other.

No broker is there: what is shown here needs none.
"""

from __future__ import annotations

import json
import time
from functools import partial

import httpx
import trio

from tests.downstream.conftest import neighbour, response, saying
from tests.system import shopfloor as shop
from tests.system.servers.sse_client import SseClient
from tests.web.issuing import RSA, issued, jwk, jwks

DOWN = response(b"", status="503 Service Unavailable")
RACERS = 12


def bearer() -> dict[str, str]:
    return {"Authorization": f"Bearer {issued(RSA, 'k', sub=shop.ALICE, exp=time.time() + 600)}"}


async def ticket_from(client: httpx.AsyncClient, url: str) -> str:
    answer = await client.post(f"{url}/sse/tickets", headers=bearer())
    assert answer.status_code == 201, answer.text
    return answer.json()["ticket"]


async def first_frame(url: str, ticket: str, seen: list[str]) -> None:
    async with await SseClient.connect(f"{url}/sse/storefront?ticket={ticket}") as browser:
        assert await browser.read_head() == 200
        event = await browser.read_event()
        seen.append(event.type)
        if event.type == "reauthenticate":
            await browser.read_to_end()
            assert browser.ended == "clean"
            assert b"retry: 60000\n" in bytes(browser.raw)
        else:
            assert json.loads(event.data)["mode"] == "fresh"


async def test_a_ticket_of_one_process_opens_one_stream_at_another_and_no_log_holds_it(
    redis_server, new_service
):
    async with neighbour(saying(DOWN)) as identity, httpx.AsyncClient(trust_env=False) as client:
        settings = {
            "RABBITMQ_URL": "amqp://127.0.0.1:9",
            "REDIS_URL": redis_server.url,
            "JWT_JWKS_URL": f"{identity.url}/keys",
            "JWT_ALGORITHMS": "RS256",
            "LOG_LEVEL": "debug",
        }
        two = [new_service(**settings) for _ in range(2)]
        async with trio.open_nursery() as starting:
            for process in two:
                starting.start_soon(process.start)
        one, other = (process.url for process in two)

        # They serve without keys, and let nobody in.
        refused = await client.post(f"{one}/sse/tickets", headers=bearer())
        assert refused.status_code == 503
        identity.answer = saying(response(jwks(jwk(RSA, "k"))))
        for url in (one, other):
            await shop.until_async(partial(keys, client, url), "1 known", within=30)

        # Of twelve that bring one ticket at once, to both, one is let in.
        ticket, seen = await ticket_from(client, one), []
        with trio.fail_after(20):
            async with trio.open_nursery() as racers:
                for number in range(RACERS):
                    racers.start_soon(first_frame, (one, other)[number % 2], ticket, seen)
        assert sorted(seen) == ["reauthenticate"] * (RACERS - 1) + ["stream"]

        # And the other process takes what the first one issued.
        again = await ticket_from(client, one)
        for expected in ("stream", "reauthenticate"):
            seen.clear()
            with trio.fail_after(10):
                await first_frame(other, again, seen)
            assert seen == [expected]
        assert redis_server.command("KEYS", "storefront:ticket:*") == []

        for process in two:
            for secret in (ticket, again, bearer()["Authorization"][7:40]):
                assert secret not in process.output()


async def keys(client: httpx.AsyncClient, url: str) -> str:
    ready = await client.get(f"{url}/health/ready?verbose")
    return ready.json()["parts"]["keys"].partition(",")[0]
