"""One run of the ledger: customers come, messages flow, faults strike, and the judge counts."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import trio

from tests.ledger.judge import Fault, judge
from tests.ledger.post import customers, letters
from tests.system.ledger.faults import CONFIRMS, Blow, Stage, Window
from tests.system.ledger.floor import Floor, Instance
from tests.system.ledger.publisher import Publisher, open_publisher
from tests.system.ledger.readers import Figures, Reader, readers_of
from tests.system.servers.rabbitmq import VirtualHost
from tests.system.servers.redis import RedisServer

CALM = 1.0  # seconds between two faults
LINGER = 2.0  # seconds after the last confirmed message was seen, for what nobody expects
FAR_BEHIND = 2_000  # messages that are confirmed and not seen
PROGRESS_EVERY = 5.0  # seconds
OPENED_WITHIN = 60.0  # seconds until every reader has its cursor
SHOWN = 10  # faults that a failure shows


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How much, how fast, and what happens meanwhile.

    Attributes:
        customers: every fourth of them has two readers.
        messages: at least; the faults are gone through again until so many are confirmed.
        rate: messages a second, as long as the shop keeps up.
        blows: the faults, in their order.
        patience: seconds without any frame, after which what was not seen is lost. The heartbeat looks every 30 s.
        within: seconds for the whole run.
    """

    customers: int
    messages: int
    rate: float
    blows: Sequence[Blow]
    patience: float = 45.0
    within: float = 240.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run came to."""

    seed: int
    seconds: float
    confirmed: int
    repeated: int
    frames: int
    readers: int
    returns: int
    redelivered: int
    duplicates: int
    consumed: dict[str, int]
    windows: Sequence[Window]
    figures: Figures
    faults: Sequence[Fault]

    def kinds(self) -> Counter[str]:
        return Counter(fault.kind for fault in self.faults)

    def __str__(self) -> str:
        inside = ", ".join(f"{w.fault} {w.confirms} in {w.seconds:.1f} s" for w in self.windows)
        consumed = " + ".join(f"{name} {often}" for name, often in self.consumed.items())
        return (
            f"{self.confirmed} confirmed ({self.repeated} published again), {self.frames} frames to {self.readers} readers in"
            f" {self.seconds:.0f} s; confirms inside: {inside}; redelivered {self.redelivered}, of them known"
            f" {self.duplicates}; reconnects {self.returns}, of them from inside a frame"
            f" {self.figures.cut_midway}, told busy {self.figures.busy}; resets"
            f" {self.kinds()['reset']}; consumed: {consumed}; faults {len(self.faults)}; seed {self.seed}"
        )

    def told(self) -> str:
        """For a failure: the seed, how many of which kind, and the first of them."""
        first = "\n".join(str(fault) for fault in self.faults[:SHOWN])
        return f"seed {self.seed}: {dict(self.kinds())}\n{first}\n{self}"


async def run_ledger(
    form: Form,
    processes: Sequence[Instance],
    vhost: VirtualHost,
    redis: RedisServer | None,
    *,
    seed: int,
) -> Outcome:
    """The whole story; the caller asserts what its outcome must be."""
    print(f"ledger: seed {seed}", flush=True)
    began, chance = trio.current_time(), random.Random(seed)
    theirs, figures = customers(form.customers, chance), Figures()
    floor = Floor(processes, vhost.node)
    readers = readers_of(theirs, floor.urls, figures, seed=seed, every_second=4)
    publisher = Publisher(vhost.url, letters(theirs, chance), rate=form.rate)
    stage = Stage(floor, vhost, redis, publisher, random.Random(f"{seed} faults"))
    with trio.fail_after(form.within):
        async with floor.open(), trio.open_nursery() as nursery:
            await floor.consumer(within=OPENED_WITHIN)
            for reader in readers:
                nursery.start_soon(reader.run)
            with trio.fail_after(OPENED_WITHIN):
                while not all(reader.cursor for reader in readers):
                    await trio.sleep(0.05)
            nursery.start_soon(pace, publisher, readers, form)
            nursery.start_soon(progress, stage, readers)
            async with open_publisher(publisher):
                await strike(stage, form)
            stage.doing = "waiting for the last"
            await seen_by_all(publisher, readers, patience=form.patience)
            await trio.sleep(LINGER)
            nursery.cancel_scope.cancel()
        await floor.count_redelivered()
    accounts = [reader.account for reader in readers]
    outcome = Outcome(
        seed=seed,
        seconds=trio.current_time() - began,
        confirmed=len(publisher.confirmed),
        repeated=publisher.repeated,
        frames=sum(len(account.frames) for account in accounts),
        readers=len(readers),
        returns=sum(reader.returns for reader in readers),
        redelivered=floor.redelivered,
        duplicates=sum(instance.settled("duplicate") for instance in floor.instances),
        consumed={each.name: each.settled("recorded", "duplicate") for each in floor.instances},
        windows=stage.windows,
        figures=figures,
        faults=judge(publisher.book, publisher.confirmed, accounts),
    )
    print(f"ledger: {outcome}", flush=True)
    return outcome


async def strike(stage: Stage, form: Form) -> None:
    """Each fault once, and again from the first until enough was confirmed."""
    while True:
        for blow in form.blows:
            await trio.sleep(CALM)
            await blow(stage)
        await trio.sleep(CALM)
        if len(stage.publisher.confirmed) >= form.messages:
            return


async def seen_by_all(publisher: Publisher, readers: Sequence[Reader], *, patience: float) -> None:
    """Wait until every reader has as many different frames as it is owed, or none of them gets anything any more; the
    judge says what is missing then.
    """
    owed = Counter(posted.customer for posted in publisher.confirmed)
    seen, since = -1, 0.0
    while any(len({f.data for f in r.account.frames}) < owed[r.account.customer] for r in readers):
        before, seen = seen, sum(len(r.account.frames) for r in readers)
        now = trio.current_time()
        since = now if seen > before else since
        if now - since > patience:
            return
        await trio.sleep(0.2)


def must_be_faultless(outcome: Outcome) -> None:
    """What every whole run asserts."""
    assert not outcome.faults, outcome.told()
    assert all(w.confirms >= CONFIRMS for w in outcome.windows if w.broker_up), outcome.told()
    assert outcome.redelivered > 0, outcome.told()
    assert outcome.returns > 0, outcome.told()
    assert all(outcome.consumed.values()), outcome.told()


async def pace(publisher: Publisher, readers: Sequence[Reader], form: Form) -> None:
    """Publish more slowly while the shop is far behind: on a machine without a core to spare it would fall ever further."""
    while True:
        seen = sum(len(r.account.frames) for r in readers) * form.customers / len(readers)
        behind = len(publisher.confirmed) - seen
        publisher.rate = form.rate if behind < FAR_BEHIND else form.rate / 2
        await trio.sleep(0.2)


async def progress(stage: Stage, readers: Sequence[Reader]) -> None:
    """A line now and then, for whoever watches (`-s`)."""
    began = trio.current_time()
    while True:
        await trio.sleep(PROGRESS_EVERY)
        frames = sum(len(reader.account.frames) for reader in readers)
        returns = sum(reader.returns for reader in readers)
        print(
            f"ledger: {trio.current_time() - began:4.0f} s  {len(stage.publisher.confirmed):6} confirmed"
            f"  {frames:6} frames seen  {returns:5} reconnects  {stage.doing}",
            flush=True,
        )
