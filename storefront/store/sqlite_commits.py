"""Group commit: one transaction at a time, and everybody who waits for it shares the next.

The first of those who wait becomes the one who commits for all. That needs no task of its own, so
a store is a thing and not a nursery, and whoever wants something written is there to hear how it
went.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import trio

from storefront.errors import StoreError, StoreUnavailableError
from storefront.store.contract import REFUSALS, REFUSALS_HELP, Entry
from storefront.store.sqlite_file import kind_of
from storefront.store.sqlite_ledger import Ledger
from storefront.telemetry.metrics import Reading

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Job:
    work: Callable[[Ledger], Any]
    done: bool = False
    answer: Any = None
    failure: StoreError | None = None


@dataclass(slots=True)
class CommitCounts:
    """Counters since the store was opened.

    Attributes:
        commits: transactions that are on the disk.
        seconds: that they took, the way to the writer's thread and back included.
        shared: who waited for them, together.
        refusals: transactions that were rolled back, by what the file said.
    """

    commits: int = 0
    seconds: float = 0.0
    shared: int = 0
    refusals: Counter[str] = field(default_factory=Counter)

    def readings(self) -> Iterable[Reading]:
        """Them for /metrics."""
        none: dict[str, str] = {}
        yield "storefront_store_commits_total", "Transactions on the disk.", none, self.commits
        yield "storefront_store_commit_seconds_total", "Time they took.", none, self.seconds
        yield "storefront_store_commit_jobs_total", "What shared them.", none, self.shared
        for kind, refused in self.refusals.items():
            yield REFUSALS, REFUSALS_HELP, {"kind": kind}, refused


class Commits:
    """The only way to the ledger.

    Args:
        ledger: what is written to.
        settled: called, on Trio's side, with what a commit recorded, before anything else is
            committed.
    """

    def __init__(self, ledger: Ledger, settled: Callable[[Sequence[Entry]], None]) -> None:
        self.counts = CommitCounts()
        self._ledger = ledger
        self._settled = settled
        self._turn = trio.Lock()
        self._thread = trio.CapacityLimiter(1)
        # Ordered, and bounded by those who wait here.
        self._waiting: dict[_Job, None] = {}

    async def write(self, work: Callable[[Ledger], T]) -> T:
        """Have it done and committed.

        A caller that is cancelled while it waits for its turn takes its work with it; once a
        transaction has begun it is finished, and announced, whoever may still be there to see it.

        Raises:
            StoreUnavailableError: it was not done, nor was what shared the transaction.
            StoreCorruptError: likewise, nor will it ever be.
        """
        job = _Job(work)
        self._waiting[job] = None
        try:
            async with self._turn:
                if not job.done:
                    await self._commit()
        finally:
            self._waiting.pop(job, None)
        if job.failure is not None:
            raise type(job.failure)(*job.failure.args) from job.failure
        return cast("T", job.answer)

    async def _commit(self) -> None:
        jobs = tuple(self._waiting)
        self._waiting.clear()
        began = trio.current_time()
        try:
            # Shielded: from here to the announcement nothing may come between. How long that can
            # last is SQLite's wait for a lock and the disk.
            with trio.CancelScope(shield=True):
                answers, entries = await trio.to_thread.run_sync(
                    self._ledger.transact, [job.work for job in jobs], limiter=self._thread
                )
        except StoreError as exc:
            self.counts.refusals[kind_of(exc)] += 1
            _settle(jobs, failure=exc)
            return
        except BaseException:
            _settle(jobs, failure=StoreUnavailableError("what shared the transaction failed"))
            raise
        self.counts.commits += 1
        self.counts.seconds += trio.current_time() - began
        self.counts.shared += len(jobs)
        _settle(jobs, answers)
        self._settled(entries)


def _settle(
    jobs: Sequence[_Job], answers: Sequence[Any] = (), *, failure: StoreError | None = None
) -> None:
    for job, answer in zip(jobs, answers or [None] * len(jobs), strict=True):
        job.done = True
        job.answer = answer
        job.failure = failure
