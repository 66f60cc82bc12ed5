"""Whose order is it? Most messages name an order only (contracts.md section 0).

Remembered from OrderPlaced, which comes first on the same queue; else in the store, where every
process of this shop has put what it learned; else Orders is asked. A guess is never made.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable

import trio

from storefront.domain.ids import CustomerId, OrderId
from storefront.errors import StoreUnavailableError
from storefront.messaging.retrying import pauses
from storefront.store.contract import Refused, Store

# Orders remembered in memory; at the bound the one unused for longest is asked of the store again.
REMEMBERED = 50_000

# Seconds a message that names an order only is held, and all behind it, while the log does not
# say whose it is. At the bound it is put aside, as while Orders is away: then `occurredAt` tells
# the older from the newer.
LONGEST_HOLD = 60.0

AskOrders = Callable[[OrderId], Awaitable[CustomerId | None]]


class Placing:
    """Order to customer, cheapest source first.

    Args:
        store: remembers for every process, and over restarts.
        ask_orders: Orders' own answer, None where it knows no such order.
        clock: seconds since 1970.
    """

    def __init__(self, store: Store, *, ask_orders: AskOrders, clock: Callable[[], float]) -> None:
        self._store = store
        self._ask_orders = ask_orders
        self._clock = clock
        self._remembered: OrderedDict[OrderId, CustomerId] = OrderedDict()

    def learn(self, order: OrderId, customer: CustomerId) -> None:
        """A message said whose order it is. The first answer stands, as in the store."""
        self._remembered.setdefault(order, customer)
        self._remembered.move_to_end(order)
        if len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)

    def remembered(self, order: OrderId) -> CustomerId | None:
        """Whose order it is, if that needs no question."""
        if order in self._remembered:
            self._remembered.move_to_end(order)
        return self._remembered.get(order)

    async def keep(self, order: OrderId, customer: CustomerId) -> None:
        """Write down for the other processes what a message said.

        Raises:
            StoreUnavailableError: the store does not answer, or refuses.
        """
        (refused,) = await self._store.place([(order, customer)], now=self._clock())
        if refused is not None:
            raise StoreUnavailableError(refused.detail)

    async def recall(self, order: OrderId) -> CustomerId | None:
        """Whose order it is, as the store has it; remembered from now on. None also where the store
        refuses to say it of this order, which is no reason to hold another: `find` waits for it.

        Raises:
            StoreUnavailableError: the store does not answer.
        """
        found = await self._ask_store(order)
        return None if isinstance(found, Refused) else found

    async def find(self, order: OrderId) -> CustomerId | None:
        """Whose order it is; None when Orders answered and knows no such order.

        Raises:
            StoreUnavailableError: the store does not answer, or refuses.
            DownstreamError: Orders does not.
        """
        customer = self.remembered(order) or await self._ask_store(order)
        if isinstance(customer, Refused):
            raise StoreUnavailableError(customer.detail)
        if customer is None:
            customer = await self._ask_orders(order)
            if customer is None:
                return None
            await self.keep(order, customer)
            self.learn(order, customer)
        return customer

    async def _ask_store(self, order: OrderId) -> CustomerId | Refused | None:
        found = await self._store.owner(order, now=self._clock())
        if found is not None and not isinstance(found, Refused):
            self.learn(order, found)
        return found


async def patiently(
    ask: Callable[[OrderId], Awaitable[CustomerId | None]], order: OrderId
) -> CustomerId | None:
    """Whose order it is, where the log may be away for a moment.

    Waited for here, in its queue: what is put aside is passed by what comes behind it, and while
    the log is away that could not be recorded either.

    Raises:
        StoreUnavailableError: the log has not answered for LONGEST_HOLD.
        DownstreamError: Orders was asked, and does not answer.
    """
    pause, until = pauses(), trio.current_time() + LONGEST_HOLD
    while True:
        try:
            return await ask(order)
        except StoreUnavailableError:
            if trio.current_time() >= until:
                raise
        await trio.sleep(next(pause))
