"""How long to wait before asking again: PURE."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import parsedate_to_datetime

# Seconds. Full jitter: anything from at once to this, so that those who failed together do not
# return together.
_LONGEST = 0.1
# An attempt with less time than this left is not worth a service's while.
_LEAST = 0.02
# Digits of a Retry-After that is still a number of seconds; 30 years have nine.
_MOST_DIGITS = 9


def pause(
    remaining: float, retry_after: float | None, uniform: Callable[[float, float], float]
) -> float | None:
    """Seconds to wait, or None where another attempt would not fit into what remains.

    Args:
        remaining: seconds the caller has left.
        retry_after: seconds for which the service wants to be left alone.
        uniform: chance.
    """
    wanted = retry_after or 0.0
    left = remaining - wanted
    if left < _LEAST:
        return None
    return wanted + uniform(0.0, min(_LONGEST, left / 2))


def retry_after(value: str | None, date: str | None) -> float | None:
    """The seconds of a Retry-After header (RFC 9110 section 10.2.3); None where it says none.

    Args:
        value: a number of seconds, or a moment.
        date: the answer's own Date. A moment is reckoned from it: the service's clock may not be
            ours.
    """
    if not value:
        return None
    if value.isascii() and value.isdecimal() and len(value) <= _MOST_DIGITS:
        return float(value)
    try:
        later, now = parsedate_to_datetime(value), parsedate_to_datetime(date or "")
        return max(0.0, (later - now).total_seconds())
    except (ValueError, TypeError, OverflowError):
        # TypeError: one of the two says its offset and the other does not.
        return None
