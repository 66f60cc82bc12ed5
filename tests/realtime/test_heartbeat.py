from __future__ import annotations

import trio

from storefront.domain.ids import CustomerId
from storefront.realtime.heartbeat import SLICE, Heartbeat
from storefront.realtime.stream import Stream

ALICE = CustomerId("11111111-1111-1111-1111-111111111111")


def open_stream(**changes) -> Stream:
    return Stream(ALICE, **({"now": trio.current_time(), "every": 30.0} | changes))


async def test_thousands_due_at_once_go_out_in_slices_between_which_others_get_a_turn(
    nursery, autojump_clock
):
    heartbeat, streams, turns = Heartbeat(), [], 0

    async def somebody_else() -> None:
        nonlocal turns
        await trio.sleep(30)
        while any(stream.take() is None for stream in streams[-1:]):
            turns += 1
            await trio.lowlevel.checkpoint()

    for _ in range(5000):
        streams.append(open_stream())
        heartbeat.add(streams[-1], trio.current_time())
    nursery.start_soon(heartbeat.run)
    with trio.fail_after(31):
        await somebody_else()
    assert turns >= 5000 // SLICE // 2
    assert trio.current_time() == 30
    nursery.cancel_scope.cancel()


async def test_a_stream_that_expires_before_all_others_wakes_the_wheel_in_time(
    nursery, autojump_clock
):
    heartbeat = Heartbeat()
    nursery.start_soon(heartbeat.run)
    heartbeat.add(open_stream(), 0)
    await trio.sleep(1)
    brief = open_stream(expires_at=3.5)
    heartbeat.add(brief, trio.current_time())
    while await brief.wait() is not None:
        pass
    assert trio.current_time() == 3.5
    assert brief.ended == "expired"
    nursery.cancel_scope.cancel()


async def test_a_stream_whose_token_has_expired_already_ends_at_once(autojump_clock):
    stream = open_stream(expires_at=-1.0)
    Heartbeat().add(stream, 0)
    assert stream.ended == "expired"


async def test_a_stream_with_much_waiting_is_not_pinged(nursery, autojump_clock):
    from storefront.domain.positions import Position
    from storefront.realtime.stream import Parcel

    heartbeat, stream = Heartbeat(), open_stream()
    nursery.start_soon(heartbeat.run)
    heartbeat.add(stream, 0)
    for seq in range(200):
        stream.offer(Parcel(b"x", Position("e", seq)))
    await trio.sleep(31)
    frames = []
    while (parcel := stream.take()) is not None:
        frames.append(parcel.frame)
    assert b":ping\n\n" not in frames
    nursery.cancel_scope.cancel()


async def test_an_ended_stream_is_let_go_within_one_period(nursery, autojump_clock):
    import gc
    import weakref

    heartbeat, stream = Heartbeat(), open_stream()
    nursery.start_soon(heartbeat.run)
    heartbeat.add(stream, 0)
    stream.end("disconnected")
    gone = weakref.ref(stream)
    del stream
    await trio.sleep(30.1)
    gc.collect()
    assert gone() is None
    nursery.cancel_scope.cancel()


async def test_streams_that_come_and_go_leave_nothing_behind_and_those_who_stay_keep_their_beat(
    nursery, autojump_clock
):
    heartbeat, staying = Heartbeat(), [open_stream() for _ in range(20)]
    nursery.start_soon(heartbeat.run)
    for stream in staying:
        heartbeat.add(stream, trio.current_time())
    for _ in range(10_000):
        brief = open_stream()
        heartbeat.add(brief, trio.current_time())
        brief.end("disconnected")
        heartbeat.remove_one()
        assert len(heartbeat._wheel) <= 2 * len(staying) + SLICE + 1
    await trio.sleep(30.1)
    assert [stream.take().frame for stream in staying] == [b":ping\n\n"] * len(staying)
    nursery.cancel_scope.cancel()
