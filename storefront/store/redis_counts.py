"""What the Redis store counts, for whoever wants to know how it is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counts:
    """Counters since the store was opened; the store hands out copies.

    Attributes:
        round_trips: exchanges with a server, of one command or of hundreds.
        connections: that were made.
        retries: exchanges repeated because an idle connection had died.
        redirections: commands that another server of the cluster had to be asked.
        failures: operations that ended with StoreUnavailableError.
        timeouts: those of them for want of an answer in time.
        followings: subscriptions that were confirmed; all but the first are reconnections.
        heard: announcements that came.
        unreadable: announcements that were none of ours.
        unannounced: records whose announcement Redis refused.
        renumbered: numberings that were found to have started anew.
    """

    round_trips: int = 0
    connections: int = 0
    retries: int = 0
    redirections: int = 0
    failures: int = 0
    timeouts: int = 0
    followings: int = 0
    heard: int = 0
    unreadable: int = 0
    unannounced: int = 0
    renumbered: int = 0
