"""What a visitor may break, and how the Storefront of a demo leaves and comes back."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from quart_trio import QuartTrio

from storefront.demo.backstage import backstage_pages
from storefront.demo.faults import Failing
from storefront.demo.lives import AWAY, Lives
from storefront.demo.refusals import ConflictError
from storefront.demo.run import open_desks
from storefront.demo.troubles import Trouble, Troubles

CALM: dict[str, bool] = dict.fromkeys((trouble.value for trouble in Trouble), False)


class Stage:
    """The panel's other end, and what was done at it."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.desks = open_desks()
        self.troubles = Troubles(
            self.desks,
            cut=lambda: self.done.append("cut"),
            mend=lambda: self.done.append("mend"),
            restart=lambda: self.done.append("restart"),
        )
        app = QuartTrio("storefront")
        app.register_blueprint(backstage_pages(self.troubles, self.take_back))
        self.browser = app.test_client()

    def take_back(self, order_id: str) -> None:
        if order_id == "late":
            raise ConflictError("It is on its way back already")
        self.done.append(f"take back {order_id}")

    async def turn(self, name: str, *, on: bool):
        return await self.browser.put(f"/demo/troubles/{name}", json={"on": on})


@pytest.fixture
def stage():
    return Stage()


async def test_a_switch_breaks_its_service_and_no_other_and_mends_it(stage):
    for name, failing in (
        ("catalog", Failing.RESET),
        ("shopping", Failing.NOT),
        ("fulfillment", Failing.STATUS),
    ):
        answer = await stage.turn(name, on=True)
        assert await answer.get_json() == {"troubles": {**CALM, name: True}}
        broken = {service: desk.faults.current() for service, desk in stage.desks.items()}
        (fault,) = broken.pop(name)
        assert fault.failing is failing
        assert not any(broken.values())
        await stage.turn(name, on=False)
        assert not stage.desks[name].faults.current()
    assert stage.desks["shopping"].faults.current() == ()


async def test_slow_is_slower_than_any_view_waits(stage):
    await stage.turn("shopping", on=True)
    (fault,) = stage.desks["shopping"].faults.current()
    assert fault.latency > 1


async def test_the_broker_is_cut_once_and_mended_once(stage):
    for on in (True, True, False, False):
        await stage.turn("broker", on=on)
    assert stage.done == ["cut", "mend"]


async def test_a_page_that_comes_later_sees_how_the_switches_stand(stage):
    await stage.turn("broker", on=True)
    answer = await stage.browser.get("/demo/troubles")
    assert await answer.get_json() == {"troubles": {**CALM, "broker": True}}
    assert answer.headers["Cache-Control"] == "no-store"


async def test_the_buttons_do_what_they_say(stage):
    assert (await stage.browser.post("/demo/restart", json={})).status_code == 202
    assert (await stage.browser.post("/demo/returns", json={"orderId": "x"})).status_code == 202
    assert stage.done == ["restart", "take back x"]


async def test_a_return_that_cannot_be_is_refused_in_words(stage):
    answer = await stage.browser.post("/demo/returns", json={"orderId": "late"})
    assert (answer.status_code, (await answer.get_json())["detail"]) == (
        409,
        "It is on its way back already",
    )


@pytest.mark.parametrize(
    "request_",
    [("PUT", "/demo/troubles/broker"), ("POST", "/demo/restart"), ("POST", "/demo/returns")],
    ids=lambda request_: request_[1],
)
@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        # What a form of another origin could send without a preflight.
        (b'{"on":true,"orderId":"x"}', "text/plain", 415),
        (b"{", "application/json", 400),
    ],
)
async def test_nothing_is_broken_from_another_origin_or_by_nonsense(
    stage, request_, body, kind, status
):
    method, path = request_
    answer = await stage.browser.open(
        path, method=method, data=body, headers={"Content-Type": kind}
    )
    assert (answer.status_code, stage.done) == (status, [])


async def test_what_is_no_switch_is_not_found(stage):
    assert (await stage.turn("moon", on=True)).status_code == 404


async def test_a_life_ends_when_it_is_told_to_and_another_begins_after_a_moment(
    nursery, autojump_clock
):
    stop, seen = trio.Event(), []
    lives = Lives(stop)

    async def live(over: trio.Event) -> None:
        seen.append(("born", trio.current_time()))
        await over.wait()
        await trio.sleep(0.5)  # its drain
        seen.append(("gone", trio.current_time()))

    began = trio.current_time()
    nursery.start_soon(lives.run, live)
    await trio.sleep(10)
    lives.restart()
    lives.restart()
    await trio.sleep(20)
    stop.set()
    await trio.testing.wait_all_tasks_blocked()
    await trio.sleep(100)
    assert [(word, at - began) for word, at in seen] == [
        ("born", 0), ("gone", 10.5), ("born", 10.5 + AWAY), ("gone", 30.5),
    ]  # fmt: skip


async def test_who_is_asked_to_leave_while_away_does_not_come_back(nursery, autojump_clock):
    stop, births = trio.Event(), []
    lives = Lives(stop)

    async def live(over: trio.Event) -> None:
        births.append(trio.current_time())
        await over.wait()

    nursery.start_soon(lives.run, live)
    await trio.testing.wait_all_tasks_blocked()
    lives.restart()
    await trio.sleep(AWAY / 2)
    stop.set()
    await trio.sleep(100)
    assert len(births) == 1
