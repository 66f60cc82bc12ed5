"""A store that fails when it is told to, over one that keeps all promises."""

from __future__ import annotations

from storefront.errors import StoreUnavailableError
from storefront.store.contract import Refused

REFUSED = Refused("wrong-type", "a key holds the wrong kind of value")


class FaultyStore:
    """Away as a whole (`away`), or refusing certain customers and orders (`refuses`)."""

    def __init__(self, store):
        self._store = store
        self.away = False
        self.refuses = set()
        self.calls = []

    def __getattr__(self, name):
        return getattr(self._store, name)

    async def record(self, batch, *, now):
        self._check("record", len(batch))
        refuses = set(self.refuses)  # it may be told otherwise meanwhile
        taken = [each for each in batch if each.customer not in refuses]
        answers = iter(await self._store.record(taken, now=now))
        return [REFUSED if each.customer in refuses else next(answers) for each in batch]

    async def place(self, owners, *, now):
        self._check("place", len(owners))
        refuses = set(self.refuses)
        await self._store.place([owner for owner in owners if owner[0] not in refuses], now=now)
        return [REFUSED if order in refuses else None for order, _ in owners]

    async def since(self, *args, **options):
        self._check("since")
        return await self._store.since(*args, **options)

    async def position(self, *args, **options):
        self._check("position")
        return await self._store.position(*args, **options)

    async def heads(self, *args, **options):
        self._check("heads")
        return await self._store.heads(*args, **options)

    def _check(self, *call):
        self.calls.append(call)
        if self.away:
            raise StoreUnavailableError("away")
