"""A command between the caller and the service that carries it out: whose thing it is, and what was
read before it.

The service that owns a thing is asked whose it is before it is told to change it, for the services
themselves do not ask (contracts.md section 2). The customer's view generation is changed before the
command, so that a view read meanwhile is not kept, and after its answer, so that none read until
then is: also when the answer was an error, or the caller has left. Nothing is ever told twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol, TypeVar

import structlog
import trio

from storefront.domain.ids import CartId, CheckoutId, CustomerId, OrderId
from storefront.downstream.services import Services
from storefront.errors import DownstreamError, StoreError
from storefront.telemetry.metrics import Reading

log = structlog.get_logger(__name__)

T = TypeVar("T")

# Seconds the log may take for a new generation: a store that is slow or gone holds no command up.
# What was kept then is shown for its 30 s at most, or until the command's own event.
RENEWAL = 0.25


class Generations(Protocol):
    """What a command wants of the store (store/contract.py)."""

    async def renew_generation(self, customer: CustomerId, *, now: float) -> str: ...


class Commands:
    """Commands to the services on behalf of customers.

    Args:
        services: who carries them out.
        generations: the store.
        clock: seconds since 1970.
    """

    def __init__(
        self, services: Services, generations: Generations, *, clock: Callable[[], float]
    ) -> None:
        self.services = services
        self._generations = generations
        self._clock = clock
        self._told: Counter[tuple[str, str]] = Counter()
        self._not_renewed = 0

    async def owner_of_cart(self, cart: CartId) -> CustomerId | None:
        """Whose cart it is; None where there is none, or it is nobody's.

        Raises:
            DownstreamError: Shopping let us down.
        """
        found = await self.services.shopping.cart(cart)
        return None if found is None else found.customer_id

    async def owner_of_checkout(self, checkout: CheckoutId) -> CustomerId | None:
        """Whose checkout it is; None where there is none, or none yet, or it is nobody's.

        Raises:
            DownstreamError: Orders let us down.
        """
        found = await self.services.orders.checkout(checkout)
        return None if found is None else found.customer_id

    async def owner_of_order(self, order: OrderId) -> CustomerId | None:
        """Whose order it is; None where there is none.

        Raises:
            DownstreamError: Orders let us down.
        """
        return await self.services.orders.customer(order)

    async def carry_out(
        self, name: str, customer: CustomerId, command: Callable[[], Awaitable[T]]
    ) -> T:
        """Tell a service something, once, within the guard's time for a command.

        Args:
            name: for the metric.
            customer: whose views it changes.
            command: tells it.

        Raises:
            DownstreamError: as `command` does.
        """
        with trio.move_on_after(RENEWAL):
            await self._renew(customer)
        outcome = "left"
        try:
            answer = await command()
        except DownstreamError as exc:
            outcome = type(exc).__name__.removeprefix("Downstream").removesuffix("Error").lower()
            raise
        else:
            outcome = "done"
            return answer
        finally:
            self._told[name, outcome] += 1
            with trio.move_on_after(RENEWAL, shield=True):
                await self._renew(customer)

    def readings(self) -> Iterable[Reading]:
        """What became of the commands, for /metrics."""
        for (name, outcome), count in self._told.items():
            yield (
                "storefront_commands_total",
                "Commands passed on, by what became of them.",
                {"command": name, "outcome": outcome},
                count,
            )
        yield (
            "storefront_generations_not_renewed_total",
            "Commands around which the log did not change the view generation.",
            {},
            self._not_renewed,
        )

    async def _renew(self, customer: CustomerId) -> None:
        renewed = False
        try:
            await self._generations.renew_generation(customer, now=self._clock())
            renewed = True
        except StoreError as exc:
            log.warning("generation not renewed", reason=type(exc).__name__)
        finally:
            self._not_renewed += not renewed
