"""What a browser is told of its customer's log: in its order, nothing missing and nothing twice.

Only position + 1 is written. A gap, an overflow and a lost announcement all mean the same: empty
the channel and go on from the log. The stream is in the hub before anything here is asked: what
happens in between is in both places, and a double can be dropped where a gap could not be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from storefront.domain.positions import Position
from storefront.realtime import frames
from storefront.realtime.replay import SLICE_BYTES, LogReader
from storefront.realtime.stream import Parcel, Stream
from storefront.realtime.watch import StreamWatch
from storefront.store.contract import Entry


class Transcript:
    """The bytes for one stream, which moves along with them; `events` counts what is written.

    Args:
        stream: whose place in the log it is.
        log: where what the channel does not hold is read.
        look: has the head of a stream's customer looked at soon.
        watch: counts what is written; None where nobody looks.
    """

    def __init__(
        self,
        stream: Stream,
        log: LogReader,
        look: Callable[[Stream], None],
        watch: StreamWatch | None = None,
    ) -> None:
        self._stream = stream
        self._log = log
        self._look = look
        self._watch = watch
        self.events = 0
        self._fresh: list[Parcel] = []

    async def verdict(self, cursor: Position | None, *, returning: bool) -> bytes:
        """What becomes of the cursor, and what follows it.

        Raises:
            StoreUnavailableError: the log does not answer.
        """
        stream = self._stream
        if cursor is None:
            head = await self._log.head(stream.customer)
            return self._open("reset" if returning else "fresh", head)
        found = self._log.remembered(stream.customer, cursor)
        if found is None:
            found = await self._log.since(stream.customer, cursor)
        else:
            # Before the first beat: see `recent`.
            self._look(stream)
        if not found.resumable:
            return self._open("reset", found.head)
        self._count_opening("resumed")
        stream.stand_at(cursor)
        told = {
            "mode": "resumed",
            "replayed": found.head.seq - cursor.seq,
            "position": str(found.head),
        }
        return frames.control("stream", told) + self._entries(found.entries, found.head)

    async def catch_up(self) -> bytes:
        """Empty the channel, and write one write's worth of the log from here.

        Raises:
            StoreUnavailableError: the log does not answer.
        """
        stream = self._stream
        here = stream.position
        if here is None:
            raise AssertionError("a stream knows where it is once it is open")
        stream.start_catching_up()
        found = self._log.remembered(stream.customer, here)
        if found is None:
            found = await self._log.since(stream.customer, here)
        told = stream.take_told()
        if not found.resumable:
            if self._watch is not None:
                self._watch.resets += 1
            return told + self._start_over("reset", found.head)
        return told + self._entries(found.entries, found.head)

    def gather(self, parcel: Parcel | None) -> bytes:
        """This parcel and all that is waiting, in one write of bounded size."""
        found = [self._stream.take_told()]
        size = 0
        while parcel is not None:
            if not self._follows(parcel):
                self._stream.fall_behind()
                break
            found.append(self._bytes_of(parcel))
            if parcel.position is not None and found[-1]:
                self._fresh.append(parcel)
            size += len(found[-1])
            parcel = self._stream.take() if size < SLICE_BYTES else None
        if self._watch is not None:
            self._watch.written += len(self._fresh)
        return b"".join(found)

    def taken(self) -> None:
        """The socket has taken what was gathered last."""
        if self._fresh:
            fresh, self._fresh = self._fresh, []
            if self._watch is not None:
                self._watch.taken(fresh)

    def _open(self, mode: str, head: Position) -> bytes:
        self._count_opening(mode)
        return self._start_over(mode, head)

    def _count_opening(self, mode: str) -> None:
        if self._watch is not None:
            self._watch.opened[mode] += 1

    def _start_over(self, mode: str, head: Position) -> bytes:
        # The block of only an id gives a native EventSource a cursor before any event came.
        self._stream.stand_at(head)
        told = {"mode": mode, "position": str(head)}
        return frames.control("stream", told) + frames.cursor(str(head))

    def _entries(self, entries: Sequence[Entry], head: Position) -> bytes:
        found = [self._bytes_of(Parcel.of(entry)) for entry in entries]
        if self._watch is not None:
            self._watch.written += len(found) - found.count(b"")
        if self._stream.position != head:
            self._stream.fall_behind()
        return b"".join(found)

    def _follows(self, parcel: Parcel) -> bool:
        """Whether the parcel may be written now: it is no event, or the very next one."""
        at, here = parcel.position, self._stream.position
        return at is None or here is None or (at.epoch == here.epoch and at.seq <= here.seq + 1)

    def _bytes_of(self, parcel: Parcel) -> bytes:
        """The parcel as this stream writes it; b"" for what was written before."""
        at, here = parcel.position, self._stream.position
        if at is not None:
            if here is not None and at.seq <= here.seq:
                return b""
            self._stream.stand_at(at)
            self.events += 1
        if self._stream.named and parcel.name:
            return frames.named(parcel.name, parcel.frame)
        return parcel.frame
