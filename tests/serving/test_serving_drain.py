from __future__ import annotations

import math

import trio
import trio.testing

from storefront.serving import Drain


async def test_a_drain_that_has_not_begun_has_no_end(autojump_clock):
    drain = Drain()
    assert (drain.begun, drain.closing, drain.ends_at) == (False, False, math.inf)
    assert repr(drain) == "<Drain serving>"


async def test_a_second_begin_brings_the_end_nearer_and_never_pushes_it_away(autojump_clock):
    drain = Drain()
    drain.begin(10)
    await trio.sleep(1)
    drain.begin(30)
    assert drain.ends_at == 10
    drain.begin(0)
    assert drain.ends_at == 1
    assert repr(drain) == "<Drain draining>"


async def test_closing_without_a_drain_leaves_no_time(autojump_clock):
    drain = Drain()
    drain.close_listeners()
    drain.close_listeners()
    assert (drain.begun, drain.closing, drain.ends_at) == (True, True, 0)


async def test_closing_keeps_the_end_of_a_drain_that_has_begun(autojump_clock):
    drain = Drain()
    drain.begin(10)
    drain.close_listeners()
    assert drain.ends_at == 10


async def test_waiters_hear_of_each_step(autojump_clock, nursery):
    drain, heard = Drain(), []

    async def listen(name, wait):
        await wait()
        heard.append((name, trio.current_time()))

    nursery.start_soon(listen, "begun", drain.wait_begun)
    nursery.start_soon(listen, "closing", drain.wait_closing)
    nursery.start_soon(listen, "nearer", lambda: drain.wait_nearer(12))
    await trio.sleep(2)
    drain.begin(10)  # ends at 12, which is not nearer than 12
    await trio.sleep(1)
    drain.begin(5)
    await trio.sleep(1)
    drain.close_listeners()
    await trio.testing.wait_all_tasks_blocked()
    assert heard == [("begun", 2), ("nearer", 3), ("closing", 4)]


async def test_who_asks_late_is_answered_at_once(autojump_clock):
    drain = Drain()
    drain.begin(10)
    drain.close_listeners()
    await drain.wait_begun()
    await drain.wait_closing()
    assert await drain.wait_nearer(math.inf) == 10
    assert trio.current_time() == 0
