from __future__ import annotations

import pytest
import trio

from storefront.errors import BrokerError
from storefront.supervise import keep_running


async def test_pauses_double_from_half_a_second_to_five(autojump_clock):
    began: list[float] = []

    async def fail() -> None:
        began.append(trio.current_time())
        raise BrokerError("gone")

    with trio.move_on_after(20):
        await keep_running("it", fail, on=BrokerError, stopping=trio.Event())
    assert began == [0, 0.5, 1.5, 3.5, 7.5, 12.5, 17.5]


async def test_after_ten_steady_seconds_the_pauses_start_anew(autojump_clock):
    began: list[float] = []

    async def last_a_while() -> None:
        began.append(trio.current_time())
        await trio.sleep(10 if len(began) == 4 else 0)
        raise BrokerError("gone")

    with trio.move_on_after(16):
        await keep_running("it", last_a_while, on=BrokerError, stopping=trio.Event())
    assert began == [0, 0.5, 1.5, 3.5, 14, 15]


async def test_a_bug_is_not_survived(autojump_clock):
    async def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await keep_running("it", fail, on=BrokerError, stopping=trio.Event())
    assert trio.current_time() == 0


async def test_a_task_that_returns_is_not_run_again(autojump_clock):
    runs = 0

    async def once() -> None:
        nonlocal runs
        runs += 1
        await trio.lowlevel.checkpoint()

    await keep_running("it", once, on=BrokerError, stopping=trio.Event())
    assert runs == 1


async def test_a_pause_ends_at_once_when_everybody_is_leaving(autojump_clock, nursery):
    stopping, runs = trio.Event(), 0

    async def fail() -> None:
        nonlocal runs
        runs += 1
        raise BrokerError("gone")

    async def leave_later() -> None:
        await trio.sleep(20)
        stopping.set()

    nursery.start_soon(leave_later)
    await keep_running("it", fail, on=BrokerError, stopping=stopping)
    assert trio.current_time() == 20
    assert runs == 7
