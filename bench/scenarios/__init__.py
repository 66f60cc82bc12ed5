"""What is done, one module per scenario, each with its story, its rows and its targets.

A scenario is `run(floor) -> rows` for one round, and `judge(rows, options) -> verdicts` over all
rounds. Rounds, and with peers the order within a round, alternate: what comes first in one comes
last in the next, so that a machine that grows slower or busier is nobody's advantage.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

from bench.scenarios import (
    broadcast,
    growth,
    idle,
    mixed,
    personal,
    ramp,
    slow_readers,
    storm,
    tracing,
    views,
)

SCENARIOS: dict[str, ModuleType] = {
    "views": views,
    "broadcast": broadcast,
    "ramp": ramp,
    "idle": idle,
    "personal": personal,
    "slow-readers": slow_readers,
    "reconnect-storm": storm,
    "mixed": mixed,
    "tracing": tracing,
    "growth": growth,
}
WITH_PEERS: Sequence[str] = ("broadcast", "personal", "ramp", "idle")
