"""Who asks at the same time shares an exchange; who asks later never gets an earlier answer. No Redis here."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from storefront.store.redis_batcher import CARRIERS, LOAD, MOST_WAITING, Batcher
from storefront.store.redis_rest import PAUSE, Rest
from storefront.store.redis_scripts import Command


class Server:
    """Answers each command with its key and the moment at which it was asked."""

    def __init__(self, takes=1.0):
        self.takes = takes
        self.gone = False
        self.loads = []

    async def exchange(self, commands):
        asked_at = trio.current_time()
        self.loads.append(len(commands))
        await trio.sleep(self.takes)
        return None if self.gone else [(command.key, asked_at) for command in commands]


async def opened(nursery, server, within=60.0, patience=60.0):
    batcher = Batcher(server.exchange, within=within, patience=patience)
    nursery.start_soon(batcher.run)
    await wait_all_tasks_blocked()
    return batcher


def command(key):
    return Command(key, ("GET", key))


async def asked(batcher, names, answers, *, at=0.0):
    async def one(name):
        answers[name] = await batcher.ask(name, [command(name)])

    await trio.sleep_until(at)
    async with trio.open_nursery() as readers:
        for name in names:
            readers.start_soon(one, name)


async def test_each_gets_the_replies_to_its_own_question(nursery, autojump_clock):
    server, answers = Server(), {}
    batcher = await opened(nursery, server)

    async def pair(name):
        answers[name] = await batcher.ask(name, [command(name), command(name + "!")])

    async with trio.open_nursery() as readers:
        for number in range(200):
            readers.start_soon(pair, f"{number}")
    assert len(answers) == 200
    assert all(
        [key for key, _ in replies] == [name, name + "!"] for name, replies in answers.items()
    )


async def test_all_that_waits_goes_together_up_to_a_load(nursery, autojump_clock):
    server, answers = Server(), {}
    batcher = await opened(nursery, server)
    await asked(batcher, [f"{number}" for number in range(300)], answers)
    assert len(server.loads) <= CARRIERS + -(-300 // LOAD)
    assert max(server.loads) == LOAD
    assert None not in answers.values()


async def test_what_is_asked_again_while_it_waits_is_asked_once(nursery, autojump_clock):
    server, answers = Server(), []
    batcher = await opened(nursery, server)
    async with trio.open_nursery() as readers:
        for name in ("one", "other"):
            readers.start_soon(batcher.ask, name, [command(name)])
            await trio.sleep(0.25)
        assert len(server.loads) == CARRIERS

        async def same():
            answers.append(await batcher.ask("same", [command("same")]))

        for _ in range(50):
            readers.start_soon(same)
    assert answers == [[("same", 1.0)]] * 50
    assert sum(server.loads) == 3


async def test_what_has_left_is_not_joined(nursery, autojump_clock):
    """Its answer may be from before an event that the second reader has heard of."""
    server, early, late = Server(), {}, {}
    batcher = await opened(nursery, server)
    async with trio.open_nursery() as readers:
        readers.start_soon(asked, batcher, ["same"], early)
        await trio.sleep(0.5)
        await asked(batcher, ["same"], late)
    assert (early["same"], late["same"]) == ([("same", 0.0)], [("same", 0.5)])


async def test_a_reader_that_leaves_fails_nobody(nursery, autojump_clock):
    server, answers = Server(), {}
    batcher = await opened(nursery, server)
    async with trio.open_nursery() as readers:
        readers.start_soon(asked, batcher, ["a"], answers)
        with trio.move_on_after(0.5):
            await batcher.ask("b", [command("b")])
    assert answers == {"a": [("a", 0.0)]}


async def test_nobody_waits_longer_for_an_answer_than_is_said_and_the_exchange_goes_on(
    nursery, autojump_clock
):
    server = Server(takes=0.8)
    batcher = await opened(nursery, server, within=0.3)
    assert await batcher.ask("a", [command("a")]) is None
    assert trio.current_time() == 0.3
    await trio.sleep_until(0.81)
    assert server.loads == [1]
    server.takes = 0.2
    assert await batcher.ask("a", [command("a")]) == [("a", 0.81)]


async def test_nobody_waits_longer_for_a_carrier_than_is_said(nursery, autojump_clock):
    server, answers = Server(takes=60.0), {}
    batcher = await opened(nursery, server, within=9.0, patience=2.0)
    async with trio.open_nursery() as readers:
        for number in range(CARRIERS):
            readers.start_soon(asked, batcher, [f"{number}"], answers)
            await trio.sleep(0.25)
        assert await batcher.ask("waits", [command("waits")]) is None
        assert trio.current_time() == pytest.approx(2.5)


async def test_trouble_is_no_answer_for_all_of_a_load(nursery, autojump_clock):
    server, answers = Server(), {}
    server.gone = True
    batcher = await opened(nursery, server)
    await asked(batcher, ["a", "b"], answers)
    assert answers == {"a": None, "b": None}


async def test_more_than_can_wait_are_told_at_once(nursery, autojump_clock):
    server, answers = Server(takes=1000.0), {}
    batcher = await opened(nursery, server, patience=5.0)
    async with trio.open_nursery() as readers:
        readers.start_soon(asked, batcher, [f"{each}" for each in range(MOST_WAITING)], answers)
        await trio.sleep(0.5)
        # What the carriers took with them no longer waits.
        readers.start_soon(
            asked, batcher, [f"then {each}" for each in range(sum(server.loads))], {}
        )
        await trio.sleep(0.5)
        assert await batcher.ask("one more", [command("one more")]) is None
        assert trio.current_time() == 1.0


# --- when to leave it alone --------------------------------------------------------------------------------------------


def test_after_trouble_one_tries_when_the_pause_is_over():
    rest = Rest()
    assert rest.may_ask(0.0)
    rest.trouble(10.0)
    assert not rest.may_ask(10.0 + PAUSE - 0.001)
    assert [rest.may_ask(10.0 + PAUSE) for _ in range(3)] == [True, False, False]
    rest.trouble(11.5)
    assert not rest.may_ask(11.5 + PAUSE - 0.001)
    assert rest.may_ask(11.5 + PAUSE)
    rest.over()
    assert [rest.may_ask(12.6) for _ in range(3)] == [True, True, True]
    assert rest.begun == 1


@pytest.mark.parametrize("how", ["left", "over", "trouble"])
def test_whoever_tries_makes_way_for_the_next_however_it_ends(how):
    rest = Rest()
    rest.trouble(0.0)
    assert rest.may_ask(PAUSE)
    rest.trouble(PAUSE) if how == "trouble" else getattr(rest, how)()
    assert rest.may_ask(2 * PAUSE)
