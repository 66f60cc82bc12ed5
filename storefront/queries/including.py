"""`?include=`: depth on demand. A view is shallow unless the page asks for more, for every service
more is one more that can be slow (the Product Owner's answer on composition depth).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from storefront.errors import BadRequestError

Include = Literal["details", "prices", "products", "stock"]
Included = frozenset[Include]

NOTHING: Included = frozenset()
# details: more of what Catalog says anyway. prices: what Pricing asks today, beside the price that
# was frozen in the cart. stock: what Inventory has.
OF_LINES: Included = frozenset({"details", "prices", "stock"})
# products: names and pictures for an order's lines.
OF_ORDERS: Included = frozenset({"products"})


def included(asked: Iterable[str], offered: Included) -> Included:
    """What is to come along.

    Args:
        asked: comma-separated names, in any order, repeated or empty.
        offered: by this view.

    Raises:
        BadRequestError: a name that this view does not offer.
    """
    names = {name.strip() for text in asked for name in text.split(",")} - {""}
    found = frozenset(name for name in offered if name in names)
    if len(found) != len(names):
        offers = ", ".join(sorted(offered)) or "nothing"
        raise BadRequestError(f"include names what is not offered here; offered: {offers}")
    return found
