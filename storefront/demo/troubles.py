"""What a visitor may break, and mend again, from the panel of the shop page.

Four switches that stay, and a button: a service that resets every connection, one that is slow, one
that fails, a broker out of reach, and the Storefront itself, which leaves and comes back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum

from storefront.demo.faults import Failing, Fault, Faults
from storefront.demo.front import Desk

# Seconds; beyond every view's deadline, and within what a person waits for a click.
_SLOW = 2.0


class Trouble(StrEnum):
    """What can be broken."""

    CATALOG = "catalog"  # is stopped: connections are reset
    SHOPPING = "shopping"  # is slow
    FULFILLMENT = "fulfillment"  # answers 503
    BROKER = "broker"  # is out of reach: what happens is told later


_FAULTS = {
    Trouble.CATALOG: Fault(failing=Failing.RESET),
    Trouble.SHOPPING: Fault(latency=_SLOW),
    Trouble.FULFILLMENT: Fault(failing=Failing.STATUS),
}


class Troubles:
    """The switches, and how they stand.

    Args:
        desks: of the services, by name.
        cut: puts the broker out of reach.
        mend: and back.
        restart: has the Storefront leave and come back.
    """

    def __init__(
        self,
        desks: Mapping[str, Desk],
        *,
        cut: Callable[[], None],
        mend: Callable[[], None],
        restart: Callable[[], None],
    ) -> None:
        self._desks = desks
        self._cut = cut
        self._mend = mend
        self.restart = restart
        self._on = dict.fromkeys(Trouble, False)

    def current(self) -> Mapping[str, bool]:
        return {trouble.value: on for trouble, on in self._on.items()}

    def turn(self, trouble: Trouble, *, on: bool) -> None:
        """Break something, or mend it. To say it twice changes nothing."""
        if self._on[trouble] == on:
            return
        self._on[trouble] = on
        if trouble is Trouble.BROKER:
            (self._cut if on else self._mend)()
        else:
            _turn(self._desks[trouble].faults, _FAULTS[trouble], on=on)


def _turn(faults: Faults, fault: Fault, *, on: bool) -> None:
    if on:
        faults.set(fault)
    else:
        faults.clear()
