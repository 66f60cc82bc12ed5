"""Dead letters on a real broker: looked at without a change, replayed with a clean slate, dropped."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import trio

from storefront.errors import BrokerError
from storefront.messaging.amqp import visit_broker
from storefront.messaging.amqp_dead_letters import DeadLetters
from tests.system import shopfloor as shop
from tests.system.servers.amqp_tool import WOLVERINE_DEAD_LETTERS
from tests.system.shopfloor import ALICE, QUEUE


def bury(tool, number: int, **notes) -> None:
    """A letter as the service leaves it."""
    properties = shop.wolverine_properties("Shopping.ItemAdded", shop.guid(number))
    properties["headers"] |= {
        "x-storefront-reason": "not-this-message",
        "exception-type": "not-this-message",
        "exception-message": "Object missing required field `cartId`",
        "failed-at": 1_790_000_000_123,
        "original-destination": QUEUE,
        "x-storefront-attempts": 3,
    } | notes
    tool.publish(WOLVERINE_DEAD_LETTERS, shop.numbered(ALICE, number), **properties)


@pytest.fixture
def letters(vhost):
    vhost.tool.declare_as_wolverine(QUEUE)
    for number in (1, 2, 3):
        bury(vhost.tool, number)
    return vhost


async def walk(url: str, judge, limit: int = 10):
    return await visit_broker(
        url, lambda broker: DeadLetters(broker, WOLVERINE_DEAD_LETTERS).walk(judge, limit=limit)
    )


async def test_looking_changes_nothing_and_shows_no_body(letters):
    found = await walk(letters.url, lambda _: "keep")
    assert [letter.message_id for letter, _ in found] == [shop.guid(n) for n in (1, 2, 3)]
    first, verdict = found[0]
    assert (first.type, first.reason, first.queue, verdict) == (
        "Messages.Contracts.Shopping.ItemAdded",
        "not-this-message",
        QUEUE,
        "keep",
    )
    assert first.failed_at == 1_790_000_000.123
    assert not any(ALICE in str(value) for value in (first.detail, first.reason, first.type))
    assert await trio.to_thread.run_sync(letters.tool.state, WOLVERINE_DEAD_LETTERS) is not None
    again = await walk(letters.url, lambda _: "keep")
    assert [letter for letter, _ in again] == [letter for letter, _ in found]


async def test_a_replayed_letter_goes_back_to_its_queue_with_a_clean_slate_and_its_own_id(letters):
    chosen = shop.guid(2)
    found = await walk(
        letters.url, lambda letter: "replay" if letter.message_id == chosen else "keep"
    )
    assert [verdict for _, verdict in found] == ["keep", "replay", "keep"]
    (message,) = await trio.to_thread.run_sync(lambda: letters.tool.get(QUEUE, limit=5))
    assert message.properties["message_id"] == chosen
    assert message.body == shop.numbered(ALICE, 2)
    assert "x-storefront-attempts" not in message.headers
    assert "exception-type" not in message.headers
    assert message.headers["source"] == "Shopping.Api"
    left = await walk(letters.url, lambda _: "keep")
    assert [letter.message_id for letter, _ in left] == [shop.guid(1), shop.guid(3)]


async def test_dropped_letters_are_gone_and_no_more_than_the_limit_are_touched(letters):
    assert len(await walk(letters.url, lambda _: "drop", limit=2)) == 2
    left = await walk(letters.url, lambda _: "keep")
    assert [letter.message_id for letter, _ in left] == [shop.guid(3)]


async def test_a_letter_that_does_not_say_where_it_came_from_is_kept(vhost):
    await trio.to_thread.run_sync(vhost.tool.declare_as_wolverine, QUEUE)
    await trio.to_thread.run_sync(lambda: vhost.tool.publish(WOLVERINE_DEAD_LETTERS, b"{}"))
    assert [verdict for _, verdict in await walk(vhost.url, lambda _: "replay")] == ["keep"]


async def test_a_broker_without_dead_letters_says_so(vhost):
    with pytest.raises(BrokerError):
        await walk(vhost.url, lambda _: "keep")


def run_command(url: str, *words: str):
    return subprocess.run(
        [sys.executable, "-m", "storefront", "dead-letters", *words],
        env={"PATH": os.environ["PATH"], "STOREFRONT_RABBITMQ_URL": url},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def test_an_operator_lists_replays_and_drops_from_the_command_line(letters):
    listed = run_command(letters.url, "list")
    assert listed.returncode == 0
    assert listed.stdout.count("not-this-message") == 3
    assert listed.stdout.endswith("3 dead letters\n")
    assert ALICE not in listed.stdout
    replayed = run_command(letters.url, "replay", "--id", shop.guid(2))
    assert replayed.stdout.endswith("[replay]\n1 dead letter\n")
    assert letters.tool.get(QUEUE)[0].properties["message_id"] == shop.guid(2)
    dropped = run_command(letters.url, "drop", "--reason", "not-this-message")
    assert dropped.stdout.endswith("2 dead letters\n")
    assert run_command(letters.url, "list", "--json").stdout == ""


def test_dropping_everything_has_to_be_said(letters):
    refused = run_command(letters.url, "drop")
    assert refused.returncode == 2
    assert "say which" in refused.stderr
    assert run_command(letters.url, "list").stdout.endswith("3 dead letters\n")


def test_without_a_broker_there_is_one_line(vhost):
    told = run_command(vhost.url, "list")
    assert told.returncode == 1
    assert told.stderr.startswith("Error: RabbitMQ: NOT_FOUND")
    assert "Traceback" not in told.stderr
