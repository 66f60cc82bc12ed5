"""What serving counts: plain integers, written where the thing happens, read by telemetry.

Nothing here knows who reads it. Gauges are named for what is, totals end in `_total`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingStatistics:
    """The counters at one moment."""

    connections: int  # open now
    connections_total: int
    connections_refused_total: int  # at the bound on connections: accepted and reset at once
    requests: int  # applications running now, those of cut answers included
    sends_blocked: int  # writes waiting now for a browser to read or to grant window
    sends_blocked_total: int
    slow_aborts_total: int  # answers cut because a write outlasted its deadline
    heads_refused_total: int  # request heads too large, malformed, or not finished in time
    handshakes_failed_total: int
    floods_total: int  # HTTP/2 connections ended for frames that cost us more than them


@dataclass(slots=True, kw_only=True)
class ServingWatch:
    """The counters themselves; one per server, shared by its connections."""

    connections: int = 0
    connections_total: int = 0
    connections_refused_total: int = 0
    requests: int = 0
    sends_blocked: int = 0
    sends_blocked_total: int = 0
    slow_aborts_total: int = 0
    heads_refused_total: int = 0
    handshakes_failed_total: int = 0
    floods_total: int = 0

    def statistics(self) -> ServingStatistics:
        return ServingStatistics(**{f.name: getattr(self, f.name) for f in fields(self)})
