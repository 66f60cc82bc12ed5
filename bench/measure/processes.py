"""What processes cost, read from /proc (proc(5)): processor time and resident memory, children
included.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024


def family(pid: int) -> list[int]:
    """The process and all below it, as they are now."""
    found, parents = [pid], [pid]
    while parents:
        children = [child for parent in parents for child in _children(parent)]
        found += children
        parents = children
    return found


def _children(pid: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(n) for task in tasks for n in (task / "children").read_text().split()]
    except OSError:  # it has ended
        return []


def cpu_seconds(pids: Iterable[int]) -> float:
    """Processor time so far, user and system, of those that still live."""
    return sum(_cpu(pid) for pid in pids)


def _cpu(pid: int) -> float:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0.0
    # Fields 14 and 15; the second field, the name, may hold spaces and ends with the last
    # parenthesis.
    after_name = stat.rpartition(") ")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / TICK


def rss_kib(pids: Iterable[int]) -> int:
    """Resident memory in KiB. Pages that processes share count once for each of them."""
    total = 0
    for pid in pids:
        try:
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_KIB
        except OSError:
            continue
    return total


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a group of processes took over a stretch of time.

    Attributes:
        seconds: how long that was.
        cores: processor time per second, by group: 0.3 is 30 % of a core.
        rss: KiB at the end, by group.
    """

    seconds: float
    cores: Mapping[str, float]
    rss: Mapping[str, int]


class Meter:
    """Reads the same groups of processes at two moments.

    Args:
        groups: name to a function that gives the pids now, for workers come and go.
    """

    def __init__(self, groups: Mapping[str, Callable[[], Iterable[int]]]) -> None:
        self._groups = groups
        self._began = 0.0
        self._before: dict[str, dict[int, float]] = {}

    def start(self) -> None:
        """The stretch begins."""
        self._before = {
            name: {pid: _cpu(pid) for pid in pids()} for name, pids in self._groups.items()
        }
        self._began = time.monotonic()

    def read(self) -> Usage:
        """What was taken since `start`; a process that is new counts from its birth."""
        seconds = time.monotonic() - self._began
        cores, rss = {}, {}
        for name, pids in self._groups.items():
            now = list(pids())
            spent = sum(_cpu(pid) - self._before[name].get(pid, 0.0) for pid in now)
            cores[name] = spent / seconds if seconds else 0.0
            rss[name] = rss_kib(now)
        return Usage(seconds=seconds, cores=cores, rss=rss)
