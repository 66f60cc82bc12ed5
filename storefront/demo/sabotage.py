"""Turns a fault into a bad answer, on the wire."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
import trio

from storefront.demo.asgi import App, Event, Receive, Scope, Send, answer, wait_until_gone
from storefront.demo.faults import Failing, Fault
from storefront.demo.sever import sever

# Written as one array of zeros, so that only its size is wrong.
_ZEROS = b"0," * 16_384


async def misbehave(fault: Fault, app: App, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer as the fault has it; `app` is the one that would have answered well."""
    await trio.sleep(fault.latency)
    if fault.failing is Failing.NOT:
        await app(scope, receive, send)
    elif fault.failing is Failing.HALF_BODY:
        await _half_body(app, scope, receive, send)
    elif fault.failing is Failing.RESET:
        await _reset(scope, receive)
    elif fault.failing is Failing.HANG:
        await wait_until_gone(receive)
    else:
        await _WRITTEN[fault.failing](fault, send)


async def _status(fault: Fault, send: Send) -> None:
    problem = {"type": "about:blank", "title": "As you wished", "status": fault.status}
    await answer(send, fault.status, "application/problem+json", msgspec.json.encode(problem))


async def _wrong_shape(fault: Fault, send: Send) -> None:
    await answer(send, 200, "application/json; charset=utf-8", fault.body.encode())


async def _oversize(fault: Fault, send: Send) -> None:
    # No length is announced: who reads must notice by reading.
    headers = [(b"content-type", b"application/json; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"[", "more_body": True})
    sent = 1
    while sent < fault.bytes:
        await send({"type": "http.response.body", "body": _ZEROS, "more_body": True})
        sent += len(_ZEROS)
        # Over a test client or a fast socket nothing above need ever wait.
        await trio.lowlevel.checkpoint()
    await send({"type": "http.response.body", "body": b"0]", "more_body": False})


_WRITTEN: dict[Failing, Callable[[Fault, Send], Awaitable[None]]] = {
    Failing.STATUS: _status,
    Failing.WRONG_SHAPE: _wrong_shape,
    Failing.OVERSIZE: _oversize,
}


class _Kept:
    """An answer that is not sent yet."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    async def send(self, event: Event) -> None:
        self.events.append(event)


async def _half_body(app: App, scope: Scope, receive: Receive, send: Send) -> None:
    kept = _Kept()
    await app(scope, receive, kept.send)
    start, *rest = kept.events
    body = b"".join(event.get("body", b"") for event in rest)
    await send(start)
    await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
    # Leaving now, with the head's length unmet, is what makes the server break the connection off.


async def _reset(scope: Scope, receive: Receive) -> None:
    sever(scope["client"], scope["server"])
    await wait_until_gone(receive)
