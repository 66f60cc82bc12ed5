"""The faults of a service, over HTTP: what the "break things" panel turns.

`/_faults`: GET lists them, PUT turns one, DELETE clears all.
"""

from __future__ import annotations

from collections.abc import Iterable

from quart import Response

from storefront.demo.answers import Route, done, read, reply
from storefront.demo.faults import Fault, Faults
from storefront.demo.refusals import RefusedError


class Knobs:
    """The three endpoints of one service."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def routes(self) -> Iterable[Route]:
        return (
            Route("GET", "/_faults", self.list_faults),
            Route("PUT", "/_faults", self.put_fault),
            Route("DELETE", "/_faults", self.clear_faults),
        )

    async def list_faults(self) -> Response:
        return reply({"faults": self._faults.current()}, nulls=True)

    async def put_fault(self) -> Response:
        fault = await read(Fault)
        try:
            self._faults.set(fault)
        except ValueError as error:
            raise RefusedError(str(error)) from error
        return await self.list_faults()

    async def clear_faults(self) -> Response:
        self._faults.clear()
        return done()
