"""What an integration message is here: a .NET type name, and a body whose fields stand in the order
System.Text.Json writes them (contracts.md section 1.1). Nulls are written, money is Decimal.

Which messages there are is said where they are caused: beside the commands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from storefront.demo.ticks import timestamp

# What Shopping writes for the cart of a visitor who has not signed in.
NOBODY = "00000000-0000-0000-0000-000000000000"

Body = Mapping[str, object]

# As System.Text.Json writes for Wolverine: compact, raw UTF-8, money as numbers with their scale.
encode = msgspec.json.Encoder(decimal_format="number").encode


@dataclass(frozen=True, slots=True)
class Message:
    """One thing that happened, ready to be published."""

    type: str
    body: Body


def happened(room: str, name: str, body: Body, **moments: int) -> Message:
    """`Messages.Contracts.<room>.<name>`: the body, then its moments (ticks) as timestamps."""
    written = {field: timestamp(ticks) for field, ticks in moments.items()}
    return Message(f"Messages.Contracts.{room}.{name}", {**body, **written})
