"""The sampler on virtual time: how often it looks, what it keeps, who watches."""

from __future__ import annotations

import json

import pytest
import trio

from storefront.dashboard.board import Alone, Heard
from storefront.dashboard.reports import Process, Report, read, written
from storefront.dashboard.sampler import MOST_WATCHERS, POINTS, Dashboard, TooManyWatchersError

ME = Process(name="me", worker=0, version="1", started_at=0.0)


class Told:
    """A board that notes when it was told what, and what it lets be heard."""

    def __init__(self) -> None:
        self.heard = Heard()
        self.times: list[float] = []
        self.lives: list[float] = []
        self.watching: list[bool] = []

    async def exchange(self, told, *, now, life, watching):
        await trio.lowlevel.checkpoint()
        report = read(told)
        assert report is not None
        assert report.at == now
        self.times.append(trio.current_time())
        self.lives.append(life)
        self.watching.append(watching)
        return self.heard


def readings(written_so_far):
    yield "storefront_streams_by_state", "", {"state": "live"}, 2
    yield "storefront_events_written_total", "", {}, written_so_far()
    yield "storefront_keys", "", {}, 99


def made(board, **more) -> Dashboard:
    return Dashboard(
        ME,
        lambda: readings(lambda: 10 * trio.current_time()),
        board,
        clock=trio.current_time,
        **more,
    )


def points(dashboard: Dashboard) -> list[dict]:
    return json.loads(dashboard.history())


async def test_it_looks_every_five_seconds_and_every_second_while_somebody_watches(
    nursery, autojump_clock
):
    board = Told()
    dashboard = made(board)
    nursery.start_soon(dashboard.run, trio.Event())
    await trio.sleep(12.5)
    with dashboard.watching():
        await trio.sleep(2.9)
    await trio.sleep(10)
    assert board.times == [0, 5, 10, 12.5, 13.5, 14.5, 19.5, 24.5]
    assert min(board.lives) > 5, "nobody is gone between two looks"
    assert board.watching == [False] * 3 + [True] * 3 + [False] * 2


async def test_whoever_opens_and_closes_it_all_the_time_makes_it_look_no_oftener(
    nursery, autojump_clock
):
    board = Told()
    dashboard = made(board)
    nursery.start_soon(dashboard.run, trio.Event())
    for _ in range(100):
        await trio.sleep(0.05)
        with dashboard.watching():
            await trio.sleep(0.05)
    assert all(
        later - earlier >= 1 for earlier, later in zip(board.times, board.times[1:], strict=False)
    )


async def test_it_hurries_while_somebody_watches_in_another_process(nursery, autojump_clock):
    board = Told()
    board.heard = Heard(watched=True)
    nursery.start_soon(made(board).run, trio.Event())
    await trio.sleep(3.5)
    assert board.times == [0, 1, 2, 3]


async def test_rates_are_per_second_however_long_it_was_and_only_what_is_shown_is_told(
    nursery, autojump_clock
):
    dashboard = made(Alone())
    nursery.start_soon(dashboard.run, trio.Event())
    await trio.sleep(6)
    first, second = points(dashboard)
    assert (first["eventsOut"], second["eventsOut"]) == (0, 10)
    assert second["live"] == 2
    assert b"keys" not in dashboard.newest


async def test_a_quarter_of_an_hour_is_kept_and_no_more(nursery, autojump_clock):
    dashboard = made(Alone())
    nursery.start_soon(dashboard.run, trio.Event())
    with dashboard.watching():
        await trio.sleep(2 * POINTS)
    kept = points(dashboard)
    assert len(kept) == POINTS
    assert kept[-1]["at"] - kept[0]["at"] == POINTS - 1


async def test_what_others_told_is_added_and_a_board_that_is_away_is_told(nursery, autojump_clock):
    board = Told()
    other = Report(process=Process(name="other", worker=2, version="1", started_at=0.0), at=0.0,
                   values={"storefront_streams_by_state|live": 5.0}, counts={})  # fmt: skip
    board.heard = Heard([written(other), b"nonsense"])
    dashboard = made(board)
    nursery.start_soon(dashboard.run, trio.Event())
    await trio.sleep(1)
    shown = json.loads(dashboard.newest)
    assert shown["point"]["live"] == 7
    assert [process["name"] for process in shown["processes"]] == ["me", "other"]
    assert not shown["alone"]
    board.heard = Heard(away=True)
    await trio.sleep(5)
    assert json.loads(dashboard.newest)["alone"]


async def test_watchers_are_bounded_and_hear_of_the_end(nursery, autojump_clock):
    dashboard, stopping = made(Alone()), trio.Event()
    nursery.start_soon(dashboard.run, stopping)
    open_now = [dashboard.watching() for _ in range(MOST_WATCHERS)]
    for each in open_now:
        each.__enter__()
    with pytest.raises(TooManyWatchersError), dashboard.watching():
        pass
    open_now.pop().__exit__(None, None, None)
    with dashboard.watching():
        await trio.sleep(0.5)
        changed = dashboard.changed
        stopping.set()
        await changed.wait()
        assert dashboard.closed
    for each in open_now:
        each.__exit__(None, None, None)
