from __future__ import annotations

import pytest
import trio
import trio.testing

from storefront.serving.mailbox import CAPACITY, Mailbox

DISCONNECT = {"type": "http.disconnect"}


def body(data, *, more=True):
    return {"type": "http.request", "body": data, "more_body": more}


async def test_pieces_of_a_body_arrive_joined(autojump_clock):
    mailbox = Mailbox()
    await mailbox.put(body(b"one "))
    await mailbox.put(body(b"two"))
    assert await mailbox.receive() == body(b"one two")
    await mailbox.put(body(b"", more=False))
    assert await mailbox.receive() == body(b"", more=False)


async def test_a_request_without_body_is_one_message(autojump_clock):
    mailbox = Mailbox()
    await mailbox.put(body(b"", more=False))
    assert await mailbox.receive() == body(b"", more=False)
    with trio.move_on_after(1) as scope:
        await mailbox.receive()
    assert scope.cancelled_caught, "nothing more to tell before the client leaves"


async def test_disconnect_waits_behind_nothing_and_stays(autojump_clock):
    mailbox = Mailbox()
    await mailbox.put(body(bytes(CAPACITY)))
    await mailbox.put(DISCONNECT)
    assert await mailbox.receive() == DISCONNECT
    assert await mailbox.receive() == DISCONNECT
    assert trio.current_time() == 0


async def test_a_waiting_application_hears_of_the_disconnect(autojump_clock, nursery):
    mailbox, heard = Mailbox(), []

    async def listen():
        heard.append(await mailbox.receive())

    nursery.start_soon(listen)
    await trio.testing.wait_all_tasks_blocked()
    await mailbox.put(DISCONNECT)
    await trio.testing.wait_all_tasks_blocked()
    assert heard == [DISCONNECT]


async def test_a_writer_waits_for_room_and_goes_on_when_the_body_is_read(autojump_clock, nursery):
    mailbox = Mailbox()

    async def write():
        await mailbox.put(body(bytes(CAPACITY + 1)))
        written.set()

    written = trio.Event()
    nursery.start_soon(write)
    await trio.testing.wait_all_tasks_blocked()
    assert not written.is_set()
    assert len((await mailbox.receive())["body"]) == CAPACITY + 1
    await trio.testing.wait_all_tasks_blocked()
    assert written.is_set()


async def test_a_writer_is_released_when_the_application_is_done(autojump_clock, nursery):
    mailbox = Mailbox()
    nursery.start_soon(mailbox.put, body(bytes(CAPACITY + 1)))
    await trio.testing.wait_all_tasks_blocked()
    await mailbox.close()
    with trio.fail_after(1):
        await mailbox.put(body(bytes(CAPACITY + 1)))
    assert trio.current_time() == 0


@pytest.mark.parametrize("read", [True, False])
async def test_every_byte_is_counted_as_consumed_once_read_or_not(autojump_clock, read):
    consumed = []

    async def count(size):
        consumed.append(size)

    mailbox = Mailbox(count)
    await mailbox.put(body(b"12345"))
    if read:
        await mailbox.receive()
    await mailbox.put(body(b"678"))
    assert consumed == ([5] if read else [])
    await mailbox.close()
    await mailbox.put(body(b"9"))
    assert sum(consumed) == 9


async def test_reading_lets_others_run(autojump_clock):
    mailbox = Mailbox()
    await mailbox.close()
    with trio.testing.assert_checkpoints():
        await mailbox.receive()
