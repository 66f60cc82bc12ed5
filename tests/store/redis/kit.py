"""The store on a Redis, as tests want it."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager, suppress

import trio
from trio_asyncio import current_loop

from storefront.errors import StoreUnavailableError
from storefront.messaging.amqp import open_island
from storefront.store.contract import Refused
from storefront.store.redis import open_redis_store
from tests.store.kit import KEPT_IDS, WINDOW, eventually

__all__ = ["eventually"]

# Seconds: an announcement takes about 1 ms, on a machine with nothing else to do.
HEARD_WITHIN = 5.0


@asynccontextmanager
async def open_store(url, *, window=WINDOW, kept_ids=KEPT_IDS):
    """A store, and the asyncio loop it lives on."""
    async with open_island(), open_redis_store(url, window=window, kept_ids=kept_ids) as store:
        yield store


@asynccontextmanager
async def open_stores(*urls):
    """Several, as several processes would have them."""
    async with open_island(), AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(open_redis_store(url, window=WINDOW, kept_ids=KEPT_IDS))
            for url in urls
        ]


class Announcing:
    """A store that answers `record` only when all its followers have heard.

    Redis tells followers and answers on different connections, in no order; the tests of the
    contract look at what was heard as soon as they have the answer.
    """

    def __init__(self, store):
        self._store = store
        self._followers = {}

    def __getattr__(self, name):
        return getattr(self._store, name)

    async def record(self, batch, *, now):
        followers = list(self._followers.values())
        answers = await self._store.record(batch, now=now)
        awaited = {(entry.customer, entry.position) for entry in answers if entry is not None}
        with trio.move_on_after(HEARD_WITHIN):
            for follower in followers:
                await follower.heard_all(awaited)
        return answers

    async def follow(self, hear, lost, *, task_status=trio.TASK_STATUS_IGNORED):
        follower = _Follower(hear)
        self._followers[id(follower)] = follower
        try:
            await self._store.follow(follower.hear, lost, task_status=task_status)
        finally:
            del self._followers[id(follower)]
            follower.gone.set()


class _Follower:
    def __init__(self, hear):
        self._tell = hear
        self._heard = set()
        self._more = trio.Event()
        self.gone = trio.Event()

    def hear(self, entries):
        self._tell(entries)
        self._heard |= {(entry.customer, entry.position) for entry in entries}
        self._more.set()
        self._more = trio.Event()

    async def heard_all(self, awaited):
        async with trio.open_nursery() as nursery:

            async def until_gone():
                await self.gone.wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(until_gone)
            while not awaited <= self._heard:
                await self._more.wait()
            nursery.cancel_scope.cancel()


def opener(url):
    """As an opener of tests.store.kit, which knows only folders."""

    @asynccontextmanager
    async def open_it(_folder):
        async with open_store(url) as store:
            yield _Ashore(store)

    return open_it


class _Ashore:
    """For calls from another thread, whose tasks descend from nobody who opened the asyncio loop."""

    def __init__(self, store):
        self._store = store
        self._loop = current_loop.get()

    def __getattr__(self, name):
        async def call(*args, **options):
            current_loop.set(self._loop)
            return await getattr(self._store, name)(*args, **options)

        return call


class Middleman:
    """Between a store and its Redis: passes bytes on, and can lose them without a word."""

    def __init__(self, port):
        self._port = port
        self.swallowing = set()
        self.streams = []

    async def run(self, task_status=trio.TASK_STATUS_IGNORED):
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listeners[0].socket.getsockname()[1]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, self._serve, listeners)
            task_status.started(f"redis://127.0.0.1:{port}/0")

    def swallow(self):
        """Lose, from now on, whatever Redis says on the connections there are."""
        self.swallowing.update(self.streams)

    async def _serve(self, client):
        self.streams.append(client)
        with suppress(OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            upstream = await trio.open_tcp_stream("127.0.0.1", self._port)
            async with upstream as server, client, trio.open_nursery() as nursery:
                nursery.start_soon(self._pass_on, client, server, nursery.cancel_scope)
                nursery.start_soon(self._pass_on, server, client, nursery.cancel_scope)
        self.streams.remove(client)

    async def _pass_on(self, source, sink, scope):
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            async for data in source:
                if sink not in self.swallowing:
                    await sink.send_all(data)
        scope.cancel()


async def speak(replies, task_status=trio.TASK_STATUS_IGNORED):
    """A server that answers whatever it is sent with the next of `replies`; None hangs up."""

    async def serve(stream):
        with suppress(trio.BrokenResourceError):
            async for _ in stream:
                reply = next(replies)
                if reply is None:
                    return
                await stream.send_all(reply)

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    task_status.started(f"redis://127.0.0.1:{port}/0")
    await trio.serve_listeners(serve, listeners)


async def recovered(question, within=5.0):
    """The answer to a question, asked until there is one, and nobody is refused."""
    with trio.fail_after(within):
        while True:
            with suppress(StoreUnavailableError):
                answer = await question()
                if not refused_in(answer):
                    return answer
            await trio.sleep(0.02)


def refused_in(answers):
    """Those of the answers to a batch that are refusals."""
    return [each for each in answers if isinstance(each, Refused)] if answers else []
