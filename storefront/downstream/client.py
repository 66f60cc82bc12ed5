"""What the clients share: a question or a command through the guard, its answer read inside it.

Inside, because a service that answers nonsense is failing, and the breaker is to hear of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NoReturn, TypeVar

from storefront.downstream.commands import PassedOn, encode
from storefront.downstream.guard import Guard
from storefront.downstream.http import HttpService, Told
from storefront.errors import (
    DownstreamAbsentError,
    DownstreamNonsenseError,
    DownstreamRefusedError,
)

T = TypeVar("T")

_NOT_FOR_US = frozenset({401, 403})
_NO_SUCH_METHOD = 405


class Client:
    """One service behind its guard."""

    def __init__(self, http: HttpService, guard: Guard) -> None:
        self._http = http
        self._guard = guard

    @property
    def name(self) -> str:
        """The service's name in the settings."""
        return self._http.name

    async def _ask(
        self,
        meaning: Callable[[bytes], T],
        *path: str,
        query: Mapping[str, str] | None = None,
    ) -> T | None:
        """What the body of a GET means; None for 404."""

        async def question() -> T | None:
            body = await self._http.get_json(*path, query=query)
            return None if body is None else meaning(body)

        return await self._guard.ask(question)

    async def _ask_if_there(
        self,
        meaning: Callable[[bytes], T],
        *path: str,
        query: Mapping[str, str] | None = None,
    ) -> T:
        """As `_ask`, of a service that may be too old for the question, or keep its answer from us.

        Raises:
            DownstreamAbsentError: one of the two, and it says which.
        """
        try:
            found = await self._ask(meaning, *path, query=query)
        except DownstreamRefusedError as exc:
            if exc.status in _NOT_FOR_US:
                raise DownstreamAbsentError(self.name, f"not for us, status {exc.status}") from exc
            if exc.status != _NO_SUCH_METHOD:
                raise
            found = None
        if found is None:
            raise DownstreamAbsentError(self.name, "it has no such question")
        return found

    async def _tell(
        self,
        meaning: Callable[[Told], T],
        method: str,
        *path: str,
        wish: Mapping[str, object],
        passed_on: PassedOn,
    ) -> T:
        """What the answer to a command means."""

        async def command() -> T:
            body, headers = encode(wish), passed_on.headers()
            return meaning(await self._http.send_json(method, *path, body=body, headers=headers))

        return await self._guard.tell(command)

    def _refuse(self, detail: str) -> NoReturn:
        raise DownstreamNonsenseError(self.name, detail)


def whatever(_told: Told) -> None:
    """The meaning of an answer whose status says all."""
