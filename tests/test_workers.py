"""The parent of the workers: whom it replaces and when, and what it makes of their ends. Virtual time, no process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from functools import partial

import pytest
import structlog
import trio
from structlog.testing import capture_logs

from storefront import process
from storefront.errors import SettingsError, StoreCorruptError
from storefront.workers import Lifeline, WorkerProcess, Workers, inherited, worker_command
from storefront.workers.parent import MARGIN, PATIENCE


class FakeWorker:
    """A worker without a process; `obedient` seconds after SIGTERM it leaves with `leaves_with`."""

    def __init__(self, pid, *, obedient=0.0, leaves_with=0, dies_with=None) -> None:
        self.pid = pid
        self.words = ""
        self.heard: list[tuple[float, str]] = []
        self._obedient, self._leaves_with = obedient, leaves_with
        self._ends_at = trio.CancelScope()
        self._code = -signal.SIGKILL
        if dies_with is not None:
            self.end(dies_with)

    def end(self, code: int, words: str = "", after: float = 0.0) -> None:
        self._code, self.words = code, words
        self._ends_at.deadline = trio.current_time() + after

    async def wait(self) -> int:
        with self._ends_at:
            await trio.sleep_forever()
        return self._code

    def terminate(self) -> None:
        self.heard.append((trio.current_time(), "SIGTERM"))
        self.end(self._leaves_with, self.words, after=self._obedient)

    def kill(self) -> None:
        self.heard.append((trio.current_time(), "SIGKILL"))
        self.end(-signal.SIGKILL)


class Staff:
    """Starts fake workers and remembers when."""

    def __init__(self, **manners) -> None:
        self.started: list[tuple[float, int]] = []
        self.present: dict[int, FakeWorker] = {}
        self.released: list[float] = []
        self.fails = 0
        self.takes = 0.0
        self.stop = trio.Event()
        self.workers = Workers(self._start, lambda: self.released.append(trio.current_time()))
        self._manners = manners

    async def _start(self, number: int) -> FakeWorker:
        self.started.append((trio.current_time(), number))
        await trio.sleep(self.takes)
        if self.fails:
            self.fails -= 1
            raise BlockingIOError("no process to be had")
        self.present[number] = FakeWorker(len(self.started), **self._manners)
        return self.present[number]

    async def run(self, amount: int, *, drain: float = 10.0) -> int:
        return await self.workers.run(amount, drain, self.stop)

    def starts(self, number: int) -> list[float]:
        return [at for at, which in self.started if which == number]


@pytest.fixture
async def staff():
    return Staff()


async def until_all_left(staff, nursery, amount, codes, **options) -> None:
    async def run() -> None:
        codes.append(await staff.run(amount, **options))

    nursery.start_soon(run)
    await trio.testing.wait_all_tasks_blocked()


async def test_that_many_are_started_and_asked_to_leave_once_by_the_first_signal(
    staff, nursery, autojump_clock
):
    codes: list[int] = []
    await until_all_left(staff, nursery, 3, codes)
    assert sorted(staff.started) == [(0, 1), (0, 2), (0, 3)]
    await trio.sleep(100)
    assert staff.released == []
    staff.stop.set()
    await trio.testing.wait_all_tasks_blocked(0.001)
    assert codes == [0]
    assert staff.released == [100], "the port is not the parent's any more"
    assert all(worker.heard == [(100, "SIGTERM")] for worker in staff.present.values())
    assert len(staff.started) == 3


@pytest.mark.parametrize("code", [1, 70, 0, -signal.SIGKILL, -signal.SIGSEGV, 137])
async def test_a_worker_that_ended_unasked_is_replaced_after_half_a_second_and_its_neighbour_kept(
    staff, nursery, autojump_clock, code
):
    codes: list[int] = []
    await until_all_left(staff, nursery, 2, codes)
    neighbour = staff.present[1]
    await trio.sleep(10)
    with capture_logs() as told:
        staff.present[2].end(code)
        await trio.sleep(5)
    assert staff.starts(2) == [0, 10.5]
    assert [line["worker"] for line in told if line["event"] == "worker started"] == [2]
    assert staff.present[1] is neighbour
    assert neighbour.heard == []
    staff.stop.set()
    await trio.testing.wait_all_tasks_blocked(0.001)
    assert codes == [0], "how one ended that was replaced is no longer of interest"


async def test_a_worker_that_always_dies_is_started_ever_more_slowly(nursery, autojump_clock):
    staff = Staff(dies_with=1)
    await until_all_left(staff, nursery, 1, [])
    await trio.sleep(18)
    staff.stop.set()
    assert [at for at, _ in staff.started] == [0, 0.5, 1.5, 3.5, 7.5, 12.5, 17.5]


async def test_a_worker_that_cannot_be_started_is_tried_again(staff, nursery, autojump_clock):
    staff.fails = 2
    await until_all_left(staff, nursery, 1, [])
    await trio.sleep(60)
    assert staff.starts(1) == [0, 0.5, 1.5]
    staff.stop.set()


@pytest.mark.parametrize(
    ("code", "error"), [(2, SettingsError), (65, StoreCorruptError)], ids=["settings", "log"]
)
async def test_a_worker_that_a_setting_stops_ends_all_and_the_first_ones_words_are_told(
    staff, nursery, autojump_clock, code, error
):
    async def fall() -> None:
        await trio.sleep(1)
        # The third is about to find the same when it hears that all are leaving.
        staff.present[3]._leaves_with, staff.present[3].words = code, "STOREFRONT_X: wrong, says 3"
        staff.present[2].end(code, "STOREFRONT_X: wrong, says 2")

    nursery.start_soon(fall)
    with pytest.raises(error, match=r"^STOREFRONT_X: wrong, says 2$"):
        await staff.run(3)
    assert len(staff.started) == 3, "nobody is replaced"
    assert staff.present[1].heard == [(1, "SIGTERM")]
    assert staff.released == [1]
    assert trio.current_time() == 1


async def test_a_worker_that_says_nothing_of_a_wrong_setting_has_it_said_for_it(
    staff, autojump_clock, nursery
):
    async def fall() -> None:
        await trio.sleep(1)
        staff.present[1].end(2)

    nursery.start_soon(fall)
    with pytest.raises(SettingsError, match=r"^worker 1 could not start$"):
        await staff.run(1)


@pytest.mark.parametrize(
    ("ends", "worst"),
    [
        ([0, 0, 0], 0),
        ([0, 1, 0], 1),
        ([1, 70, 0], 70),
        ([0, 70, -signal.SIGKILL], 137),
        ([0, 0, -signal.SIGTERM], 0),  # it was still importing
    ],
    ids=str,
)
async def test_the_worst_of_their_ends_is_the_parents(staff, nursery, autojump_clock, ends, worst):
    codes: list[int] = []
    await until_all_left(staff, nursery, 3, codes)
    for number, code in enumerate(ends, 1):
        staff.present[number]._leaves_with = code
    staff.stop.set()
    await trio.testing.wait_all_tasks_blocked(0.001)
    assert codes == [worst]


async def test_whoever_outstays_even_its_own_last_resort_is_killed(nursery, autojump_clock):
    staff, codes = Staff(obedient=60.0), []
    await until_all_left(staff, nursery, 2, codes, drain=3.0)
    staff.stop.set()
    await trio.sleep(30)
    killed_at = 3 + process.LAST_RESORT_AFTER_DRAIN + MARGIN
    for worker in staff.present.values():
        assert worker.heard == [(0, "SIGTERM"), (killed_at, "SIGKILL")]
    assert codes == [137]
    assert killed_at < 3 + PATIENCE, "the parent's own last resort comes later"


async def test_a_worker_that_is_being_started_when_all_leave_is_asked_to_leave_at_once(
    staff, nursery, autojump_clock
):
    codes: list[int] = []
    staff.takes = 2.0
    await until_all_left(staff, nursery, 1, codes)
    staff.stop.set()
    await trio.sleep(3)
    assert staff.present[1].heard == [(2, "SIGTERM")]
    assert codes == [0]


async def test_nobody_is_started_any_more_when_all_leave(staff, nursery, autojump_clock):
    codes: list[int] = []
    await until_all_left(staff, nursery, 1, codes)
    staff.present[1].end(1)
    await trio.sleep(0.25)
    staff.stop.set()
    await trio.sleep(60)
    assert staff.started == [(0, 1)]
    assert codes == [0]


async def test_asked_twice_the_parent_kills_all_it_has_and_leaves_by_the_signals_number(
    staff, nursery, autojump_clock, monkeypatch
):
    def leave(code: int) -> None:
        raise SystemExit(code)

    await until_all_left(staff, nursery, 2, [])
    staff.stop.set()
    with monkeypatch.context() as patched:
        patched.setattr(os, "_exit", leave)
        with pytest.raises(SystemExit, match="143"):
            staff.workers.end_at_once(signal.SIGTERM)
    assert [worker.heard for worker in staff.present.values()] == [[(0, "SIGKILL")]] * 2


async def test_a_parent_that_dies_of_a_bug_takes_its_workers_along(staff, autojump_clock):
    async def fail() -> None:
        await trio.sleep(1)
        raise ZeroDivisionError

    with pytest.RaisesGroup(ZeroDivisionError):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(staff.run, 2))
            nursery.start_soon(fail)
    assert all(worker.heard == [(1, "SIGKILL")] for worker in staff.present.values())


def test_a_workers_lines_carry_its_number():
    told: list[object] = []

    async def serve() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.lowlevel.checkpoint)
            told.append(structlog.contextvars.get_contextvars())

    with structlog.contextvars.bound_contextvars(worker=3):
        trio.run(serve)
    assert told == [{"worker": 3}]


# The lifeline, with real processes.


def test_what_is_no_socket_is_refused_in_one_line():
    for descriptor in (-1, 0x7FFFFFFF, os.open(os.devnull, os.O_RDONLY)):
        with pytest.raises(SettingsError, match="not by hand"):
            inherited(descriptor)
        if 0 <= descriptor < 0x7FFFFFFF:
            os.close(descriptor)


def test_a_refusal_goes_up_the_lifeline_and_its_code_stays():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert Lifeline(theirs).refuse(SettingsError("STOREFRONT_X: wrong")) == 2
        assert Lifeline(theirs).refuse(StoreCorruptError("; damaged")) == 65
        assert ours.recv(100) == b"STOREFRONT_X: wrong; damaged"


def test_a_refusal_that_nobody_hears_is_no_crash():
    ours, theirs = socket.socketpair()
    ours.close()
    with theirs:
        assert Lifeline(theirs).refuse(SettingsError("x")) == 2


# A worker with a loop that never turns: what ends it must not need the loop.
CHILD = """
import sys, threading
from storefront.workers import Lifeline, inherited
number, listening, lifeline = map(int, sys.argv[1:])
parent = Lifeline(inherited(lifeline))
parent.follow_parent()
if number == 2:
    from storefront.errors import SettingsError
    sys.exit(parent.refuse(SettingsError(inherited(listening).getsockname()[0])))
threading.Event().wait(60)
"""


@pytest.mark.system
async def test_a_worker_says_over_its_lifeline_what_it_found():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        with trio.fail_after(20):
            worker = await WorkerProcess.start(
                [sys.executable, "-c", CHILD], dict(os.environ), listening, 2
            )
            assert await worker.wait() == 2
        assert worker.words == "127.0.0.1"


@pytest.mark.system
async def test_a_worker_that_is_being_started_when_the_parent_lets_go_of_the_socket_still_has_it(
    monkeypatch,
):
    listening, really = socket.create_server(("127.0.0.1", 0)), trio.lowlevel.open_process

    async def open_process(*args, **options):
        listening.close()
        return await really(*args, **options)

    monkeypatch.setattr(trio.lowlevel, "open_process", open_process)
    with trio.fail_after(20):
        command = [sys.executable, "-c", CHILD]
        worker = await WorkerProcess.start(command, dict(os.environ), listening, 2)
        assert await worker.wait() == 2
    assert worker.words == "127.0.0.1"


@pytest.mark.parametrize(("spec", "flags"), [(None, ["-P"]), (object(), [])], ids=["script", "-m"])
def test_a_worker_looks_for_modules_in_the_working_folder_only_if_its_parent_did(
    monkeypatch, spec, flags
):
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", spec)
    assert worker_command() == [sys.executable, *flags, "-m", "storefront", "worker"]


PARENT = """
import os, socket, sys, trio
from storefront.workers import WorkerProcess

async def main():
    listening = socket.create_server(("127.0.0.1", 0))
    command = [sys.executable, "-c", sys.argv[1]]
    one, other = [
        await WorkerProcess.start(command, dict(os.environ), listening, number) for number in (1, 3)
    ]
    print(one.pid, other.pid, listening.getsockname()[1], flush=True)
    await trio.sleep_forever()

trio.run(main)
"""


@pytest.mark.system
async def test_workers_of_a_parent_that_is_killed_are_gone_and_the_port_with_them():
    command = [sys.executable, "-c", PARENT, CHILD]
    parent = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE)
    try:
        assert parent.stdout is not None
        with trio.fail_after(20):
            line = b""
            while not line.endswith(b"\n"):
                line += await parent.stdout.receive_some()
        one, other, port = map(int, line.split())
    finally:
        parent.kill()
        await parent.wait()
    with trio.fail_after(20):  # they may still be importing
        while alive(one) or alive(other) or not free(port):
            await trio.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether this process runs; one that nobody has reaped yet does not."""
    try:
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123 - a line of the kernel's
            return stat.read().rpartition(") ")[2][0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def free(port: int) -> bool:
    """Whether nobody listens there; a killed process lets go of its files with its last thread, a little late."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True
