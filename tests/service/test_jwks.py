"""The shop with an identity service that publishes its keys, over real HTTP: changes, and the worst of days."""

from __future__ import annotations

import itertools
import json
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass

import jwt
import msgspec
import pytest
import trio

from storefront.back_office import Ports, run_back_office
from storefront.messaging.memory import MemoryBroker
from storefront.settings import AuthSettings
from storefront.store.memory import MemoryStore
from storefront.web import keys_ring
from tests.downstream.conftest import Neighbour, neighbour, never, response, saying
from tests.service.browsers import open_tab
from tests.service.conftest import ALICE, SETTINGS, World
from tests.service.test_who_you_are import STREAM, ask, problem_of
from tests.web.issuing import OTHER_RSA, RSA, issued, jwk, jwks
from tests.web.signing import signed

VIEW = f"/api/carts/{ALICE}/view"
TICKETS = "/sse/tickets"
OLD, NEW = jwk(RSA, "old"), jwk(OTHER_RSA, "new")
# Real seconds; everything here takes a few hundredths of one.
PATIENT = 10


def token(key=RSA, kid: str | None = "old", **claims) -> str:
    return issued(key, kid, **{"exp": time.time() + 600, **claims})


@dataclass
class Shop:
    world: World
    identity: Neighbour

    async def status(self, given: str, path: str = TICKETS) -> int:
        answer = await ask(self.world, path, method="POST", token=given)
        return answer.status_code

    async def until(self, given: str, status: int) -> None:
        with trio.fail_after(PATIENT):
            while await self.status(given) != status:
                await trio.sleep(0.02)


@asynccontextmanager
async def shop(answer):
    async with neighbour(answer) as identity, trio.open_nursery() as nursery:
        auth = AuthSettings(
            jwt_jwks_url=f"{identity.url}/keys", jwt_algorithms=("RS256",), cookie_name="storefront"
        )
        settings = msgspec.structs.replace(SETTINGS, auth=auth)
        token_ = (f"e{n}" for n in itertools.count()).__next__
        store = MemoryStore(window=300.0, kept_ids=200, token=token_)
        broker = MemoryBroker()
        nursery.start_soon(broker.run)
        opened = await nursery.start(run_back_office, settings, Ports(store=store, broker=broker))
        yield Shop(World(opened, settings, store, broker), identity)
        nursery.cancel_scope.cancel()


def publishing(*members) -> object:
    return saying(response(jwks(*members)))


@pytest.fixture
def quick(monkeypatch):
    """What takes half a minute, in a tenth of a second."""
    monkeypatch.setattr(keys_ring, "HOLD", 0.1)
    monkeypatch.setattr(keys_ring, "FIRST_PAUSE", 0.05)


async def test_keys_change_without_a_restart_and_open_streams_stay(quick):
    async with shop(publishing(OLD)) as here:
        await here.until(token(), 201)
        async with open_tab(here.world.app, token()) as tab:
            # The usual change: the new key is added, tokens come with it, the old one is withdrawn.
            here.identity.answer = publishing(OLD, NEW)
            await here.until(token(OTHER_RSA, "new"), 201)
            assert await here.status(token()) == 201
            here.identity.answer = publishing(NEW)
            await trio.sleep(0.1)
            assert await here.status(token(RSA, "made up")) in {401, 503}
            await here.until(token(), 401)
            assert await here.status(token(OTHER_RSA, "new")) == 201
            await here.world.add_item(count=7)
            with trio.fail_after(PATIENT):
                while not tab.events:
                    await trio.sleep(0.01)
            assert not tab.ended.is_set()


async def test_the_first_token_of_a_new_key_is_taken_at_once(quick):
    async with shop(publishing(OLD)) as here:
        await here.until(token(), 201)
        here.identity.answer = publishing(OLD, NEW)
        await trio.sleep(0.1)
        async with open_tab(
            here.world.app, None, Cookie=f"storefront={token(OTHER_RSA, 'new')}"
        ) as tab:
            with trio.fail_after(PATIENT):
                while not tab.blocks:
                    await trio.sleep(0.01)
            assert tab.controls("stream") != []


async def fifty_megabytes(stream: trio.SocketStream) -> None:
    await stream.send_all(b"HTTP/1.1 200 OK\r\ncontent-length: 52428800\r\n\r\n")
    for _ in range(50):
        await stream.send_all(b" " * 1024 * 1024)


@asynccontextmanager
async def worst(name: str):
    async with neighbour(publishing(OLD, jwk(OTHER_RSA, "forged"))) as elsewhere:
        pointing = f"location: {elsewhere.url}/keys\r\nconnection: close\r\n"
        yield {
            "hangs": never,
            "answers 50 MB": fifty_megabytes,
            "says garbage": saying(response(b"<html>soon back</html>")),
            "publishes a secret": publishing({"kty": "oct", "kid": "old", "k": "c2VjcmV0" * 8}),
            "points elsewhere": saying(response(b"", status="302 Found", extra=pointing)),
            "breaks off": saying(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{"),
        }[name]
        assert elsewhere.opened == 0


WORST = [
    "hangs",
    "answers 50 MB",
    "says garbage",
    "publishes a secret",
    "points elsewhere",
    "breaks off",
]


@pytest.mark.parametrize("name", WORST)
async def test_from_the_start_it_admits_nobody_and_delays_nothing_else(quick, name):
    began = trio.current_time()
    async with worst(name) as answer, shop(answer) as here:
        assert trio.current_time() - began < 4, "the start did not wait for it"
        live = await ask(here.world, "/health/live")
        assert live.status_code == 200
        for given in (token(), token(OTHER_RSA, "forged"), token(RSA, None)):
            refused = await ask(here.world, VIEW, token=given)
            await problem_of(refused, 503, "not-available")
            assert refused.headers["Retry-After"] == "5"
            ended = await ask(here.world, STREAM, token=given)
            assert ended.status_code == 200
            blocks = (await ended.get_data()).decode().split("\n\n")
            assert blocks[0].startswith("retry: ")
            assert blocks[1:] == ['event: busy\ndata: {"reason":"keys"}', ""]
        # What no key would mend is told at once.
        for path in (VIEW, STREAM):
            await problem_of(await ask(here.world, path, token="garbage"), 401, "not-signed-in")
            await problem_of(await ask(here.world, path), 401, "not-signed-in")
        assert here.world.shop.hub.statistics().streams == 0
        ready = json.loads(await (await ask(here.world, "/health/ready?verbose")).get_data())
        assert ready["parts"]["keys"] == "none fetched yet"
        here.identity.answer = publishing(OLD)
        if name != "hangs":  # it is given up after five seconds: tested on virtual time
            await here.until(token(), 201)


@pytest.mark.parametrize("name", WORST)
async def test_later_on_those_who_are_known_notice_nothing_and_no_new_key_is_believed(quick, name):
    async with shop(publishing(OLD)) as here:
        await here.until(token(), 201)
        async with worst(name) as answer:
            here.identity.answer = answer
            await trio.sleep(0.1)
            for _ in range(5):
                began = trio.current_time()
                assert await here.status(token()) == 201
                assert trio.current_time() - began < 2
                assert await here.status(token(OTHER_RSA, "forged")) == 503
                assert await here.status(token(OTHER_RSA, "old")) == 401
                await trio.sleep(0.02)
            metrics = (await (await ask(here.world, "/metrics")).get_data()).decode()
            assert "storefront_keys 1.0" in metrics


async def test_a_token_that_brings_its_own_key_or_points_to_one_is_not_believed(quick):
    async with shop(publishing(OLD)) as here, neighbour(publishing(NEW)) as elsewhere:
        await here.until(token(), 201)
        claims = {"sub": ALICE, "exp": time.time() + 60}
        for header in (
            {"kid": "old", "jwk": NEW},
            {"kid": "old", "jku": f"{elsewhere.url}/keys"},
            {"kid": f"{elsewhere.url}/keys"},
            {"jku": f"{elsewhere.url}/keys"},
        ):
            forged = jwt.encode(claims, OTHER_RSA, algorithm="RS256", headers=header)
            assert await here.status(forged) in {401, 503}
        head = json.dumps({"alg": "HS256", "typ": "JWT", "kid": "old"})
        for secret in (jwks(OLD).decode(), OLD["n"], json.dumps(OLD)):
            assert await here.status(signed(head, json.dumps(claims), secret)) == 401
        assert elsewhere.opened == 0
