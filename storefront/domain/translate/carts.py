"""`cart-updated`: whatever happened to a cart, its new totals are what counts."""

from __future__ import annotations

from storefront.domain.events import CartUpdated
from storefront.domain.ids import cart_id
from storefront.domain.messages import CartMessage
from storefront.domain.translate.known import Known, totals_in


def cart_changed(message: CartMessage, known: Known) -> CartUpdated:
    totals, moment = known.totals or totals_in(message), message.moment
    if totals is None or moment is None:
        raise ValueError("a cart message is translated once its totals are known")
    return CartUpdated(
        cart_id=cart_id(message.cart_id),
        customer_id=known.customer,
        item_count=totals.item_count,
        total_amount=totals.total_amount,
        occurred_at=moment,
    )
