from __future__ import annotations

import pytest
import trio
import trio.testing

from storefront.serving.apps import Apps
from storefront.serving.mailbox import Mailbox
from storefront.serving.watch import ServingWatch


@pytest.fixture
def watch():
    return ServingWatch()


class Sent(list):
    """What reached Hypercorn; None is its sign that the application is done."""

    async def __call__(self, message):
        self.append(message)


def as_hypercorn_calls_it(app):
    async def wrapped(scope, receive, send, sync_spawn, call_soon):
        await app(receive, send)

    return wrapped


async def test_others_get_their_turn_although_an_application_only_sends(autojump_clock, watch):
    turns = []

    async def app(receive, send):
        for number in range(100):
            await send(number)
            turns.append(number)

    async def other():
        while len(turns) < 100:
            turns.append("other")
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        Apps(nursery, watch).run(as_hypercorn_calls_it(app), {}, Sent(), Mailbox())
        nursery.start_soon(other)
    assert turns.count("other") >= 5


async def test_a_cancelled_application_sends_nothing_more(autojump_clock, watch):
    sent = Sent()

    async def app(receive, send):
        with trio.CancelScope() as scope:
            scope.cancel()
            await send("too late")

    async with trio.open_nursery() as nursery:
        Apps(nursery, watch).run(as_hypercorn_calls_it(app), {}, sent, Mailbox())
    assert sent == [None]


async def test_applications_are_counted_while_they_run(autojump_clock, watch):
    async def app(receive, send):
        await trio.sleep(1)

    async with trio.open_nursery() as nursery:
        apps = Apps(nursery, watch)
        for _ in range(3):
            apps.run(as_hypercorn_calls_it(app), {}, Sent(), Mailbox())
        assert (apps.running, watch.requests) == (3, 3)
        await trio.sleep(2)
        assert (apps.running, watch.requests) == (0, 0)


async def test_a_failure_is_logged_and_ends_its_request_only(autojump_clock, watch, caplog):
    sent = Sent()

    async def app(receive, send):
        raise ValueError("a bug")

    async with trio.open_nursery() as nursery:
        Apps(nursery, watch).run(as_hypercorn_calls_it(app), {}, sent, Mailbox())
    assert sent == [None]
    assert "a bug" in caplog.text


async def test_what_must_end_the_process_leaves_a_group_and_the_rest_is_logged(
    autojump_clock, watch, caplog
):
    async def app(receive, send):
        raise BaseExceptionGroup("both", [ValueError("a bug"), SystemExit(7)])

    with pytest.RaisesGroup(SystemExit, flatten_subgroups=True):
        async with trio.open_nursery() as nursery:
            Apps(nursery, watch).run(as_hypercorn_calls_it(app), {}, Sent(), Mailbox())
    assert "a bug" in caplog.text


async def test_an_application_that_fails_while_it_is_cancelled_takes_nobody_along(
    autojump_clock, watch, caplog
):
    async def child():
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("a bug on the way out")

    async def app(receive, send):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child)
            await trio.sleep_forever()

    sent = Sent()
    async with trio.open_nursery() as nursery:
        Apps(nursery, watch).run(as_hypercorn_calls_it(app), {}, sent, Mailbox())
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert "a bug on the way out" in caplog.text
    assert sent == [], "its connection is being torn down: there is nobody to tell"
