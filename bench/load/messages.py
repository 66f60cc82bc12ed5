"""What is published: an ItemAdded as Wolverine sends it, numbered. PURE.

It carries its totals, so that nobody needs to be asked what the cart comes to; its item count is
its number. Message g of a crowd of N customers goes to customer g mod N and is that customer's
number g div N + 1.
"""

from __future__ import annotations

import uuid
from functools import lru_cache

KIND = "Messages.Contracts.Shopping.ItemAdded"
WHEN = "2026-02-17T21:58:44+00:00"


@lru_cache(maxsize=65536)
def customer(index: int) -> str:
    """The GUID of a customer of the bench."""
    return f"0000be4c-0000-4000-8000-{index:012x}"


def cart(index: int) -> str:
    """Of that customer."""
    return f"0000ca47-0000-4000-8000-{index:012x}"


def message(index: int, number: int, filling: int = 0) -> bytes:
    """The body for a customer's event of this number, longer by `filling` bytes."""
    filler = f',"filling":"{"x" * filling}"' if filling else ""
    return (
        f'{{"cartId":"{cart(index)}","customerId":"{customer(index)}","itemCount":{number},'
        f'"totalAmount":{number}.50,"occurredAt":"{WHEN}"{filler}}}'
    ).encode()


def event(index: int, number: int) -> bytes:
    """What Storefront makes of it on the stream, as JSON; the peers send the very same."""
    return (
        f'{{"eventType":"cart-updated","cartId":"{cart(index)}","customerId":"{customer(index)}",'
        f'"itemCount":{number},"totalAmount":{number}.50,"occurredAt":"{WHEN}"}}'
    ).encode()


def frame(index: int, number: int, epoch: str = "000000000000") -> bytes:
    """That, as the frame of a stream. The epoch is as long as one of Storefront's."""
    return b"id: %s-%d\ndata: %s\n\n" % (epoch.encode(), number, event(index, number))


def new_run() -> str:
    """The beginning of the message ids of one run, which no other run has."""
    return str(uuid.uuid4())[:23]


def message_id(run: str, index: int) -> str:
    """36 characters, as Wolverine's are."""
    return f"{run}-{index:012x}"
