"""Whether a subscription that has gone silent is still alive. Pure.

Heartbeats prove a connection, not a subscription: a channel process of the broker may hang, a
consumer may be lost without a word, and nothing would ever come again (hazards H16). So a session
to which nothing comes for a while asks its queue how it stands (a passive declare, on the channel
that consumes).

Not a canary, a message to a queue of our own: published on the connection that consumes, it would
have the broker block that connection as soon as memory runs short; published on the other one, it
could not be told from such a block. And it would say nothing about the queue that matters. The
question needs no publishing, passes through the same channel process, and is answered by the queue
itself.
"""

from __future__ import annotations

from collections.abc import Iterable

from storefront.messaging.broker import Ack


class Pulse:
    """The books of one session: what is out, and what the last look found."""

    def __init__(self, prefetch: int) -> None:
        self._prefetch = prefetch
        self._out: set[int] = set()
        self._waited = False  # at the last look messages waited that might have come

    def took(self, tag: int) -> None:
        """A delivery came."""
        self._out.add(tag)
        self._waited = False

    def settled(self, acks: Iterable[Ack]) -> None:
        """These tags are done with."""
        for ack in acks:
            if ack.multiple:
                self._out = {tag for tag in self._out if tag > ack.tag}
            else:
                self._out.discard(ack.tag)

    def fault(self, *, ready: int, consumers: int) -> str | None:
        """What is wrong with a silent subscription, if anything is.

        Args:
            ready: messages in the queue that no consumer has.
            consumers: how many consume it.
        """
        if not consumers:
            return "the broker knows nothing of this consumer"
        # A message that came just now may be on its way: it is given until the next look.
        waits = ready > 0 and len(self._out) < self._prefetch
        waited, self._waited = self._waited, waits
        return "messages wait, and none comes" if waits and waited else None
