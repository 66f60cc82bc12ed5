"""A composed view to bytes: once when it is composed, and cheaply each time it is served.

A `Rendered` is what a cache keeps: the view's own JSON, and beside it what may be said of its age.
`isStale` and `meta` are spliced in behind the view's last field when it is served, so that the
hundredth reader of a cached view costs no second encoding. A view that is a bare array (the order
history) has no place for them: they travel in a header.

The ETag is made when the view is: of the view and the states of its sources, without times and
without the position. A view that is shown past its freshness has another one, for "not modified"
would tell the browser that what it holds is still right.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Literal, TypeVar
from zlib import crc32

import msgspec

from storefront.domain.ids import CustomerId
from storefront.domain.positions import Position
from storefront.queries.parts import HOLES, Composed, State
from storefront.queries.shapes import VIEWS, Meta, SourceState

V = TypeVar("V")

Freshness = Literal["live", "cached", "expired"]

# Part of what is kept: an entry of another number is a miss. It changes by itself with any view's
# shape; a change of meaning alone, or of `Rendered`, is said by raising the first number.
SCHEMA = crc32(repr((1, msgspec.json.schema_components(VIEWS))).encode())

_encoder = msgspec.json.Encoder(decimal_format="number")


class Rendered(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A view as it is kept.

    Attributes:
        schema: SCHEMA when it was made.
        body: the view, a JSON object or array; b"" where there is no such thing.
        etag: what stands between the quotes of the weak ETag.
        sources: state, and milliseconds from the question to `as_of` (of one that was asked later
            than that, below 0).
        stream_position: read before the composition began; None where the log could not say.
        as_of: when the composition began, in seconds since 1970.
        owner: whose it is; with an empty body, somebody who is not the reader.
    """

    schema: int
    body: bytes
    etag: str
    sources: dict[str, tuple[State, int]]
    stream_position: str | None
    as_of: float
    owner: CustomerId | None

    @property
    def found(self) -> bool:
        """Whether there is something to show."""
        return bool(self.body)

    @property
    def foreign(self) -> bool:
        """Whether it is somebody else's. Looks like unknown from outside, and is never kept."""
        return not self.body and self.owner is not None

    @property
    def complete(self) -> bool:
        """Whether nothing is missing from it."""
        return not any(state in HOLES for state, _ in self.sources.values())

    def stored(self) -> bytes:
        """As a cache keeps it."""
        return _stored.encode(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A view on its way to a reader, and how it came.

    Attributes:
        rendered: the view.
        freshness: `live` where it was composed for this reader, alone or among others.
        ttl: seconds for which a cached one is still fresh; below 0 where it is expired.
        forwarded: why the services were asked (RFC 9211): `uri-miss`, `stale` or `bypass`.
        stored: whether it was kept.
        collapsed: whether another reader's composition was shared.
    """

    rendered: Rendered
    freshness: Freshness = "live"
    ttl: float | None = None
    forwarded: Literal["uri-miss", "stale", "bypass"] | None = None
    stored: bool = False
    collapsed: bool = False

    @property
    def etag(self) -> str:
        """The whole of the ETag header."""
        suffix = "-expired" if self.freshness == "expired" else ""
        return f'W/"{self.rendered.etag}{suffix}"'


def render(
    composed: Composed[V], *, began: float, as_of: float, position: Position | None
) -> Rendered:
    """The view as it is kept.

    Args:
        composed: the view.
        began: when the composition began, on Trio's clock.
        as_of: the same moment in seconds since 1970.
        position: the customer's place in the log at that moment, or before it.
    """
    # Of what is nobody's to see only that is kept.
    body = b"" if composed.view is None else _encoder.encode(composed.view)
    sources = {
        name: (source.state, round((began - source.asked_at) * 1000))
        for name, source in composed.sources.items()
    }
    return Rendered(
        schema=SCHEMA,
        body=body,
        etag=_etag(body, sources),
        sources=sources,
        stream_position=None if position is None else str(position),
        as_of=as_of,
        owner=composed.owner,
    )


def restore(kept: bytes, owner: CustomerId | None) -> Rendered | None:
    """What a cache kept for this customer, or for everybody; None where that is of another shape,
    damaged, or not theirs: a miss.
    """
    try:
        found = _restored.decode(kept)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    sound = (
        found.schema == SCHEMA
        and found.owner == owner
        and math.isfinite(found.as_of)
        and found.etag == _etag(found.body, found.sources)
    )
    return found if sound else None


def told(served: Served, *, now: float) -> Meta:
    """What is said of a view beside the view.

    Args:
        served: the view.
        now: seconds since 1970.
    """
    rendered = served.rendered
    age = round((now - rendered.as_of) * 1000)
    return Meta(
        freshness=served.freshness,
        complete=rendered.complete,
        as_of=_spelled(rendered.as_of),
        stream_position=rendered.stream_position,
        sources={
            # A clock that was set back makes nothing younger than now.
            name: SourceState(state=_seen(state, served.freshness), age_ms=max(0, age + before))
            for name, (state, before) in rendered.sources.items()
        },
    )


@lru_cache(maxsize=1024)
def _spelled(moment: float) -> str:
    """A time since 1970 as ISO 8601; of a kept view it is asked for again and again."""
    return datetime.fromtimestamp(moment, UTC).isoformat()


def body_of(served: Served, *, now: float) -> bytes:
    """The JSON for the reader: the object with `isStale` and `meta`, or the bare array."""
    body = served.rendered.body
    if not body.endswith(b"}"):
        return body
    stale = b"false" if served.freshness == "live" else b"true"
    meta = _encoder.encode(told(served, now=now))
    return b"".join((body[:-1], b',"isStale":', stale, b',"meta":', meta, b"}"))


def header_of(served: Served, *, now: float) -> str:
    """The same for a bare array, as one line of JSON: `meta` with `isStale` before it."""
    stale = "false" if served.freshness == "live" else "true"
    meta = _encoder.encode(told(served, now=now)).decode("ascii")
    return f'{{"isStale":{stale},{meta[1:]}'


def _seen(state: State, freshness: Freshness) -> State:
    """A source's state now: what was answered once is by now as old as the view."""
    if freshness == "expired" and state in {"ok", "cached"}:
        return "expired"
    return "cached" if freshness == "cached" and state == "ok" else state


def _etag(body: bytes, sources: Mapping[str, tuple[State, int]]) -> str:
    # Whether an answer was asked for now or is a minute old is a time, and no state of the view.
    said = ",".join(
        f"{name}={state}"
        for name, (state, _) in sorted(sources.items())
        if state not in {"ok", "cached"}
    )
    return blake2b(body + b"\0" + said.encode(), digest_size=12).hexdigest()


_stored = msgspec.msgpack.Encoder()
_restored = msgspec.msgpack.Decoder(Rendered)
