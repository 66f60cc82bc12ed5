"""5,000 streams on which nothing happens but heartbeats: what each costs in memory, and all in
processor time.

Two beats of 30 s are watched, and counted at the other end. A quick run beats every 2 s and scales
the processor time to what it would be at 30: it shows that the scenario works, not what a stream
costs.
"""

from __future__ import annotations

from collections.abc import Sequence

import trio

from bench.floor import Floor
from bench.measure.processes import rss_kib
from bench.options import Options
from bench.peers.running import PEERS
from bench.report.rows import Row, Verdict, among, bound_verdict, ratio_verdict, ratios
from bench.scenarios.ramp import subject_of
from bench.servers.subject import Subject

NAME = "idle"
STORY = "5,000 streams, heartbeats only"

USUAL_BEAT = 30
QUICK_BEAT = 2
BEATS = 2
SETTLE = 2.0  # seconds after the last has connected


async def run(floor: Floor, number: int) -> list[Row]:
    """One round."""
    names = ["storefront", *(PEERS if floor.options.peers else ())]
    rows = []
    for name in names if number % 2 else reversed(names):
        floor.say(f"idle: {name}")
        beat = floor.options.pick(USUAL_BEAT, QUICK_BEAT)
        async with subject_of(floor, name, heartbeat=beat) as subject:
            rows.append(await _measured(floor, subject, number, beat))
    return rows


async def _measured(floor: Floor, subject: Subject, number: int, beat: int) -> Row:
    streams = floor.options.crowd(5000, 200)
    async with floor.crowd() as crowd:
        await crowd.enter(subject, streams, customers=streams)
        before = rss_kib(subject.pids())
        await crowd.settle()
        await trio.sleep(SETTLE)
        meter = floor.meter(lambda: list(subject.pids()))
        await crowd.mark()
        meter.start()
        await trio.sleep(BEATS * beat)
        usage = meter.read()
        arrivals = await crowd.collect(0)
        notes = list(crowd.complaints)
        if beat != USUAL_BEAT:
            notes.append(f"a beat every {beat} s; processor time scaled to {USUAL_BEAT} s")
        return Row(
            scenario=NAME,
            case=str(streams),
            subject=subject.name,
            round=number,
            rate=arrivals.summary["pings"] / usage.seconds,
            faults=arrivals.faults,
            usage=usage,
            figures={
                "kib_per_stream": (usage.rss["subject"] - before) / streams,
                "cpu_percent": 100 * usage.cores["subject"] * beat / USUAL_BEAT,
                "pings_per_stream": arrivals.summary["pings"] / streams,
                "streams_at_the_end": float(arrivals.summary["open"]),
            },
            notes=notes,
        )


def judge(rows: Sequence[Row], options: Options) -> list[Verdict]:
    """25 KiB and 3 % of a core, and every heartbeat heard."""
    ours = among(rows, NAME, subject="storefront")
    judged = not options.quick

    def figures(name: str, of: Sequence[Row] = ours) -> list[float]:
        return [row.figures[name] for row in of]

    # A beat may fall on either end of the stretch.
    verdicts = [
        bound_verdict(
            "idle: pings per stream", figures("pings_per_stream"), least=BEATS - 1, judged=True
        ),
        bound_verdict(
            "idle: memory per stream",
            figures("kib_per_stream"),
            most=25,
            unit=" KiB",
            judged=judged,
        ),
        bound_verdict(
            "idle: processor time of all", figures("cpu_percent"), most=3, unit=" %", judged=judged
        ),
    ]
    for peer in PEERS if options.peers else ():
        theirs = figures("kib_per_stream", among(rows, NAME, subject=peer))
        found = ratios(figures("kib_per_stream"), theirs)
        verdicts.append(ratio_verdict(f"idle: memory / {peer}", found, most=1.0, judged=False))
    return verdicts
