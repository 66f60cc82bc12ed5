"""What is counted of what streams write: each live event once, when the socket has it, and how late."""

from __future__ import annotations

import trio

from storefront.domain.events import occurred_at
from storefront.realtime.recent import Recent
from storefront.realtime.watch import StreamWatch
from storefront.store.contract import Recording
from tests.realtime.rooms import ALICE, Log, at, open_room


async def say(log: Log, number: int, occurred: float = 0.0) -> None:
    moment = f"1970-01-01T00:{int(occurred) // 60:02}:{int(occurred) % 60:02}+00:00"
    payload = f'{{"eventType":"cart-updated","occurredAt":"{moment}"}}'.encode()
    recordings = [
        Recording(message_id=f"m{next(log.serial)}", customer=ALICE, payload=payload)
        for _ in range(number)
    ]
    await log.record(recordings, now=trio.current_time())


async def test_a_live_event_is_as_late_as_the_socket_took_it_and_counted_once_for_each_stream(
    autojump_clock,
):
    log, watch = Log(), StreamWatch(trio.current_time)
    async with open_room(log, Recent(window=300.0)) as room:
        room.hub.watch = watch
        async with room.browser() as one, room.browser() as other:
            await one.read()
            await other.read()
            await trio.sleep(100)
            await say(log, 3, occurred=90)
            # Written, and not taken yet: the socket has it once more is asked for.
            await anext(one.body)
            assert sum(watch.from_record.counts) == 0
            await trio.sleep(4)
            one.body._transcript.taken()
            assert sum(watch.from_record.counts) == 3
            assert watch.from_record.sum == 3 * (trio.current_time() - 102)
            assert watch.from_occurrence.sum == 3 * (trio.current_time() - 90)
            await other.read()
            assert sum(watch.from_record.counts) == 6
            assert watch.written == 6


async def test_what_is_replayed_is_written_and_not_late(autojump_clock):
    log, watch = Log(), StreamWatch(trio.current_time)
    async with open_room(log, Recent(window=300.0)) as room:
        room.hub.watch = watch
        await say(log, 4)
        async with room.browser(await at(room, 1)) as browser:
            await browser.read()
            assert browser.numbers == [2, 3, 4]
        assert watch.written == 3
        assert sum(watch.from_record.counts) == 0
        assert watch.opened == {"resumed": 1}


async def test_states_and_verdicts_are_counted(autojump_clock):
    log, watch = Log(), StreamWatch(trio.current_time)
    async with open_room(log, Recent(window=300.0)) as room:
        room.hub.watch = watch
        async with (
            room.browser() as fresh,
            room.browser(await at(room, 99)) as lost,
            room.browser() as opening,
        ):
            await fresh.read()
            await lost.read()
            lost.stream.fall_behind()
            await watch.count_states(room.hub.streams())
            assert watch.states == {"opening": 1, "live": 1, "catching-up": 1, "leaving": 0}
            opening.stream.end("shutdown")
            await watch.count_states(room.hub.streams())
            assert watch.states["leaving"] == 1
        assert watch.opened == {"fresh": 1, "reset": 1}
        await watch.count_states(room.hub.streams())
        assert sum(watch.states.values()) == 0


def test_when_an_event_occurred_is_its_senders_word_and_not_a_customers():
    assert (
        occurred_at(
            b'{"eventType":"x","details":"\\"occurredAt\\":\\"1970-01-01T00:00:07Z\\"","occurredAt":"1970-01-01T00:01:40.1234567+00:00"}'
        )
        == 100.123456
    )
    for said in (
        b"{}",
        b'{"occurredAt":"yesterday"}',
        b'{"occurredAt":"1970-01-01T00:00:00"}',
        b'{"occurredAt":"197',
    ):
        assert occurred_at(said) is None
