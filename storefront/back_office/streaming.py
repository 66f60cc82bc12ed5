"""Those who listen, and what they are told: the hub between the store's word and the browsers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import trio

from storefront.back_office.shop import Ports
from storefront.readings import of_hub, of_replays
from storefront.realtime.fan_out import FanOut
from storefront.realtime.heads import HeadWatch
from storefront.realtime.heartbeat import Heartbeat
from storefront.realtime.hub import Hub
from storefront.realtime.pauses import Pauses
from storefront.realtime.recent import Recent
from storefront.realtime.replay import LogReader
from storefront.realtime.watch import StreamWatch
from storefront.settings import Settings
from storefront.store.contract import Store
from storefront.telemetry.metrics import Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Streaming:
    """Made by `make_streaming`; `run` keeps it going."""

    store: Store
    hub: Hub
    pauses: Pauses
    heads: HeadWatch
    heartbeat: Heartbeat
    fan_out: FanOut
    replays: LogReader

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Follow the store and beat, until cancelled; `started()` once nothing can be missed."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self.store.follow, self.hub.publish, self.hub.lost)
            nursery.start_soon(self.heartbeat.run)
            nursery.start_soon(self.fan_out.run)
            nursery.start_soon(self.heads.run)
            task_status.started()

    async def count_states(self) -> None:
        """Find out how the streams are."""
        if self.hub.watch is not None:
            await self.hub.watch.count_states(self.hub.streams())

    def readings(self) -> Iterable[Reading]:
        """For /metrics."""
        yield from of_hub(self.hub)
        yield from of_replays(self.replays)


def make_streaming(settings: Settings, ports: Ports) -> Streaming:
    """The rooms of realtime/, joined."""
    recent = Recent(window=settings.store.replay_window)
    pauses = Pauses(ports.uniform)
    hub = Hub(
        max_streams=settings.streams.max_streams,
        max_per_customer=settings.streams.max_streams_per_customer,
        superseded_pause=pauses.superseded,
        recent=recent,
        watch=StreamWatch(ports.clock),
    )
    heads = HeadWatch(ports.store, clock=ports.clock, recent=recent)
    return Streaming(
        store=ports.store,
        hub=hub,
        pauses=pauses,
        heads=heads,
        heartbeat=Heartbeat(heads.look_at),
        fan_out=FanOut(),
        replays=LogReader(ports.store, clock=ports.clock, recent=recent),
    )
