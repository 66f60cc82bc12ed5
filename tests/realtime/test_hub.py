"""Routing by customer, and what each bound does when it is reached."""

from __future__ import annotations

import inspect

import pytest
import trio

from storefront.domain.ids import CustomerId
from storefront.domain.positions import Position
from storefront.realtime import stream as streams
from storefront.realtime.hub import Hub, HubClosedError, HubFullError
from storefront.realtime.recent import Recent
from storefront.realtime.stream import Parcel, Stream
from storefront.store.contract import Entry

ALICE = CustomerId("11111111-1111-1111-1111-111111111111")
BOB = CustomerId("22222222-2222-2222-2222-222222222222")


def hub(**changes) -> Hub:
    return Hub(
        **(
            {"max_streams": 10, "max_per_customer": 3, "superseded_pause": lambda: 60.0}
            | {"recent": Recent(window=300.0)}
            | changes
        )
    )


def open_stream(customer: CustomerId = ALICE, **changes) -> Stream:
    return Stream(customer, **({"now": 0.0, "every": 30.0} | changes))


def entry(seq: int, customer: CustomerId = ALICE, size: int = 10) -> Entry:
    payload = b'{"eventType":"cart-updated","x":"' + b"x" * size + b'"}'
    return Entry(customer=customer, position=Position("e", seq), payload=payload, recorded_at=0.0)


def waiting(stream: Stream) -> list[Parcel]:
    found = []
    while (parcel := stream.take()) is not None:
        found.append(parcel)
    return found


def test_entries_of_two_customers_side_by_side_in_one_batch_reach_their_own_streams_in_order():
    shop, alice, also_alice, bob = hub(), open_stream(), open_stream(), open_stream(BOB)
    for stream in (alice, also_alice, bob):
        shop.join(stream)
    shop.publish([entry(1), entry(1, BOB), entry(2), entry(3), entry(2, BOB)])
    assert [p.position.seq for p in waiting(alice)] == [1, 2, 3]
    assert [p.position.seq for p in waiting(also_alice)] == [1, 2, 3]
    assert [p.position.seq for p in waiting(bob)] == [1, 2]


def test_a_frame_is_encoded_once_for_all_streams_of_a_customer():
    shop, one, two = hub(), open_stream(), open_stream()
    shop.join(one)
    shop.join(two)
    shop.publish([entry(1)])
    assert waiting(one)[0] is waiting(two)[0]


def test_there_is_no_way_to_reach_everybody():
    verbs = {
        name for name, _ in inspect.getmembers(Hub, inspect.isfunction) if not name.startswith("_")
    }
    told = {"streams", "streams_of", "statistics"}
    assert verbs == {"join", "leave", "close", "publish", "lost", *told}
    assert inspect.signature(Entry).parameters["customer"].default is inspect.Parameter.empty


def test_a_full_channel_by_count_marks_the_stream_as_behind_and_keeps_what_it_has():
    stream = open_stream()
    for seq in range(1, streams.CHANNEL_PARCELS + 10):
        stream.offer(Parcel.of(entry(seq)))
    assert stream.behind
    assert len(waiting(stream)) == streams.CHANNEL_PARCELS


def test_a_full_channel_by_bytes_marks_the_stream_as_behind():
    stream = open_stream()
    for seq in range(1, 100):
        stream.offer(Parcel.of(entry(seq, size=10_000)))
    assert stream.behind
    assert sum(len(p.frame) for p in waiting(stream)) <= streams.CHANNEL_BYTES


def test_one_event_larger_than_the_bound_still_goes_through_an_empty_channel():
    stream = open_stream()
    stream.offer(Parcel.of(entry(1, size=2 * streams.CHANNEL_BYTES)))
    assert not stream.behind
    assert len(waiting(stream)) == 1


def test_a_stream_that_was_emptied_takes_events_again():
    stream = open_stream()
    for seq in range(1, 500):
        stream.offer(Parcel.of(entry(seq)))
    stream.start_catching_up()
    assert not stream.behind
    stream.offer(Parcel.of(entry(500)))
    assert [p.position.seq for p in waiting(stream)] == [500]


async def test_a_stream_that_waits_is_woken_when_it_may_have_missed_something():
    shop, stream = hub(), open_stream()
    shop.join(stream)
    async with trio.open_nursery() as nursery:

        async def read() -> None:
            parcel = await stream.wait()
            assert parcel is not None
            assert parcel.frame == b""

        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        shop.lost()
    assert stream.behind


def test_the_oldest_living_stream_makes_room_for_a_newer_one():
    shop = hub()
    mine = [open_stream() for _ in range(5)]
    for stream in mine:
        shop.join(stream)
    assert [stream.ended for stream in mine] == ["superseded", "superseded", None, None, None]
    assert b"retry: 60000\n\nevent: superseded\n" in mine[0].farewell


def test_streams_that_are_still_saying_farewell_count_against_the_bound_of_the_process():
    shop = hub(max_streams=4)
    for _ in range(4):
        shop.join(open_stream())
    with pytest.raises(HubFullError):
        shop.join(open_stream())
    assert shop.statistics().refused == 1
    assert shop.statistics().streams == 4


def test_a_closed_hub_takes_nobody_and_keeps_who_is_there():
    shop, stream = hub(), open_stream()
    shop.join(stream)
    shop.close()
    with pytest.raises(HubClosedError):
        shop.join(open_stream(BOB))
    shop.publish([entry(1)])
    assert len(waiting(stream)) == 1


def test_the_first_reason_for_an_end_stands_and_is_counted_once():
    shop, stream = hub(), open_stream()
    shop.join(stream)
    stream.end("expired", b"bye")
    stream.end("slow")
    shop.leave(stream)
    assert stream.farewell == b"bye"
    assert shop.statistics().ended == {"expired": 1}
    assert shop.statistics().streams == 0
    assert shop.statistics().customers == 0


def test_an_ended_stream_takes_nothing_more():
    stream = open_stream()
    stream.end("shutdown")
    stream.offer(Parcel.of(entry(1)))
    stream.tell(b"x")
    stream.fall_behind()
    assert waiting(stream) == []
    assert stream.take_told() == b""
    assert not stream.behind
