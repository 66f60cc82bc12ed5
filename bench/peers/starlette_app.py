"""sse-starlette as its documentation has it: a queue per client, an async generator per response.

    python -m bench.peers.starlette_app PORT HEARTBEAT

On uvicorn with uvloop and httptools, no access log. Frames are bytes, which it passes on as they
are. With AMQP in the environment (BENCH_AMQP, BENCH_QUEUE) it is the whole pipeline a Python shop
would write first: aio-pika in, each customer's stream out. It keeps no log: who is away misses what
comes.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aio_pika
import uvicorn
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

OPENING = (
    b"retry: 3000\n\n"
    b'event: stream\ndata: {"mode":"fresh","position":"000000000000-0"}\n\n'
    b"id: 000000000000-0\n\n"
)
PREFETCH = 100  # Storefront's own default

streams: dict[str, set[asyncio.Queue[bytes]]] = {}
heartbeat = 30


async def events(request: Request) -> EventSourceResponse:
    """The stream of customer `c`."""
    mine = streams.setdefault(request.query_params["c"], set())
    queue: asyncio.Queue[bytes] = asyncio.Queue()

    async def frames() -> AsyncIterator[bytes]:
        mine.add(queue)
        try:
            yield OPENING
            while True:
                yield await queue.get()
        finally:
            mine.discard(queue)

    return EventSourceResponse(frames(), ping=heartbeat, sep="\n", ping_message_factory=ping)


def ping() -> ServerSentEvent:
    """The comment of a heartbeat, with the line ends that all the others use."""
    return ServerSentEvent(comment="ping", sep="\n")


async def publish(request: Request) -> Response:
    """One frame to every stream there is."""
    frame = await request.body()
    at = time.monotonic_ns()
    for mine in streams.values():
        for queue in mine:
            queue.put_nowait(frame)
    return Response(headers={"at": str(at)})


async def consume(url: str, name: str) -> None:
    """RabbitMQ to each customer's stream; acknowledged once it is on its way."""
    connection = await aio_pika.connect_robust(url)
    channel = await connection.channel()
    await channel.set_qos(PREFETCH)
    arguments = {"x-dead-letter-exchange": "wolverine-dead-letter-queue"}
    queue = await channel.declare_queue(name, durable=True, arguments=arguments)
    counts: dict[str, int] = {}

    async def take(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        body = json.loads(message.body)
        customer = body["customerId"]
        counts[customer] = seq = counts.get(customer, 0) + 1
        event = json.dumps({"eventType": "cart-updated", **body}, separators=(",", ":"))
        frame = b"id: 000000000000-%d\ndata: %s\n\n" % (seq, event.encode())
        for stream in streams.get(customer, ()):
            stream.put_nowait(frame)
        await message.ack()

    await queue.consume(take)


@asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[None]:
    if "BENCH_AMQP" in os.environ:
        await consume(os.environ["BENCH_AMQP"], os.environ["BENCH_QUEUE"])
    yield


app = Starlette(
    routes=[Route("/events", events), Route("/publish", publish, methods=["POST"])],
    lifespan=lifespan,
)

if __name__ == "__main__":
    heartbeat = int(sys.argv[2])
    uvicorn.run(
        app,
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
        backlog=4096,
    )
