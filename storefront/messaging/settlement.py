"""Which tags may be acknowledged, and how. Pure.

Work on different customers finishes out of order, and `multiple` acknowledges *all* lower tags,
finished or not. So it is used only up to the unbroken prefix of settled tags; beyond that, tags are
acknowledged one by one.
"""

from __future__ import annotations

from storefront.messaging.broker import Ack


class Settlement:
    """The books of one session: tags come in rising order, and are settled in any."""

    def __init__(self) -> None:
        # tag -> settled, in the order of arrival; None for one that was left, and is in the way.
        self._open: dict[int, bool | None] = {}
        self._singly: list[int] = []
        self.in_hand = 0  # deliveries that are not settled yet

    def took(self, tag: int) -> None:
        """A delivery came in."""
        self._open[tag] = False
        self.in_hand += 1

    def is_open(self, tag: int) -> bool:
        """Whether it is still to be settled."""
        return self._open.get(tag) is False

    def settle(self, tag: int) -> bool:
        """A delivery is done with: its event is in the log, or it needs none. False where it was
        before.
        """
        if not self.is_open(tag):
            return False
        self._open[tag] = True
        self._singly.append(tag)
        self.in_hand -= 1
        return True

    def drop(self, tag: int) -> None:
        """A delivery that was rejected: the broker has let go of its tag, and to name it again
        would end the channel.
        """
        if self.is_open(tag):
            del self._open[tag]
            self.in_hand -= 1

    def leave(self, tag: int) -> None:
        """A delivery is not waited for any more, and not acknowledged: it comes again."""
        if self.is_open(tag):
            self._open[tag] = None
            self.in_hand -= 1

    def due(self) -> list[Ack]:
        """What may be told to the broker now; each tag once."""
        prefix = 0
        for tag, settled in list(self._open.items()):
            if not settled:
                break
            prefix = tag
            del self._open[tag]
        beyond = [tag for tag in self._singly if tag > prefix]
        for tag in beyond:
            # Acknowledged by itself; when the prefix later runs over it, it is not named again.
            del self._open[tag]
        self._singly.clear()
        acks = [Ack(prefix, multiple=True)] if prefix else []
        return acks + [Ack(tag, multiple=False) for tag in sorted(beyond)]
