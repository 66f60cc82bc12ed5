"""Everybody connects: 1,000 and 5,000 streams, from the first connect to the last first frame.

At most 500 are on their way at once, as a kernel's backlog of a thousand would see them; each wait
counts from its own connect.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from bench.floor import Floor
from bench.measure.latency import Latency
from bench.measure.processes import rss_kib
from bench.options import Options
from bench.peers.running import PEERS
from bench.report.rows import Row, Verdict, among, bound_verdict, ratio_verdict, ratios
from bench.servers.subject import Subject

NAME = "ramp"
STORY = "1,000 and 5,000 browsers connect at once"


def sizes(options: Options) -> list[int]:
    """How many streams."""
    return [options.streams] if options.streams else options.pick([1000, 5000], [100, 300])


async def run(floor: Floor, number: int) -> list[Row]:
    """One round: every subject and size, each on a fresh process."""
    names = ["storefront", *(PEERS if floor.options.peers else ())]
    rows = []
    for streams in sizes(floor.options):
        for name in names if number % 2 else reversed(names):
            floor.say(f"ramp: {name}, {streams} streams")
            async with subject_of(floor, name) as subject:
                rows.append(await _measured(floor, subject, streams, number))
    return rows


@asynccontextmanager
async def subject_of(floor: Floor, name: str, *, heartbeat: int = 30) -> AsyncIterator[Subject]:
    """A fresh one of that name."""
    if name == "storefront":
        async with floor.storefront({"HEARTBEAT": str(heartbeat)}) as ours:
            yield ours
    else:
        async with floor.peer(name, heartbeat=heartbeat) as peer:
            yield peer


async def _measured(floor: Floor, subject: Subject, streams: int, number: int) -> Row:
    async with floor.crowd() as crowd:
        await crowd.enter(subject, streams, customers=streams)
        before = rss_kib(subject.pids())
        meter = floor.meter(lambda: list(subject.pids()))
        meter.start()
        ramp = await crowd.open()
        usage = meter.read()
        left = (await crowd.collect(0)).summary["open"]
        notes = list(crowd.complaints)
        if left < streams:
            notes.append(f"only {left} were taken: {ramp.ended}")
        return Row(
            scenario=NAME,
            case=str(streams),
            subject=subject.name,
            round=number,
            rate=ramp.answered / ramp.seconds if ramp.seconds else 0.0,
            latency=Latency.of(ramp.waits.tolist()),
            usage=usage,
            figures={
                "seconds": ramp.seconds,
                "not_taken": float(streams - left),
                "kib_per_stream": (usage.rss["subject"] - before) / streams,
            },
            flat_out=True,
            notes=notes,
        )


def judge(rows: Sequence[Row], options: Options) -> list[Verdict]:
    """All answered; and no slower than sse-starlette."""
    not_taken = [row.figures["not_taken"] for row in among(rows, NAME, subject="storefront")]
    verdicts = [bound_verdict("ramp: streams not taken", not_taken, most=0, judged=True)]
    for streams in sizes(options) if options.peers else ():
        case = str(streams)
        ours = [row.figures["seconds"] for row in among(rows, NAME, case, "storefront")]
        for peer in PEERS:
            theirs = [row.figures["seconds"] for row in among(rows, NAME, case, peer)]
            strict = peer == "sse-starlette"
            what = f"ramp to {streams} / {peer}"
            judged = strict and not options.quick
            verdicts.append(ratio_verdict(what, ratios(ours, theirs), most=1.0, judged=judged))
    return verdicts
