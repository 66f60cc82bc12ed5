"""A store whose every question is timed (OpenTelemetry: db.client.operation.duration).

It stands between the rooms and the real store and changes nothing. A question that failed took its
time as well: it is in the same histogram under `error_type`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Literal, TypeVar

import trio

from storefront.domain.facts import Fact
from storefront.domain.ids import CustomerId, OrderId
from storefront.domain.positions import Position
from storefront.errors import StoreUnavailableError
from storefront.store.contract import Entry, Listener, Recording, Refused, Slice, Store
from storefront.telemetry.metrics import Reading
from storefront.telemetry.metrics_histogram import Histogram

T = TypeVar("T")

System = Literal["redis", "sqlite"]


class WatchedStore:
    """See `contract.Store`. `system` is what OpenTelemetry calls the database."""

    def __init__(self, store: Store, system: System) -> None:
        self._store = store
        self._system = system
        self._took: dict[tuple[str, str], Histogram] = {}

    @property
    def durable(self) -> bool:
        """As the store's, which may find out later."""
        return self._store.durable

    @durable.setter
    def durable(self, durable: bool) -> None:
        self._store.durable = durable

    async def record(
        self, batch: Sequence[Recording], *, now: float
    ) -> Sequence[Entry | Refused | None]:
        return await self._timed("record", lambda: self._store.record(batch, now=now))

    async def since(
        self, customer: CustomerId, cursor: Position, *, now: float, limit: int, max_bytes: int
    ) -> Slice:
        def ask() -> Awaitable[Slice]:
            return self._store.since(customer, cursor, now=now, limit=limit, max_bytes=max_bytes)

        return await self._timed("since", ask)

    async def position(self, customer: CustomerId, *, now: float) -> Position:
        return await self._timed("position", lambda: self._store.position(customer, now=now))

    async def heads(
        self, customers: Collection[CustomerId], *, now: float
    ) -> Mapping[CustomerId, Position | Refused]:
        return await self._timed("heads", lambda: self._store.heads(customers, now=now))

    async def place(
        self, owners: Sequence[tuple[OrderId, CustomerId]], *, now: float
    ) -> Sequence[Refused | None]:
        return await self._timed("place", lambda: self._store.place(owners, now=now))

    async def owner(self, order: OrderId, *, now: float) -> CustomerId | Refused | None:
        return await self._timed("owner", lambda: self._store.owner(order, now=now))

    async def facts(self, customer: CustomerId, *, now: float) -> Sequence[Fact]:
        return await self._timed("facts", lambda: self._store.facts(customer, now=now))

    async def generation(self, customer: CustomerId) -> str:
        # On the way of every cached view, and out of a dictionary: where Redis has the views, their
        # shelf asks it itself.
        return await self._store.generation(customer)

    async def renew_generation(self, customer: CustomerId, *, now: float) -> str:
        return await self._timed("renew", lambda: self._store.renew_generation(customer, now=now))

    async def issue_ticket(self, content: bytes, *, until: float, now: float) -> bytes:
        def ask() -> Awaitable[bytes]:
            return self._store.issue_ticket(content, until=until, now=now)

        return await self._timed("issue_ticket", ask)

    async def spend_ticket(self, ticket: bytes, *, now: float) -> bytes | None:
        return await self._timed("spend_ticket", lambda: self._store.spend_ticket(ticket, now=now))

    async def follow(
        self,
        hear: Listener,
        lost: Callable[[], None],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        # It ends with the process: that is no duration.
        await self._store.follow(hear, lost, task_status=task_status)

    def readings(self) -> Iterable[Reading]:
        """The store's own, and how long it took."""
        yield from self._store.readings()
        words = "1 while what is recorded survives a crash of this process and of the store."
        yield "storefront_store_durable", words, {}, self.durable
        name, words = "db_client_operation_duration_seconds", "Seconds for a question to the log."
        for (operation, error), took in self._took.items():
            labels = {"db_system_name": self._system, "db_operation_name": operation}
            yield name, words, labels | {"error_type": error}, took

    async def _timed(self, operation: str, ask: Callable[[], Awaitable[T]]) -> T:
        """One that was cancelled is not counted: it proves nothing about the store."""
        began = trio.current_time()
        try:
            answer = await ask()
        except StoreUnavailableError:
            self._note(operation, "unavailable", began)
            raise
        self._note(operation, "", began)
        return answer

    def _note(self, operation: str, error: str, began: float) -> None:
        took = self._took.get((operation, error))
        if took is None:
            took = self._took[operation, error] = Histogram()
        took.observe(trio.current_time() - began)
