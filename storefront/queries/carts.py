"""The cart page: Shopping's cart, with the products Catalog knows."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from typing import Protocol

import trio

from storefront.domain.ids import CartId, CustomerId
from storefront.downstream.shopping import Cart
from storefront.errors import DownstreamError, StoreUnavailableError
from storefront.queries.asking import asking
from storefront.queries.including import Included
from storefront.queries.lines import Shelves, enquire, shown, subtotal_of
from storefront.queries.parts import Composed, Source, insist, state_of
from storefront.queries.remembered import Remembered, cart_among
from storefront.queries.shapes import CartView

SHOPPING = "shopping"
_OPEN = "Active"


class AskShopping(Protocol):
    """What the cart page asks of Shopping (downstream/shopping.py)."""

    async def cart(self, cart: CartId, owner: CustomerId | None = None) -> Cart | None: ...

    async def cart_of(self, customer: CustomerId) -> Cart | None: ...


class Carts:
    """Composes carts.

    Args:
        shopping: owns them.
        shelves: whom to ask about products.
        remembered: which cart is a customer's.
        at_once: questions of one view under way at the same time.
        most_lines: that are shown of one cart.
    """

    def __init__(
        self,
        shopping: AskShopping,
        shelves: Shelves,
        remembered: Remembered,
        *,
        at_once: int,
        most_lines: int,
    ) -> None:
        self._shopping = shopping
        self._shelves = shelves
        self._remembered = remembered
        self._at_once = at_once
        self._most_lines = most_lines

    async def of_customer(
        self, customer: CustomerId, include: Included, *, deadline: float
    ) -> Composed[CartView]:
        """The customer's cart; the empty view where they have none.

        Raises:
            DownstreamError: Shopping let us down, and nobody knows whether there is a cart.
        """
        cart, source = await self._current(customer, deadline)
        if cart is None:
            return Composed(view=_empty(customer), owner=customer, sources={SHOPPING: source})
        return await self._composed(cart, customer, source, include, deadline)

    async def of_id(
        self, cart_id: CartId, reader: CustomerId | None, include: Included, *, deadline: float
    ) -> Composed[CartView]:
        """The cart of that id, for a reader, or for whoever may read any (None).

        A cart without a customer is nobody's to read: whoever guessed its id would see a stranger's
        shopping.

        Raises:
            DownstreamError: Shopping let us down.
        """
        named = None
        if reader is not None:
            with suppress(StoreUnavailableError):
                named = cart_among(await self._remembered.facts(reader, deadline))
        # What an event told to be the reader's cart stays the reader's, whatever Shopping says.
        mine = reader if named == cart_id else None
        cart, source = await insist(deadline, SHOPPING, self._shopping.cart, cart_id, mine)
        owner = None if cart is None else cart.customer_id
        if cart is None or owner is None or reader not in {owner, None}:
            return Composed(view=None, owner=owner, sources={SHOPPING: source})
        return await self._composed(cart, owner, source, include, deadline)

    async def _current(self, customer: CustomerId, deadline: float) -> tuple[Cart | None, Source]:
        """The customer's open cart, and what to say of Shopping."""
        remembered = True
        named: CartId | None = None
        try:
            named = cart_among(await self._remembered.facts(customer, deadline))
        except StoreUnavailableError:
            remembered = False
        if named is not None:
            # It was this customer's when its last event came, and a cart does not change hands.
            cart, source = await insist(deadline, SHOPPING, self._shopping.cart, named, customer)
            if cart is not None and cart.status == _OPEN:
                return cart, source
        # Nothing was ever put into a cart, or the last one is closed. A Shopping as the design
        # document has it knows of a cart that no event has told of yet; the real one says 404.
        asked_at = trio.current_time()
        try:
            cart, source = await insist(deadline, SHOPPING, self._shopping.cart_of, customer)
        except DownstreamError as exc:
            if not remembered:
                raise
            return None, Source(state_of(exc), asked_at)
        return (cart if cart is not None and cart.status == _OPEN else None), source

    async def _composed(
        self, cart: Cart, owner: CustomerId, source: Source, include: Included, deadline: float
    ) -> Composed[CartView]:
        lines, left_out = shown(cart.items, self._most_lines)
        async with asking(deadline, at_once=self._at_once) as ask:
            enquiry = enquire(ask, self._shelves, lines, include)
        view = CartView(
            cart_id=cart.cart_id,
            customer_id=owner,
            items=[enquiry.item(line) for line in lines],
            subtotal=subtotal_of(cart.items),
            lines_left_out=left_out,
        )
        sources = {SHOPPING: source, **enquiry.sources()}
        return Composed(view=view, owner=owner, sources=sources)


def _empty(customer: CustomerId) -> CartView:
    return CartView(cart_id=None, customer_id=customer, items=(), subtotal=Decimal(0))
