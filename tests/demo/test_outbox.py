"""Messages leave in order, each until it has been taken."""

from __future__ import annotations

import pytest
import trio
from structlog.testing import capture_logs

from storefront.demo.messages import Message
from storefront.demo.outbox import Outbox
from storefront.demo.refusals import OverfullError
from tests.demo.shop import Published


def message(number):
    return Message("Messages.Contracts.Test.Numbered", {"number": number})


def numbers(publisher):
    return [body for _, body in publisher.taken]


async def test_messages_are_published_in_the_order_they_were_caused(nursery, autojump_clock):
    publisher = Published()
    outbox = Outbox(publisher)
    nursery.start_soon(outbox.run)
    outbox.add([message(1), message(2)])
    await trio.testing.wait_all_tasks_blocked()
    outbox.add([message(3)])
    await trio.testing.wait_all_tasks_blocked()
    assert numbers(publisher) == ['{"number":1}', '{"number":2}', '{"number":3}']
    assert outbox.statistics().published == 3


async def test_a_refused_message_is_tried_again_before_any_later_one(nursery, autojump_clock):
    publisher = Published(refusals=3)
    outbox = Outbox(publisher)
    nursery.start_soon(outbox.run)
    outbox.add([message(1), message(2)])
    with capture_logs() as logs:
        await trio.sleep(0.1 + 0.2 + 0.4 - 0.001)
        assert numbers(publisher) == []
        await trio.sleep(0.001)
        await trio.testing.wait_all_tasks_blocked()
    assert numbers(publisher) == ['{"number":1}', '{"number":2}']
    assert outbox.statistics().failures == 3
    # Said once, and nothing of the body.
    assert logs == [
        {
            "event": "not published, trying again",
            "log_level": "warning",
            "type": "Messages.Contracts.Test.Numbered",
        }
    ]


async def test_the_pause_stops_growing_at_five_seconds(nursery, autojump_clock):
    publisher = Published(refusals=1000)
    outbox = Outbox(publisher)
    nursery.start_soon(outbox.run)
    outbox.add([message(1)])
    await trio.sleep(60)
    before = publisher.asked
    await trio.sleep(60)
    assert publisher.asked - before == 12


async def test_a_publisher_that_never_answers_is_given_up_and_asked_again(nursery, autojump_clock):
    asked = []

    async def publish(type_, body):
        asked.append(trio.current_time())
        if len(asked) == 1:
            await trio.sleep_forever()

    outbox = Outbox(publish)
    nursery.start_soon(outbox.run)
    began = trio.current_time()
    outbox.add([message(1)])
    await trio.sleep(31)
    assert [at - began for at in asked] == [0, 30.1]
    assert outbox.statistics().waiting == 0


async def test_a_bug_of_the_publisher_is_not_retried(autojump_clock):
    async def publish(type_, body):
        raise ZeroDivisionError

    outbox = Outbox(publish)
    outbox.add([message(1)])
    with pytest.raises(ZeroDivisionError), trio.fail_after(60):
        await outbox.run()


def test_a_full_outbox_says_so_and_still_keeps_what_is_added():
    outbox = Outbox(Published(), capacity=2)
    outbox.check_room()
    outbox.add([message(1), message(2)])
    with pytest.raises(OverfullError):
        outbox.check_room()
    outbox.add([message(3)])
    assert outbox.statistics().waiting == 3
