"""Group commit: one transaction at a time, and everybody who waits for it shares the next.

One task of the store makes the transactions, and whoever wants something written waits for it to
say how it went. So a disk that hangs holds that task and its thread, and nobody else: a caller may
leave at any moment. What had not begun goes with it; what had is finished, and announced.
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
    """`over` is called when it is settled; `heard`: whether anybody is there to hear how."""

    work: Callable[[Ledger], Any]
    over: Callable[[], None]
    heard: bool
    answer: Any = None
    failure: Exception | None = None


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
    """The only way to the ledger. `run` must run beside it.

    Args:
        ledger: what is written to.
        settled: called, on Trio's side, with what a commit recorded, before anything else is
            committed.
    """

    def __init__(self, ledger: Ledger, settled: Callable[[Sequence[Entry]], None]) -> None:
        self.counts = CommitCounts()
        self._ledger = ledger
        self._settled = settled
        self._thread = trio.CapacityLimiter(1)
        # Ordered, and bounded by those who wait here and what the store notes.
        self._waiting: dict[_Job, None] = {}
        self._came = trio.Event()
        # Shielded: whoever stops the shop, what has begun is finished and announced first.
        self._lifetime = trio.CancelScope(shield=True)
        self._closed = False

    async def run(self) -> None:
        """Commit until closed. A bug in what was written for one who left goes up from here."""
        try:
            with self._lifetime:
                while self._waiting or not self._closed:
                    if self._waiting:
                        await self._commit()
                    else:
                        self._came = trio.Event()
                        await self._came.wait()
        finally:
            self._closed = True
            left, self._waiting = tuple(self._waiting), {}
            _settle(left, failure=_closed())

    def close(self, *, within: float) -> None:
        """Have `run` end once all that waits is committed, or after so many seconds all the same:
        then a thread is left in the middle of a transaction.
        """
        self._closed = True
        self._lifetime.deadline = trio.current_time() + within
        self._came.set()

    async def write(self, work: Callable[[Ledger], T]) -> T:
        """Have it done and committed.

        A caller that is cancelled leaves at once. Before the transaction has begun it takes its
        work with it; afterwards nobody can tell it whether the work was done.

        Raises:
            StoreUnavailableError: it was not done, nor was what shared the transaction; or, of a
                store that was closed meanwhile, it may have been.
            StoreCorruptError: it was not done, nor will it ever be.
        """
        # Once it is put somebody may begin with it before this task is told to leave.
        await trio.lowlevel.checkpoint_if_cancelled()
        done = trio.Event()
        job = _Job(work, done.set, heard=True)
        self._put(job)
        try:
            await done.wait()
        finally:
            job.heard = False
            self._waiting.pop(job, None)
        if isinstance(job.failure, StoreError):
            raise type(job.failure)(*job.failure.args) from job.failure
        if job.failure is not None:
            raise job.failure
        return cast("T", job.answer)

    def note(self, work: Callable[[Ledger], None], over: Callable[[], None]) -> None:
        """Have it done and committed, before all that is put later, without waiting. `over` is
        called when it was, or when it failed, which nobody hears of.
        """
        self._put(_Job(work, over, heard=False))

    def _put(self, job: _Job) -> None:
        if self._closed:
            _settle([job], failure=_closed())
            return
        self._waiting[job] = None
        self._came.set()

    async def _commit(self) -> None:
        jobs = tuple(self._waiting)
        self._waiting.clear()
        began = trio.current_time()
        try:
            # Not cancelled but by the end of our lifetime: from here to the announcement nothing
            # may come between. How long that can last is SQLite's wait for a lock and the disk.
            answers, entries = await trio.to_thread.run_sync(
                self._ledger.transact,
                [job.work for job in jobs],
                limiter=self._thread,
                abandon_on_cancel=True,
            )
        except StoreError as exc:
            self.counts.refusals[kind_of(exc)] += 1
            _settle(jobs, failure=exc)
            return
        except Exception as exc:
            # A bug, and whose is not known: the first one hears of it, the others may try again.
            _settle(jobs[1:], failure=StoreUnavailableError("what shared the transaction failed"))
            heard = jobs[0].heard
            _settle(jobs[:1], failure=exc)
            if not heard:
                raise
            return
        except BaseException:
            _settle(jobs, failure=_closed())
            raise
        self.counts.commits += 1
        self.counts.seconds += trio.current_time() - began
        self.counts.shared += len(jobs)
        _settle(jobs, answers)
        self._settled(entries)


def _closed() -> StoreUnavailableError:
    return StoreUnavailableError("the log is closed")


def _settle(
    jobs: Sequence[_Job], answers: Sequence[Any] = (), *, failure: Exception | None = None
) -> None:
    for job, answer in zip(jobs, answers or [None] * len(jobs), strict=True):
        job.answer = answer
        job.failure = failure
        job.over()
