"""Who hears of what was recorded in this process.

Within one process nothing is lost on the way, so `lost` is never called from here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import trio

from storefront.store.contract import Entry, Listener


class Followed:
    """A store's part that is the same for all who live in one process; see `contract.Store`."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def _announce(self, entries: Sequence[Entry]) -> None:
        """Tell every listener, synchronously: the order of the log is the order of hearing."""
        if entries:
            for hear in tuple(self._listeners):
                hear(entries)

    async def follow(
        self,
        hear: Listener,
        lost: Callable[[], None],  # noqa: ARG002 - the contract's; see the module's docstring
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Let `hear` hear until cancelled."""
        self._listeners.append(hear)
        try:
            task_status.started()
            await trio.sleep_forever()
        finally:
            self._listeners.remove(hear)
