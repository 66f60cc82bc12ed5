"""URLs among the settings: checked in words that hold nothing of them, shown without passwords."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

# By the names of their fields.
SCHEMES = {
    "rabbitmq_url": ("amqp", "amqps"),
    "redis_url": ("redis", "rediss", "unix"),
    "shopping_url": ("http", "https"),
    "orders_url": ("http", "https"),
    "catalog_url": ("http", "https"),
    "customer_identity_url": ("http", "https"),
    "payments_url": ("http", "https"),
    "fulfillment_url": ("http", "https"),
    "pricing_url": ("http", "https"),
    "inventory_url": ("http", "https"),
    "jwt_jwks_url": ("http", "https"),
}


def check_url(url: str, schemes: tuple[str, ...]) -> None:
    """Refuse what is no usable URL of these schemes, naming none of it: any part may be a password.

    Raises:
        ValueError: what is expected.
    """
    hint = f"expected a URL of {' or '.join(schemes)}; in a password, percent-encode @ : / ? #"
    try:
        parts = urlsplit(url)
        usable = parts.scheme in schemes and (parts.scheme == "unix" or bool(parts.hostname))
        usable = usable and parts.port != 0
    except ValueError:
        raise ValueError(hint) from None
    misplaced = "@" in parts.path + parts.query + parts.fragment
    unused = "http" in schemes and bool(parts.query or parts.fragment)
    if not usable or misplaced or unused or re.search(r"[^!-~]", url):
        raise ValueError(hint)


def masked_url(url: str, schemes: tuple[str, ...]) -> str:
    """A URL without its user, its password and its query; of one that is none, nothing."""
    try:
        check_url(url, schemes)
    except ValueError:
        return "***"
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    shown = f"{parts.scheme}://{'***' if user else ''}{at}{host}{parts.path}"
    return f"{shown}?***" if parts.query or parts.fragment else shown
