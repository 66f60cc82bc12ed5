"""What is kept of a view beside the view: under which generation it was read, and how long it is
fresh. PURE but for the chance it is given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import msgspec

from storefront.domain.ids import CustomerId
from storefront.queries.rendering import Rendered, restore
from storefront.settings import ViewSettings
from storefront.store.contract import changed_at

# Of an entry as it is written here; the view inside has a number of its own (rendering.SCHEMA).
FORM = 2
# Give or take this share of its life, so that what was read together does not lapse together.
JITTER = 0.1
# A service may lag its own event by so many seconds; what was read meanwhile is fresh for LAGGING.
LAG = 3.0
LAGGING = 1.0
# Clocks of two machines may differ by so much; what is from further in the future is not believed.
CLOCKS_APART = 2.0


@dataclass(frozen=True, slots=True)
class Place:
    """Whose view, and which; None for everybody's."""

    customer: CustomerId | None
    key: str

    def __str__(self) -> str:
        return f"{self.customer or 'everybody'} {self.key}"


class _Written(msgspec.Struct, frozen=True, array_like=True, gc=False):
    form: int
    # Said again inside, so that an entry under another's key is nothing but a poisoned one.
    place: str
    generation: str
    fresh_for: float
    rendered: bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """A view as it is kept.

    Attributes:
        generation: the customer's when the reading began.
        fresh_for: seconds from then.
        rendered: the view.
    """

    generation: str
    fresh_for: float
    rendered: Rendered

    def age(self, now: float) -> float:
        """Seconds since its reading began; `now` is in seconds since 1970."""
        return now - self.rendered.as_of

    def ttl(self, generation: str, now: float) -> float:
        """Seconds for which it is still fresh where this is the customer's generation; not above 0
        where it is not.
        """
        age = self.age(now)
        left = self.fresh_for - max(0.0, age)
        overtaken = generation != self.generation or age < -CLOCKS_APART
        return min(left, 0.0) if overtaken else left

    def written(self, place: Place) -> bytes:
        """As it is kept there."""
        return _encoder.encode(
            _Written(
                form=FORM,
                place=str(place),
                generation=self.generation,
                fresh_for=self.fresh_for,
                rendered=self.rendered.stored(),
            )
        )

    @staticmethod
    def read(data: bytes, place: Place) -> Entry | None:
        """What was kept there; None where it is poisoned, or of another age of ours."""
        return _read(data, place)


# A page asks for the same view again and again, and to take it apart and try its sum costs more
# than all the rest of a hit: these are the ones asked for last. A hundred lines have 20 kB.
@lru_cache(maxsize=256)
def _read(data: bytes, place: Place) -> Entry | None:
    try:
        written = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if written.form != FORM or written.place != str(place):
        return None
    rendered = restore(written.rendered, place.customer)
    if rendered is None or not rendered.found:
        return None
    return Entry(written.generation, written.fresh_for, rendered)


class Lifetimes:
    """How long what is kept.

    Args:
        settings: the numbers.
        uniform: chance, for jitter.
    """

    def __init__(self, settings: ViewSettings, uniform: Callable[[float, float], float]) -> None:
        self._settings = settings
        self._uniform = uniform

    def fresh_for(self, rendered: Rendered, generation: str) -> float:
        """Seconds from the beginning of its reading for which a view is fresh."""
        changed = changed_at(generation)
        if changed is not None and rendered.as_of - changed < LAG:
            return LAGGING
        return self._settings.cache_fresh * self._uniform(1 - JITTER, 1 + JITTER)

    @property
    def kept(self) -> float:
        """Seconds from the beginning of its reading for which it may be shown as an old one."""
        return self._settings.cache_kept


def surely_before(generation: str, moment: float) -> bool:
    """Whether a generation began before this moment (seconds since 1970), whoever's clock it says
    that by. "" is no event's, and before all of them.
    """
    if not generation:
        return True
    changed = changed_at(generation)
    return changed is not None and changed + CLOCKS_APART < moment


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Written)
