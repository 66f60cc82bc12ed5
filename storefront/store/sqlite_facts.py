"""Facts in SQLite: the domain decides which one stands; what it decided is kept, within bounds."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from storefront.domain.facts import Fact, FactKind, standing
from storefront.domain.ids import CustomerId
from storefront.store.contract import FACT_LIFE, FACTS_KEPT

_COLUMNS = "kind, id, state, detail, order_id, occurred_at"
_OLD = (
    f"SELECT {_COLUMNS} FROM facts"  # noqa: S608 - constants of this module
    " WHERE customer = ? AND kind = ? AND id = ? AND ? - recorded_at <= ?"
)
_KEEP = "INSERT OR REPLACE INTO facts VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_COUNT = "SELECT count(*) FROM facts WHERE customer = ?"
_DROP_OLD = "DELETE FROM facts WHERE customer = ? AND ? - recorded_at > ?"
_DROP_LEAST = """
    DELETE FROM facts WHERE customer = ?1 AND (kind, id) IN (
        SELECT kind, id FROM facts WHERE customer = ?1 ORDER BY occurred_at DESC LIMIT -1 OFFSET ?2
    )
"""
_NEWEST = (
    f"SELECT {_COLUMNS} FROM facts"  # noqa: S608 - constants of this module
    " WHERE customer = ? AND ? - recorded_at <= ? ORDER BY occurred_at DESC LIMIT ?"
)


def remember(connection: sqlite3.Connection, customer: CustomerId, fact: Fact, now: float) -> None:
    """Put a fact on file, as far as it says what is not known yet."""
    row = connection.execute(_OLD, (customer, fact.kind, fact.id, now, FACT_LIFE)).fetchone()
    old = _fact(row) if row else None
    kept = standing(fact, old)
    if kept is None:
        return
    connection.execute(
        _KEEP,
        (
            customer,
            kept.kind,
            kept.id,
            kept.state,
            kept.detail,
            kept.order,
            kept.occurred_at,
            now,
        ),
    )
    # Only a fact of a new thing can be one too many, and counting reads at most FACTS_KEPT + 1.
    if old is None and connection.execute(_COUNT, (customer,)).fetchone()[0] > FACTS_KEPT:
        connection.execute(_DROP_OLD, (customer, now, FACT_LIFE))
        connection.execute(_DROP_LEAST, (customer, FACTS_KEPT))


def newest(connection: sqlite3.Connection, customer: CustomerId, now: float) -> Sequence[Fact]:
    """The facts of a customer that have not lapsed, newest first."""
    return [
        _fact(row) for row in connection.execute(_NEWEST, (customer, now, FACT_LIFE, FACTS_KEPT))
    ]


def _fact(row: tuple[FactKind, str, str, str | None, str | None, float]) -> Fact:
    kind, name, state, detail, order, occurred_at = row
    return Fact(
        kind=kind, id=name, state=state, detail=detail, order=order, occurred_at=occurred_at
    )
