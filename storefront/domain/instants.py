"""A moment as a service wrote it.

.NET writes up to seven digits of a second and Python keeps six, so the text travels on untouched
and the parsed value is for comparing only.
"""

from __future__ import annotations

from datetime import UTC, datetime


class Instant:
    """An ISO-8601 moment with an offset. Two instants compare by time; the text is what is written
    out.
    """

    __slots__ = ("at", "text")

    def __init__(self, text: str) -> None:
        """Read a moment.

        Raises:
            ValueError: the text is no ISO-8601 date and time, or has no offset.
        """
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            # Python's own words would quote the text, and these words travel into headers and logs.
            raise ValueError("not an ISO-8601 moment") from None
        if at.tzinfo is None or "T" not in text:
            # fromisoformat also takes plain dates, and a moment without an offset could be anywhere
            # in a day.
            raise ValueError("a moment needs a date, a time and an offset")
        self.text = text
        self.at = at

    @classmethod
    def of(cls, seconds: float) -> Instant:
        """The moment that many seconds after 1970 (UTC)."""
        return cls(datetime.fromtimestamp(seconds, UTC).isoformat())

    def __eq__(self, other: object) -> bool:
        return self.at == other.at if isinstance(other, Instant) else NotImplemented

    def __lt__(self, other: Instant) -> bool:
        return self.at < other.at

    def __hash__(self) -> int:
        return hash(self.at)

    def __repr__(self) -> str:
        return f"Instant({self.text!r})"
