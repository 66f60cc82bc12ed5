"""Letting go of what nobody will ask for again, a little with every transaction.

A customer's own next event cannot do it: many never come back. Nor can one large DELETE: it would
hold up the writer. So each table is walked in the order of its key, round and round, twice as many
rows with each transaction as that added to the file. A row that may go then waits for one round at
most, and no table grows beyond about twice what it must hold. The freed pages are what the next
rows are written to: the file stops growing where its traffic stops growing.

Events are not walked but leave from the front, where the oldest are.
"""

from __future__ import annotations

import sqlite3

from storefront.domain.ids import CustomerId
from storefront.store.contract import FACT_LIFE, HEAD_LEEWAY, HEAD_LIFE, OWNER_LIFE

# Walked with every transaction however small, so that a quiet store gets round too.
SLICE = 32

# The front of the queue, up to the first that can still be read or up to the bound. Up to the first
# one and not whichever is old enough: clocks are set back at times, and a customer's log must not
# get a hole.
_BOUND = "SELECT arrival FROM events ORDER BY arrival LIMIT 1 OFFSET :rows"
_FIRST_KEPT = """
    SELECT arrival FROM events
    WHERE arrival < :bound AND :now - recorded_at <= :window
    ORDER BY arrival LIMIT 1
"""
_DROP_FRONT = "DELETE FROM events WHERE arrival < :end"
# The largest there can be: it stands for the end of the queue.
_NO_BOUND = 2**63 - 1


class _Walk:
    """One table, and how far round it we are.

    Args:
        table: its name.
        key: the columns of its primary key, each with a value below all that occur.
        gone: SQL that tells which rows may go.
        returned: the column that is answered of each row that went.
    """

    def __init__(
        self, table: str, key: dict[str, object], gone: str, *, returned: str = "NULL"
    ) -> None:
        columns = ", ".join(key)
        low, high = (", ".join(f":{end}_{name}" for name in key) for end in ("low", "high"))
        above, upto = f"({columns}) > ({low})", f"({columns}) <= ({high})"
        delete = f"DELETE FROM {table} WHERE {above} AND"  # noqa: S608 - constants of this module
        self._bound = (
            f"SELECT {columns} FROM {table} WHERE {above}"  # noqa: S608 - constants of this module
            f" ORDER BY {columns} LIMIT 1 OFFSET :rows"
        )
        self._drop = f"{delete} {upto} AND {gone} RETURNING {returned}"
        self._drop_rest = f"{delete} {gone} RETURNING {returned}"
        self._start = {f"low_{name}": value for name, value in key.items()}
        self._low = self._start
        self._key = tuple(key)

    def step(
        self, connection: sqlite3.Connection, limits: dict[str, object]
    ) -> list[tuple[object, ...]]:
        """Let go of what is gone among the next `rows` rows, and say what it was."""
        known = limits | self._low
        bound = connection.execute(self._bound, known).fetchone()
        if bound is None:
            self._low = self._start
            return connection.execute(self._drop_rest, known).fetchall()
        high = dict(zip(self._key, bound, strict=True))
        self._low = {f"low_{name}": value for name, value in high.items()}
        known |= {f"high_{name}": value for name, value in high.items()}
        return connection.execute(self._drop, known).fetchall()


class Sweep:
    """The clean-up of one file; `window` and `kept_ids` are the contract's."""

    def __init__(self, *, window: float, kept_ids: int) -> None:
        self._window = window
        self._kept_ids = kept_ids
        self._numberings = _Walk(
            "numberings", {"id": 0}, ":now - touched > :head_life", returned="customer"
        )
        self._walks = (
            # Known for good while among the newest; the successor of a numbering knows them not.
            _Walk(
                "messages",
                {"numbering": 0, "digest": b""},
                """:now - recorded_at > :window AND NOT EXISTS (
                    SELECT 1 FROM numberings
                    WHERE id = messages.numbering AND messages.seq > seq - :kept_ids
                )""",
            ),
            _Walk(
                "facts",
                {"customer": "", "kind": "", "id": ""},
                ":now - recorded_at > :fact_life",
            ),
            _Walk("owners", {"order_id": ""}, ":now - placed_at > :owner_life"),
        )

    def step(self, connection: sqlite3.Connection, *, added: int, now: float) -> list[CustomerId]:
        """Go on by twice what was added; answers the customers whose numbering was let go."""
        limits: dict[str, object] = {
            "rows": SLICE + 2 * added - 1,
            "now": now,
            "window": self._window,
            "kept_ids": self._kept_ids,
            "head_life": HEAD_LIFE + HEAD_LEEWAY,
            "fact_life": FACT_LIFE,
            "owner_life": OWNER_LIFE,
        }
        self._drop_events(connection, limits)
        gone = self._numberings.step(connection, limits)
        for walk in self._walks:
            walk.step(connection, limits)
        return [CustomerId(str(customer)) for (customer,) in gone]

    def _drop_events(self, connection: sqlite3.Connection, limits: dict[str, object]) -> None:
        (bound,) = connection.execute(_BOUND, limits).fetchone() or (_NO_BOUND,)
        (end,) = connection.execute(_FIRST_KEPT, limits | {"bound": bound}).fetchone() or (bound,)
        connection.execute(_DROP_FRONT, {"end": end})
