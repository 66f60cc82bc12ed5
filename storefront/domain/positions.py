"""Where an event stands in its customer's log: `<epoch>-<seq>`, the id that a browser hands back.

`seq` counts a customer's events from 1 without holes, so anybody can prove that nothing is missing.
`epoch` is random per customer and changes when the numbering starts anew, so a number of an old
life is never mistaken for a new one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# At most 128 bytes of [A-Za-z0-9._:-]: a longer Last-Event-ID costs a browser a CORS preflight, and
# other characters have no business in a header. The number has no leading zero, so one position has
# one spelling.
_SPELLING = re.compile(r"([A-Za-z0-9._:]{1,64})-(0|[1-9][0-9]{0,17})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Position:
    """The place of one event, or of the start of a log (seq 0), in one customer's numbering."""

    epoch: str
    seq: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.seq}"

    @classmethod
    def parse(cls, text: str) -> Position | None:
        """The position a browser handed back, or None where it is none of ours: garbage is no
        error.
        """
        found = _SPELLING.fullmatch(text)
        return cls(found[1], int(found[2])) if found else None
