"""The checkout page: Orders' checkout, with saved addresses and products."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from typing import Protocol

from storefront.domain.ids import CheckoutId, CustomerId
from storefront.downstream.identity import Address
from storefront.downstream.orders import Checkout
from storefront.queries.asking import asking
from storefront.queries.including import Included
from storefront.queries.lines import Enquiry, Shelves, enquire, shown, subtotal_of
from storefront.queries.parts import Composed, Source, insist
from storefront.queries.shapes import CheckoutView, SavedAddress

ORDERS = "orders"
IDENTITY = "customer_identity"

AskAddresses = Callable[[CustomerId], Awaitable[Sequence[Address]]]


class AskOrders(Protocol):
    """What the checkout page asks of Orders (downstream/orders.py)."""

    async def checkout(self, checkout: CheckoutId) -> Checkout | None: ...


class Checkouts:
    """Composes checkouts.

    Args:
        orders: owns them.
        addresses: the customer's saved ones.
        shelves: whom to ask about products.
        at_once: questions of one view under way at the same time.
        most_lines: that are shown of one checkout.
    """

    def __init__(
        self,
        orders: AskOrders,
        addresses: AskAddresses,
        shelves: Shelves,
        *,
        at_once: int,
        most_lines: int,
    ) -> None:
        self._orders = orders
        self._addresses = addresses
        self._shelves = shelves
        self._at_once = at_once
        self._most_lines = most_lines

    async def of_id(
        self,
        checkout_id: CheckoutId,
        reader: CustomerId | None,
        include: Included,
        *,
        deadline: float,
    ) -> Composed[CheckoutView]:
        """The checkout of that id, for a reader, or for whoever may read any (None). One without a
        customer is nobody's to read.

        Raises:
            DownstreamError: Orders let us down.
        """
        checkout, source = await insist(deadline, ORDERS, self._orders.checkout, checkout_id)
        owner = None if checkout is None else checkout.customer_id
        if checkout is None or owner is None or reader not in {owner, None}:
            return Composed(view=None, owner=owner, sources={ORDERS: source})
        lines, _ = shown(checkout.items, self._most_lines)
        async with asking(deadline, at_once=self._at_once) as ask:
            # First, for its place among the questions: without an address there is no next step.
            saved = ask.ask(self._addresses, owner)
            enquiry = enquire(ask, self._shelves, lines, include)
        view = self._view(checkout, owner, saved.part.value or (), enquiry)
        sources: dict[str, Source] = {
            ORDERS: source,
            IDENTITY: saved.part.source,
            **enquiry.sources(),
        }
        return Composed(view=view, owner=owner, sources=sources)

    def _view(
        self, checkout: Checkout, owner: CustomerId, saved: Sequence[Address], enquiry: Enquiry
    ) -> CheckoutView:
        lines, left_out = shown(checkout.items, self._most_lines)
        subtotal = subtotal_of(checkout.items)
        return CheckoutView(
            checkout_id=checkout.checkout_id,
            customer_id=owner,
            current_step=step_of(checkout),
            items=[enquiry.item(line) for line in lines],
            saved_addresses=[_saved(address) for address in saved],
            subtotal=subtotal,
            shipping_cost=checkout.shipping_cost,
            total=subtotal + (checkout.shipping_cost or Decimal(0)),
            can_proceed_to_next_step=bool(checkout.items) and not checkout.is_completed,
            lines_left_out=left_out,
        )


def step_of(checkout: Checkout) -> int:
    """The first step that is still to be done: 1 address, 2 method, 3 payment, else 4 review."""
    if checkout.shipping_address is None:
        return 1
    if checkout.shipping_method is None:
        return 2
    return 4 if checkout.has_payment_method else 3


def _saved(address: Address) -> SavedAddress:
    return SavedAddress(
        address_id=address.address_id,
        nickname=address.nickname,
        display_line=address.display_line,
        address_line1=address.address_line1,
        city=address.city,
        state_or_province=address.state_or_province,
        postal_code=address.postal_code,
        country=address.country,
    )
