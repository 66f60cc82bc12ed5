"""Who is connected, and what all of them are told when the service is leaving."""

from __future__ import annotations

import trio
from hypercorn.config import Config
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper

from storefront.serving.limits import Limits
from storefront.serving.patience import Patience
from storefront.serving.peer import Peer
from storefront.serving.watch import ServingWatch
from storefront.serving.wire import Stream


class Door:
    """Every accepted connection enters here and is known until it is closed."""

    def __init__(
        self,
        app: AppWrapper,
        config: Config,
        *,
        patience: Patience,
        limits: Limits,
        watch: ServingWatch,
    ) -> None:
        self._app = app
        self._config = config
        self._context = WorkerContext(None)
        self._patience = patience
        self._limits = limits
        self._most = limits.most_connections()
        self._watch = watch
        self._peers: set[Peer] = set()
        self._empty = trio.Event()

    async def admit(self, stream: Stream) -> None:
        """Serve one connection, in the task that Trio started for it."""
        peer = Peer(
            self._app,
            self._config,
            self._context,
            stream,
            patience=self._patience,
            limits=self._limits,
            watch=self._watch,
        )
        if len(self._peers) >= self._most:
            self._watch.connections_refused_total += 1
            peer.abort()
            return
        self._peers.add(peer)
        self._watch.connections += 1
        self._watch.connections_total += 1
        try:
            await peer.run()
        finally:
            self._peers.discard(peer)
            self._watch.connections -= 1
            if not self._peers:
                self._empty.set()

    async def retire(self) -> None:
        """Tell all who are connected, and who will be, that this is their last request."""
        await self._context.terminated.set()
        for peer in list(self._peers):
            peer.retire()

    async def wait_empty(self) -> None:
        while self._peers:
            self._empty = trio.Event()
            await self._empty.wait()

    async def abort_when_cancelled(self) -> None:
        """Wait for ever; once cancelled, free the writes that are shielded from it."""
        try:
            await trio.sleep_forever()
        finally:
            for peer in self._peers:
                peer.abort()
