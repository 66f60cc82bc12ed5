"""What the page does that no shop lets its customers do: break things, and have a return begun that
no neighbour of today's Storefront takes. A blueprint beside the page's.

    GET  /demo/troubles            {"troubles": {"catalog": false, ...}}
    PUT  /demo/troubles/<name>     {"on": true}
    POST /demo/restart             {}
    POST /demo/returns             {"orderId": "..."}

Nobody signs in for it: it is a demo, on a machine of the visitor's own. A page of another origin
cannot do it to them, for the content type takes a preflight.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta
from quart import Blueprint, Response, abort, request

from storefront.demo.answers import refused, reply
from storefront.demo.refusals import RefusedError
from storefront.demo.troubles import Trouble, Troubles

T = TypeVar("T")


class Turn(msgspec.Struct, frozen=True):
    """A switch."""

    on: bool


class Wish(msgspec.Struct, frozen=True, rename="camel"):
    """To send an order back."""

    order_id: Annotated[str, Meta(max_length=36)]


class Nothing(msgspec.Struct, frozen=True):
    """A button."""


def backstage_pages(troubles: Troubles, take_back: Callable[[str], None]) -> Blueprint:
    """The four routes.

    Args:
        troubles: the switches.
        take_back: has the order of that id sent back, or raises a RefusedError.
    """
    stage = _Backstage(troubles, take_back)
    blueprint = Blueprint("backstage", __name__)
    for method, path, view in (
        ("GET", "/demo/troubles", stage.current),
        ("PUT", "/demo/troubles/<name>", stage.turn),
        ("POST", "/demo/restart", stage.restart),
        ("POST", "/demo/returns", stage.send_back),
    ):
        blueprint.add_url_rule(path, view.__name__, view, methods=[method])
    return blueprint


class _Backstage:
    def __init__(self, troubles: Troubles, take_back: Callable[[str], None]) -> None:
        self._troubles = troubles
        self._take_back = take_back

    async def current(self) -> Response:
        told = {"troubles": self._troubles.current()}
        return reply(told, headers={"Cache-Control": "no-store"})

    async def turn(self, name: str) -> Response:
        if name not in list(Trouble):
            abort(404)
        self._troubles.turn(Trouble(name), on=(await _read(Turn)).on)
        return reply({"troubles": self._troubles.current()})

    async def restart(self) -> Response:
        await _read(Nothing)
        self._troubles.restart()
        return reply({}, 202)

    async def send_back(self) -> Response:
        wish = await _read(Wish)
        try:
            self._take_back(wish.order_id)
        except RefusedError as error:
            return refused(error)
        return reply({}, 202)


async def _read(kind: type[T]) -> T:
    if request.mimetype != "application/json":
        abort(415)
    try:
        return msgspec.json.decode(await request.get_data(as_text=False), type=kind)
    except msgspec.DecodeError:
        abort(400)
