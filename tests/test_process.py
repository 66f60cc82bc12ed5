"""How a process ends, whatever its tasks do: real processes, real signals, real time."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trio

from storefront import process
from storefront.errors import ListenError, SettingsError, StoreCorruptError

# A process that says when it is ready; what it does then is the test's.
CHILD = """
import os, signal, sys, threading
import trio
from storefront import process
from storefront.errors import SettingsError
from storefront.telemetry.logs import configure_logs

configure_logs(level="info", style="json")

async def serve(stop):
{serve}

{before}
sys.exit(process.run_process(serve, drain={drain}{more}))
"""
READY = 'print("ready", flush=True)'
# A fault of ours in these tests ends the child; no test of this file takes a quarter of it.
LONGEST_LIFE = 40.0


@contextmanager
def child(
    serve: str, *, drain: float = 0.2, before: str = "", more: str = ""
) -> Iterator[subprocess.Popen[str]]:
    """A process that runs these lines as its `serve`, once it is ready; `more` are arguments of `run_process`."""
    body = textwrap.indent(textwrap.dedent(serve).strip(), "    ").replace(
        "    READY", f"    {READY}", 1
    )
    text = CHILD.format(serve=body, drain=drain, before=textwrap.dedent(before), more=more)
    started = subprocess.Popen(
        [sys.executable, "-c", text], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    lifeline = threading.Timer(LONGEST_LIFE, started.kill)
    lifeline.start()
    try:
        assert started.stdout is not None
        if READY in text:
            assert started.stdout.readline() == "ready\n"
        yield started
    finally:
        lifeline.cancel()
        started.kill()
        started.communicate()


def end(started: subprocess.Popen[str], *signals: signal.Signals) -> tuple[int, str, float]:
    """Send signals; returns the exit code, what was complained of, and the seconds since the last of them."""
    for number in signals[:-1]:
        started.send_signal(number)
        assert started.stdout is not None
        assert (
            started.stdout.readline() == "heard\n"
        )  # two of one kind that wait together would be one
    began = time.monotonic()
    if signals:
        started.send_signal(signals[-1])
    _, complaints = started.communicate()
    return started.returncode, complaints, time.monotonic() - began


WELL_BEHAVED = """
    READY
    await stop.wait()
"""
DEAF = """
    READY
    async def waits_for_nobody():
        await trio.sleep_forever()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(waits_for_nobody, name="the guilty one")
"""
WEDGED = """
    READY
    threading.Event().wait(60)
"""
# Has the child say when it has heard a signal.
ALOUD = """
plainly = signal.signal
def aloud(number, handler):
    def told(*args):
        handler(*args)
        print("heard", flush=True)
    return plainly(number, told if callable(handler) else handler)
process.signal.signal = aloud
"""


@pytest.mark.system
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_process_that_is_asked_and_finishes_leaves_with_0(number):
    with child(WELL_BEHAVED) as started:
        code, complaints, took = end(started, number)
    assert code == 0
    assert took < 3
    assert complaints.count("\n") == 1
    assert f'"signal": "{number.name}"' in complaints


@pytest.mark.system
def test_a_process_that_finishes_by_itself_leaves_with_0():
    with child("READY\nawait trio.sleep(0)") as started:
        assert end(started)[:2] == (0, "")


@pytest.mark.system
@pytest.mark.parametrize(
    "serve",
    [
        "READY\nraise ZeroDivisionError('a bug')",
        "READY\nawait stop.wait()\nraise ZeroDivisionError('a bug')",
        """
        READY
        async def die():
            await trio.sleep(0.05)
            raise ZeroDivisionError('a bug')
        async with trio.open_nursery() as outer, trio.open_nursery() as inner:
            inner.start_soon(die)
            outer.start_soon(trio.sleep_forever)
        """,
        """
        READY
        async def refuse():
            raise SettingsError('STOREFRONT_X: wrong')
        async def die():
            raise ZeroDivisionError('a bug')
        async with trio.open_nursery() as nursery:
            nursery.start_soon(refuse)
            nursery.start_soon(die)
        """,
    ],
    ids=["at once", "while leaving", "in a task of a task", "beside a wrong setting"],
)
def test_a_bug_leaves_with_1_and_a_traceback(serve):
    with child(serve) as started:
        code, complaints, took = (
            end(started, signal.SIGTERM) if "stop.wait" in serve else end(started)
        )
    assert code == 1
    assert took < 3
    assert "Traceback" in complaints
    assert "ZeroDivisionError: (its words are told at level debug only)" in complaints


@pytest.mark.system
@pytest.mark.parametrize(
    "serve",
    [
        "raise SettingsError('STOREFRONT_X: wrong')",
        """
        async def refuse():
            raise SettingsError('STOREFRONT_X: wrong')
        async with trio.open_nursery() as outer, trio.open_nursery() as inner:
            outer.start_soon(trio.sleep_forever)
            inner.start_soon(refuse)
        """,
    ],
    ids=["at once", "in a task of a task"],
)
def test_a_wrong_setting_found_late_leaves_with_2_and_one_line(serve):
    with child(serve) as started:
        assert end(started)[:2] == (2, "storefront: STOREFRONT_X: wrong\n")


@pytest.mark.system
def test_a_process_that_does_not_leave_is_ended_five_seconds_after_the_drain_with_its_tasks_on_record():
    with child(DEAF, drain=0.2) as started:
        code, complaints, took = end(started, signal.SIGTERM)
    assert code == 70
    assert 5.2 <= took < 8
    assert "storefront: still here after the drain; tasks:" in complaints
    assert re.search(
        r"^ +the guilty one at serve\.<locals>\.waits_for_nobody:\d+ in sleep_forever:\d+$",
        complaints,
        re.MULTILINE,
    )
    assert re.search(
        r"^ +storefront\.process\._until_signalled at serve:\d+ in NurseryManager\.__aexit__:\d+$",
        complaints,
        re.MULTILINE,
    )
    assert "Current thread" in complaints


SOON = "process.LAST_RESORT_AFTER_DRAIN = 0.5"


@pytest.mark.system
def test_a_loop_that_no_longer_turns_is_ended_all_the_same():
    with child(WEDGED, before=SOON) as started:
        code, complaints, took = end(started, signal.SIGTERM)
    assert code == 70
    assert 0.7 <= took < 4
    assert "in serve" in complaints


@pytest.mark.system
def test_last_words_that_nobody_reads_do_not_keep_the_process():
    fill = """
    os.set_blocking(2, False)
    try:
        while True:
            os.write(2, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(2, True)
    """
    with child(DEAF, before=SOON + "\n" + textwrap.dedent(fill)) as started:
        began = time.monotonic()
        started.send_signal(signal.SIGTERM)
        assert started.wait() == 70
        assert time.monotonic() - began < 5


@pytest.mark.system
def test_a_tree_that_cannot_be_told_does_not_keep_the_process():
    broken = f"{SOON}\nprocess.LAST_WORDS = 30\nprocess.task_tree = None"
    with child(DEAF, before=broken) as started:
        code, _, took = end(started, signal.SIGTERM)
    assert code == 70
    assert took < 5


@pytest.mark.system
@pytest.mark.parametrize("serve", [DEAF, WEDGED], ids=["deaf", "wedged"])
@pytest.mark.parametrize(
    ("signals", "code"),
    [
        ((signal.SIGTERM, signal.SIGTERM), 143),
        ((signal.SIGINT, signal.SIGTERM), 143),
        ((signal.SIGINT, signal.SIGINT), 130),
        ((signal.SIGTERM, signal.SIGINT), 130),
    ],
    ids=str,
)
def test_whoever_is_asked_twice_is_gone_at_once(serve, signals, code):
    with child(serve, drain=30, before=ALOUD) as started:
        left, _, took = end(started, *signals)
    assert left == code
    assert took < 2


@pytest.mark.system
def test_a_worker_that_is_asked_twice_leaves_as_if_asked_once():
    leaving = "READY\nawait stop.wait()\nawait trio.sleep(0.5)"
    with child(leaving, before=ALOUD, more=", asked_again=process.stay_at_it") as started:
        code, complaints, _ = end(started, signal.SIGTERM, signal.SIGINT)
    assert code == 0
    assert '"again": "is not heard"' in complaints


@pytest.mark.system
def test_who_has_others_to_see_out_may_be_given_more_patience():
    with child(DEAF, before=SOON, more=", patience=1.5") as started:
        code, _, took = end(started, signal.SIGTERM)
    assert code == 70
    assert 1.7 <= took < 5


@pytest.mark.system
def test_the_code_that_serving_ends_with_is_the_processs():
    with child("READY\nreturn 70") as started:
        assert end(started)[:2] == (70, "")


@pytest.mark.system
def test_a_wrong_setting_is_told_to_whom_it_should_be():
    tell = ", tell=lambda error: print(error, flush=True) or 7"
    with child("raise SettingsError('STOREFRONT_X: wrong')", more=tell) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == "STOREFRONT_X: wrong\n"
        assert end(started)[:2] == (7, "")


async def test_the_tree_of_tasks_names_each_with_the_place_where_it_waits():
    async def deep() -> None:
        await trio.sleep_forever()

    async def branch() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(deep, name="leaf one")
            nursery.start_soon(deep, name="leaf two")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(branch, name="branch")
        await trio.testing.wait_all_tasks_blocked()
        [found] = [task for task in nursery.child_tasks if task.name == "branch"]
        told = process.task_tree(found)
        nursery.cancel_scope.cancel()
    assert [line.split(" at ")[0] for line in sorted(told)] == [
        "  leaf one",
        "  leaf two",
        "branch",
    ]
    assert re.fullmatch(r"branch at \S+\.branch:\d+ in NurseryManager.__aexit__:\d+", told[0])
    assert all(
        re.fullmatch(r"  leaf (one|two) at \S+\.deep:\d+ in sleep_forever:\d+", line)
        for line in told[1:]
    )


async def test_the_tree_of_a_whole_run_can_be_told_from_its_root():
    root = trio.lowlevel.current_root_task()
    assert root is not None
    told = process.task_tree(root)
    assert told[0].startswith("<init> at ")
    assert all(line.lstrip() != line for line in told[1:])
    assert len(told) > 2


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (SettingsError("x"), "x"),
        (ListenError("x"), "x"),
        (ExceptionGroup("", [ExceptionGroup("", [SettingsError("x")])]), "x"),
        (ExceptionGroup("", [SettingsError("x"), SettingsError("y")]), None),
        (ExceptionGroup("", [SettingsError("x"), ValueError()]), None),
        (ExceptionGroup("", [StoreCorruptError("x")]), "x"),
        (ValueError(), None),
    ],
    ids=str,
)
def test_an_operators_mistake_is_told_only_where_it_is_all_there_is(error, found):
    told = process._operators_business(error)
    assert (str(told) if told else None) == found


def test_the_exit_code_of_a_refusal_is_that_of_a_usage_error(capsys):
    assert process.refuse(SettingsError("a\n b")) == 2 == os.EX_OK + 2
    assert capsys.readouterr().err == "storefront: a b\n"


def test_a_damaged_log_has_an_exit_code_of_its_own(capsys):
    assert process.refuse(StoreCorruptError("x is damaged")) == os.EX_DATAERR
    assert capsys.readouterr().err == "storefront: x is damaged\n"


@pytest.mark.system
def test_a_process_may_open_as_many_files_as_the_system_allows():
    serve = "print(*resource.getrlimit(resource.RLIMIT_NOFILE), flush=True)"
    before = """
    import resource
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    """
    with child(serve, before=before) as started:
        assert started.stdout is not None
        soft, hard = map(int, started.stdout.readline().split())
        assert end(started)[0] == 0
    assert soft == hard > 256


def test_a_line_of_the_log_is_one_write_so_that_those_of_several_workers_stay_apart():
    lines = """
        import structlog
        from storefront.telemetry.logs import configure_logs

        configure_logs(level="info", style="json")
        structlog.get_logger().info("one")
        structlog.get_logger().info("two")
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with theirs:
            command = [sys.executable, "-c", textwrap.dedent(lines)]
            subprocess.run(command, stderr=theirs.fileno(), check=True, timeout=LONGEST_LIFE)
        written = [ours.recv(4096) for _ in range(3)]
    assert [(b'"one"' in line, line.endswith(b"}\n")) for line in written[:2]] == [
        (True, True),
        (False, True),
    ]
    assert written[2] == b"", "nothing more"
