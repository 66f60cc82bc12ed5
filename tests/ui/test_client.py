"""The browser client in Chromium, on a stream that says what the test wants and a clock that stands still."""

from __future__ import annotations

import re

import pytest

from tests.ui.conftest import SHOP, UI

pytestmark = pytest.mark.system

VIEWS = ["/cart", "/orders"]
FRESH = ["reset", "fresh", VIEWS]
GAP = ["reset", "gap", VIEWS]


@pytest.fixture
def alone(tab):
    """A tab that shares its stream with nobody, just opened."""
    tab.open(shared=False, views=VIEWS)
    assert tab.take() == [["state", "connecting", ""]]
    return tab


def live(tab, position: str = "e-0", mode: str = "fresh", **more) -> None:
    tab.live(position, mode, **more)
    tab.take()


# What is delivered


def test_events_are_delivered_once_and_in_order_after_the_views_were_asked_for(alone):
    alone.live("e-4")
    alone.bring(5, 6, 6, 5, 7)
    assert alone.take() == [
        ["state", "live", ""], FRESH, ["event", 5], ["event", 6], ["event", 7],
    ]  # fmt: skip
    assert alone.ask("client.position") == "e-7"


def test_a_number_that_is_missing_has_the_views_asked_for_before_the_event_is_shown(alone):
    live(alone)
    alone.bring(1, 3, 4)
    assert alone.take() == [["event", 1], GAP, ["event", 3], ["event", 4]]


def test_a_numbering_that_starts_anew_is_a_gap(alone):
    live(alone, "e-7")
    alone.bring(1, epoch="f")
    assert alone.take() == [GAP, ["event", 1]]


@pytest.mark.parametrize(
    ("mode", "position", "replayed", "told"),
    [
        ("resumed", "e-7", 0, []),
        ("resumed", "e-9", 2, []),
        # A replay that begins beyond what was shown, for what reason ever.
        ("resumed", "e-9", 1, [GAP]),
        ("resumed", "f-7", 0, [GAP]),
        ("reset", "e-7", None, [["reset", "reset", VIEWS]]),
        ("reset", "f-0", None, [["reset", "reset", VIEWS]]),
    ],
)
def test_what_a_stream_that_came_back_cannot_promise_is_asked_for(
    alone, mode, position, replayed, told
):
    live(alone, "e-7")
    alone.fail()
    alone.take()
    alone.live(position, mode, **({} if replayed is None else {"replayed": replayed}))
    assert alone.take() == [["state", "live", ""], *told]


def test_a_view_that_was_rendered_with_its_position_is_not_asked_for_again(tab):
    tab.open(shared=False, views=VIEWS, lastEventId="e-5")
    assert tab.query == {"pings": "1", "lastEventId": "e-5"}
    tab.live("e-6", "resumed", replayed=1)
    tab.bring(6)
    assert tab.take()[1:] == [["state", "live", ""], ["event", 6]]


# Connections that end, are refused, or die


def test_a_connection_without_a_beat_is_noticed_after_two_of_them_and_made_anew_where_it_stood(
    alone,
):
    live(alone)
    alone.bring(1)
    alone.say("ping", {"everySeconds": 30.0})
    alone.run_for(29)
    alone.say("ping", {"everySeconds": 30.0})
    alone.take()
    alone.run_for(64.999)
    assert (alone.take(), alone.open_streams) == ([], 1)
    alone.run_for(0.001)
    assert alone.take() == [["state", "waiting", "silent"]]
    assert alone.open_streams == 0
    alone.run_for(0.499)
    assert alone.streams == 1
    alone.run_for(0.001)
    assert (alone.streams, alone.query) == (2, {"pings": "1", "lastEventId": "e-1"})
    # Credentials were not the reason, and to ask for them would take a network.
    assert alone.take() == []


def test_events_are_as_good_as_beats(alone):
    live(alone)
    alone.say("ping", {"everySeconds": 1.0})
    for number in range(1, 11):
        alone.run_for(2.9)
        alone.bring(number)
    assert alone.open_streams == 1
    alone.run_for(3)
    assert alone.open_streams == 0


def test_a_server_that_does_not_beat_is_not_missed(alone):
    live(alone)
    alone.run_for(600)
    assert (alone.take(), alone.open_streams) == ([], 1)


def test_a_connection_that_never_opens_is_given_up_after_15_s(alone):
    alone.run_for(14.999)
    assert alone.open_streams == 1
    alone.run_for(0.001)
    assert (alone.open_streams, alone.take()) == (0, [["state", "waiting", "silent"]])


def test_a_refused_stream_is_tried_again_with_full_jitter_and_new_credentials(alone):
    live(alone, "e-3")
    for pause in (0.5, 1, 2, 4, 8, 15, 15):  # half of 1, 2, 4, ... 30 s, for chance says a half
        alone.fail(dead=True)
        made = alone.streams
        alone.take()
        alone.run_for(pause - 0.001)
        assert alone.streams == made
        alone.run_for(0.001)
        assert alone.streams == made + 1
        assert ["sign in"] in alone.take()
        assert alone.query["lastEventId"] == "e-3"
    live(alone, "e-3", "resumed", replayed=0)
    alone.fail(dead=True)
    alone.run_for(0.5)
    assert alone.streams == 9


def test_chance_may_choose_any_pause_up_to_the_longest(alone):
    alone.ask("window.chance = 0")
    alone.fail(dead=True)
    alone.run_for(0)
    assert alone.streams == 2


@pytest.mark.parametrize(
    ("frame", "reason", "patience"),
    [(None, "lost", 12), ("shutdown", "shutdown", 12), ("busy", "busy", 25), ("superseded", "superseded", 90)],
)  # fmt: skip
def test_the_browser_is_left_to_come_back_when_it_was_told_to_and_then_it_is_called_offline(
    alone, frame, reason, patience
):
    live(alone)
    if frame:
        alone.say(frame)
    alone.fail()
    assert alone.take() == [["state", "waiting", reason]]
    alone.run_for(patience - 0.001)
    assert alone.take() == []
    alone.run_for(0.001)
    assert alone.take() == [["state", "offline", reason]]
    # The way back may be dead as well.
    alone.run_for(14.999)
    assert alone.streams == 1
    alone.run_for(0.501)
    assert alone.streams == 2
    alone.live("e-0", "resumed", replayed=0)
    assert alone.take()[-1] == ["state", "live", ""]


def test_a_token_is_renewed_before_it_expires_and_the_stream_is_left_alone(alone):
    live(alone)
    alone.say("token-expiring", {"expiresInSeconds": 12.0})
    assert (alone.take(), alone.open_streams) == ([["sign in"]], 1)
    alone.say("token-expired")
    alone.fail()
    assert alone.take() == [["sign in"], ["state", "waiting", "lost"]]
    assert alone.open_streams == 1


def test_a_stream_that_asks_for_credentials_is_made_anew_with_them_within_a_second(alone):
    live(alone)
    alone.say("reauthenticate")
    assert alone.take() == [["state", "waiting", "reauthenticate"]]
    alone.run_for(0.5)
    assert (alone.take(), alone.streams) == ([["sign in"]], 2)
    # Not for ever at that pace, if they are of no use.
    alone.say("reauthenticate")
    alone.run_for(0.999)
    assert alone.streams == 2


def test_every_stream_has_a_ticket_of_its_own(tab):
    tab.open(shared=False, tickets=True)
    tab.settle()
    assert tab.query == {"pings": "1", "ticket": "t0"}
    tab.live()
    tab.say("reauthenticate")
    tab.run_for(0.5)
    assert tab.query == {"pings": "1", "ticket": "t1", "lastEventId": "e-0"}


def test_without_a_network_it_is_offline_and_with_one_it_is_back_at_once(alone):
    live(alone)
    alone.page.context.set_offline(True)
    assert alone.take() == [["state", "offline", "network"]]
    alone.run_for(40)
    alone.take()
    alone.page.context.set_offline(False)
    made = alone.streams
    alone.run_for(0.5)
    assert alone.streams == made + 1
    alone.live("e-0", "resumed", replayed=0)
    assert alone.take()[-1] == ["state", "live", ""]


def test_a_client_that_was_closed_does_nothing_any_more(alone):
    live(alone)
    alone.say("ping", {"everySeconds": 1.0})
    alone.ask("client.close()")
    alone.run_for(100)
    assert (alone.take(), alone.open_streams, alone.streams) == ([["state", "closed", ""]], 0, 1)


# One stream for all tabs


def open_tabs(browser, number: int, *scripts: str, position: str = "e-0"):
    """Tabs of which the first leads, once all know where the stream stands."""
    tabs = [browser.tab(*scripts).open(views=VIEWS)]
    tabs[0].page.wait_for_function("sources.length === 1")
    tabs[0].live(position)
    for _ in range(1, number):
        tabs.append(browser.tab(*scripts).open(views=VIEWS))
        tabs[-1].page.wait_for_function("client.state === 'live'")
    for each in tabs:
        each.take()
    return tabs


def heard(tab, amount: int) -> list[list]:
    """What was told, once it is so much."""
    tab.page.wait_for_function("(amount) => diary.length >= amount", arg=amount)
    return tab.take()


def test_tabs_share_one_stream_and_hear_the_same(browser):
    tabs = open_tabs(browser, 3)
    tabs[0].bring(1, 2)
    assert [heard(tab, 2) for tab in tabs] == [[["event", 1], ["event", 2]]] * 3
    assert [tab.streams for tab in tabs] == [1, 0, 0]
    tabs[0].fail()
    assert [heard(tab, 1) for tab in tabs] == [[["state", "waiting", "lost"]]] * 3
    tabs[0].live("f-0", "reset")
    assert [heard(tab, 2)[1] for tab in tabs] == [["reset", "reset", VIEWS]] * 3
    assert [tab.ask("client.position") for tab in tabs] == ["f-0"] * 3


def test_a_tab_that_comes_later_is_told_where_the_stream_stands_and_asks_for_its_views(browser):
    (first,) = open_tabs(browser, 1)
    first.bring(1, 2, 3)
    later = browser.tab().open(views=VIEWS)
    assert heard(later, 3) == [["state", "connecting", ""], ["state", "live", ""], FRESH]
    assert later.ask("client.position") == "e-3"


def test_a_tab_whose_view_is_older_than_the_stream_asks_for_it_again(browser):
    (first,) = open_tabs(browser, 1)
    first.bring(1, 2, 3)
    up_to_date = browser.tab().open(views=VIEWS, lastEventId="e-3")
    older = browser.tab().open(views=VIEWS, lastEventId="e-2")
    assert heard(older, 3)[2:] == [GAP]
    assert heard(up_to_date, 2) == [["state", "connecting", ""], ["state", "live", ""]]


# Chromium itself freezes no tab that is looked at; these are its words to one that it does freeze.
FREEZE = (
    "document.dispatchEvent(new Event('freeze'))",
    "document.dispatchEvent(new Event('resume'))",
)
KEEP = (
    "window.dispatchEvent(new PageTransitionEvent('pagehide', {persisted: true}))",
    "window.dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))",
)


@pytest.mark.parametrize(
    "leaving", [None, FREEZE, KEEP], ids=["closed", "frozen", "kept for later"]
)
def test_another_tab_leads_when_the_leader_leaves_and_goes_on_where_it_stands(browser, leaving):
    first, second, third = open_tabs(browser, 3)
    first.bring(1)
    heard(second, 1), heard(third, 1)
    if leaving is None:
        first.page.close()
    else:
        first.ask(leaving[0])
        assert first.open_streams == 0
    second.page.wait_for_function("sources.length === 1")
    assert second.query == {"pings": "1", "lastEventId": "e-1"}
    second.live("e-2", "resumed", replayed=1)
    second.bring(2)
    expected = [["state", "waiting", "lost"], ["state", "live", ""], ["event", 2]]
    assert [heard(tab, 3) for tab in (second, third)] == [expected] * 2
    assert third.streams == 0
    if leaving is not None:
        first.ask(leaving[1])
        first.page.wait_for_function("client.state === 'live' && client.position === 'e-2'")
        assert (first.streams, first.ask("client.leading")) == (1, False)


def test_a_leader_that_no_longer_answers_is_deposed_and_steps_down(browser):
    first, second = open_tabs(browser, 2)
    first.ask("BroadcastChannel.prototype.postMessage = () => {}")
    second.ask("document.dispatchEvent(new Event('visibilitychange'))")
    second.run_for(2.999)
    assert second.streams == 0
    second.run_for(0.001)
    second.page.wait_for_function("sources.length === 1")
    first.page.wait_for_function("!client.leading")
    assert (first.open_streams, second.query["lastEventId"]) == (0, "e-0")


def test_a_quiet_leader_is_asked_whether_it_is_there_and_keeps_its_place(browser):
    first, second = open_tabs(browser, 2)
    for _ in range(10):
        second.run_for(45)
        second.settle()
        first.settle()
    assert (second.streams, first.open_streams) == (0, 1)


@pytest.mark.parametrize(
    "missing",
    ["Object.defineProperty(navigator, 'locks', {value: undefined})", "delete window.BroadcastChannel"],
    ids=["Web Locks", "BroadcastChannel"],
)  # fmt: skip
def test_without_what_sharing_takes_every_tab_has_its_own_stream(browser, missing):
    tabs = [browser.tab(missing).open() for _ in range(2)]
    assert [tab.streams for tab in tabs] == [1, 1]


def test_two_customers_in_one_browser_share_nothing(browser):
    (first,) = open_tabs(browser, 1)
    other = browser.tab().open(name="bob")
    other.page.wait_for_function("sources.length === 1")
    first.bring(1)
    assert other.take() == [["state", "connecting", ""]]


# Beside the stream

CART = {"eventType": "cart-updated", "cartId": "c"}


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("2026-02-17T21:58:44+00:00", "2026-02-17T21:58:44.1+00:00"),
        ("2026-02-17T21:58:44.1234567+00:00", "2026-02-17T21:58:44.1234568+00:00"),
        ("2026-02-17T21:58:44.9+00:00", "2026-02-17T21:58:45Z"),
        ("2026-02-17T22:58:44+01:00", "2026-02-17T21:58:44.0000001+00:00"),
    ],
)
def test_an_older_event_of_the_same_thing_is_known_by_its_moment(tab, earlier, later):
    tab.open(shared=False)

    def newest(moment: str, **thing: str) -> object:
        return tab.page.evaluate("(e) => client.newest(e)", CART | thing | {"occurredAt": moment})

    assert newest(later)
    assert not newest(earlier)
    assert newest(later), "of equals the one that comes later counts"
    assert newest(earlier, cartId="another")
    # An order's parcel is another matter than the order.
    for kind, own in (("order-status-changed", {}), ("shipment-status-changed", {"shipmentId": "s"})):  # fmt: skip
        assert newest(earlier, eventType=kind, orderId="o", **own)


def test_what_is_remembered_for_that_is_bounded(tab):
    tab.open(shared=False)
    told = tab.ask("""() => {
      const cart = (n, second) => client.newest({eventType: "cart-updated", cartId: n, occurredAt: `2026-02-17T21:58:0${second}Z`});
      for (let n = 0; n < 1000; n += 1) cart(n, 5);
      const known = cart(0, 4);
      cart(1000, 5);  // one too many: the one heard of longest ago is number 0
      return [known, cart(0, 4), cart(2, 4)];
    }""")
    assert told == [False, True, False]


TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    ("traceparent", "sent"), [(TRACE, TRACE), (None, None), ("00-what\r\nX-Evil: 1", None)]
)
def test_a_view_is_fetched_in_the_trace_of_its_event(browser, tab, traceparent, sent):
    tab.open(shared=False)
    event = {} if traceparent is None else {"traceparent": traceparent}
    path = tab.page.evaluate(
        f"async (event) => (await (await client.fetchView('{SHOP}/view', event, {{headers: {{a: 'b'}}}})).json()).path", event
    )  # fmt: skip
    assert path == "/view"
    assert (browser.asked[-1].get("traceparent"), browser.asked[-1]["a"]) == (sent, "b")


def members(source: str, name: str) -> set[str]:
    """The public names of a class, by its text."""
    body = re.split(rf"class {name}\b[^{{]*{{", source)[1].split("\n}")[0]
    found = re.findall(r"^  (?:readonly |get |async )?(\w+)[(:]", body, re.MULTILINE)
    return set(found)


def test_the_types_declare_what_the_module_has_and_nothing_else():
    script = (UI / "storefront-client.js").read_text()
    types = (UI / "storefront-client.d.ts").read_text()
    exported = re.findall(r"^export class (\w+)", script, re.MULTILINE)
    assert re.findall(r"^export declare class (\w+)", types, re.MULTILINE) == exported
    assert len(exported) == len(re.findall(r"^export ", script, re.MULTILINE))
    for name in exported:
        assert members(script, name) == members(types, name)
    # Whatever the module asks of its options is declared, and the other way round.
    asked = set(re.findall(r"#options\.(\w+)", script)) | set(re.findall(r"options\.(\w+) \?\?", script))  # fmt: skip
    declared = types.split("interface ClientOptions {")[1].split("\n}")[0]
    assert asked == set(re.findall(r"^  (\w+)\??[(:]", declared, re.MULTILINE))


def test_it_depends_on_nothing_and_is_short_enough_to_be_read():
    script = (UI / "storefront-client.js").read_text()
    assert not re.search(r"^import |\bimport\(\"(?!\./storefront-client)", script, re.MULTILINE)
    assert len(script.splitlines()) <= 400
