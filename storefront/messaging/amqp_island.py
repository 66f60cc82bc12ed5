"""The asyncio island, and the way there and back.

aio-pika is asyncio; everything else here is Trio. In the rooms of the island (`amqp*`) each
function says which it is: those whose names end in `_aio` run on the one trio-asyncio loop and are
crossed into with `aio_as_trio` only. asyncio's callbacks run in the same thread as Trio, so a
callback may use `send_nowait` on a Trio channel, and must never raise: an exception in a callback
would crash the loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar, TypeVarTuple

import structlog
from aio_pika.exceptions import AMQPError
from aiormq.exceptions import ChannelInvalidStateError
from trio_asyncio import aio_as_trio, open_loop

from storefront.errors import BrokerError
from storefront.messaging.amqp_wire import correct_reading

log = structlog.get_logger(__name__)

# What aio-pika, aiormq and the socket below them raise when the broker is gone or refuses.
BROKER_ERRORS = (
    AMQPError,
    ChannelInvalidStateError,
    OSError,
    TimeoutError,
    # aiormq ends what waits on a channel that closes by cancelling it. A cancellation of ours
    # arrives as trio.Cancelled and is not among these.
    asyncio.CancelledError,
)

T = TypeVar("T")
Args = TypeVarTuple("Args")


@asynccontextmanager
async def open_island() -> AsyncIterator[None]:
    """The one asyncio loop of this process, for everything inside. A crash of it ends the block.

    trio-asyncio cancels its tasks when left, and waits for them.
    """
    correct_reading()
    async with open_loop() as loop:
        # Without a handler of our own, an exception in any callback of any library would end the
        # process.
        loop.set_exception_handler(_note)
        yield


def _note(_loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    log.warning("asyncio", message=context.get("message"), error=repr(context.get("exception")))


async def crossing(function: Callable[[*Args], Awaitable[T]], *args: *Args) -> T:
    """Cross to the island and back; what goes wrong there is a BrokerError here."""
    try:
        answer: T = await aio_as_trio(function)(*args)
    except BROKER_ERRORS as exc:
        raise BrokerError(str(exc) or type(exc).__name__) from exc
    except Exception as exc:
        # What waits on a channel that we close ourselves ends with a bare Exception (aiormq's
        # FutureStore.reject_all); any other is a bug.
        if type(exc) is not Exception:
            raise
        raise BrokerError("the channel was closed") from exc
    return answer
