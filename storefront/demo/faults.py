"""How a service is to misbehave: the knobs, PURE. front.py turns them into bad answers."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import msgspec

# As many paths as anyone would break by hand; the next one is refused.
MOST = 100

Seconds = Annotated[float, msgspec.Meta(ge=0, le=3600)]


class Failing(StrEnum):
    """In which way."""

    NOT = "not"  # a right answer, only late
    STATUS = "status"  # problem+json with `status`
    HANG = "hang"  # accepts, and never answers
    RESET = "reset"  # a TCP reset instead of an answer
    HALF_BODY = "half-body"  # the right head, half of the right body, then the end
    OVERSIZE = "oversize"  # well-formed JSON that does not stop before `bytes`
    WRONG_SHAPE = "wrong-shape"  # 200 and `body`


class Fault(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """One knob. `times` counts down with each request that it spoils; None stays until cleared.

    A path prefix of "" means every path. `latency` comes before anything else, the right answer
    included.
    """

    path_prefix: Annotated[str, msgspec.Meta(max_length=500)] = ""
    method: str | None = None
    latency: Seconds = 0.0
    failing: Failing = Failing.NOT
    status: Annotated[int, msgspec.Meta(ge=200, le=599)] = 503
    bytes: Annotated[int, msgspec.Meta(ge=1, le=100_000_000)] = 10_000_000
    body: Annotated[str, msgspec.Meta(max_length=100_000)] = '{"surprise":true}'
    times: Annotated[int, msgspec.Meta(ge=1)] | None = None


class Faults:
    """The knobs that are turned now, at most 100; of those that match, the longest prefix wins."""

    def __init__(self) -> None:
        self._turned: dict[tuple[str, str | None], Fault] = {}

    def set(self, fault: Fault) -> None:
        """Turn a knob; one with the same prefix and method is replaced.

        Raises:
            ValueError: a hundred are turned already.
        """
        key = (fault.path_prefix, fault.method)
        if key not in self._turned and len(self._turned) >= MOST:
            raise ValueError("too many faults")
        self._turned[key] = fault

    def clear(self) -> None:
        """Behave again."""
        self._turned.clear()

    def current(self) -> Sequence[Fault]:
        return tuple(self._turned.values())

    def take(self, method: str, path: str) -> Fault | None:
        """The fault for this request, counted."""
        fault = self._matching(method, path)
        if fault is not None and fault.times is not None:
            self._count_down(fault, fault.times)
        return fault

    def _matching(self, method: str, path: str) -> Fault | None:
        matching = (
            fault
            for fault in self._turned.values()
            if path.startswith(fault.path_prefix) and fault.method in {None, method}
        )
        # A fault for one method is more particular than one for all.
        return max(matching, key=lambda f: (len(f.path_prefix), f.method is not None), default=None)

    def _count_down(self, fault: Fault, times: int) -> None:
        key = (fault.path_prefix, fault.method)
        if times == 1:
            del self._turned[key]
        else:
            self._turned[key] = msgspec.structs.replace(fault, times=times - 1)
