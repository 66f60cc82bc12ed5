"""Many processes behind one listening socket: who starts them, and how they end.

    parent     keeps the workers running, and sees them out
    spawning   one worker as a process, seen from its parent
    child      ... and its parent, seen from a worker

The parent listens and never accepts. Each worker is a fresh process (a fork would copy Trio's loop,
asyncio's, and threads that are gone) with the parent's socket and one end of a *lifeline*, a pair
of sockets: a worker whose parent is gone reads its end and is gone too, and one that a setting
keeps from starting says so over it, so that N workers say it once.

One shared socket, and not one each by SO_REUSEPORT. Measured on two cores:

    200 connections                       one shared socket    SO_REUSEPORT
    over 2 workers, one by one            105, 95              96, 104
    over 4 workers, one by one            36, 52, 52, 60       47, 50, 51, 52
    over 4 workers, at once               25, 37, 55, 83       40, 50, 53, 57
    2 workers, one hangs and is killed    200 served           96 served, 104 reset
    ... its socket being kept open        -                    93 served, 107 not answered

The kernel's hash spreads more evenly, and deals connections to a worker that hangs, died or is
still starting as to any other. From the shared queue whoever is free takes the next one. That each
connection wakes every idle worker, all but one in vain, is the price; EPOLLEXCLUSIVE, which would
wake one, does not go together with the EPOLLONESHOT of Trio's loop.
"""

from storefront.workers.child import Lifeline, inherited
from storefront.workers.parent import PATIENCE, Workers
from storefront.workers.spawning import WorkerProcess, worker_command

__all__ = ["PATIENCE", "Lifeline", "WorkerProcess", "Workers", "inherited", "worker_command"]
