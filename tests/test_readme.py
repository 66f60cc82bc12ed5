"""README.md against the code it explains: what can be looked up is looked up.

Tables are compared as wholes, so that a new setting, frame or room without its row fails as a row without its thing does.
"""

from __future__ import annotations

import re
import shlex
import typing
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import msgspec
import pytest

from storefront import process
from storefront.__main__ import cli
from storefront.consumers import queues
from storefront.domain.events import StorefrontEvent
from storefront.messaging.broker import DELAYS
from storefront.queries.cache_counts import CacheCounts
from storefront.realtime import frames
from storefront.serving.watch import ServingStatistics
from storefront.settings import PREFIX, Settings, describe, from_environment
from storefront.store.redis_counts import Counts
from storefront.store.redis_shelf import ShelfCounts

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")

NAMED_IN_BACKTICKS = re.compile(r"`([^`]+)`")


def section(title: str) -> str:
    """What stands under a heading, as far as the next one that is as high."""
    head = re.search(rf"^(#+) {re.escape(title)}$", README, re.MULTILINE)
    assert head is not None, title
    rest = README[head.end() :]
    following = re.search(rf"^#{{1,{len(head[1])}}} ", rest, re.MULTILINE)
    return rest[: following.start()] if following else rest


def table(title: str, head: str) -> list[list[str]]:
    """The rows of the table below a heading whose first column is `head`; the text of a cell, without its backticks
    where it is all code.
    """
    found: list[list[str]] = []
    inside = False
    for line in section(title).splitlines():
        cells = [re.sub(r"^`([^`]*)`$", r"\1", cell.strip()) for cell in line.strip("|").split("|")]
        if line.startswith("|---"):
            continue
        if inside and line.startswith("|"):
            found.append(cells)
        else:
            inside = line.startswith("|") and cells[0] == head
    assert found, (title, head)
    return found


def blocks(text: str, language: str = "") -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands() -> Iterator[list[str]]:
    """Every command line that is shown, as words: of shell blocks, indented lines, and text in backticks."""
    shown = [line for block in blocks(README, "sh") for line in block.splitlines()]
    shown += re.findall(
        r"^ {4}(\S.*)$",
        re.sub(r"^```.*?^```$", "", README, flags=re.MULTILINE | re.DOTALL),
        re.MULTILINE,
    )
    shown += [text for text in NAMED_IN_BACKTICKS.findall(README) if " " in text]
    for line in shown:
        # What is substituted is a command too.
        for part in re.split(r"\$\(|\)|\|", line):
            if part.strip():
                yield part.replace("'", "").replace('"', "").split()


def of_program(name: str) -> list[list[str]]:
    """What follows a program's name, wherever it is called; through compose too."""
    found = [words[words.index(name) + 1 :] for words in commands() if name in words[:1]]
    through = ["docker", "compose", "exec", "-T", "storefront"]
    return found + [w[6:] for w in commands() if w[:5] == through and w[5] == name]


def test_every_setting_is_listed_once_with_its_default():
    listed = [(name, default) for name, default, _ in table("Settings", "Variable")]
    in_force = [(name, value or "–") for name, value in describe(Settings()).items()]  # noqa: RUF001 - the table's dash for "not set"
    assert listed == in_force


def test_every_variable_that_is_named_is_a_setting():
    for name in set(re.findall(rf"{PREFIX}[A-Z_]+", README)):
        assert name in describe(Settings()), name


def test_the_environment_of_the_production_example_is_one_that_is_taken():
    exported = dict(re.findall(r"^export (\w+)=(.*)$", section("In production"), re.MULTILINE))
    settings = from_environment(exported)
    assert settings.messaging.rabbitmq_url
    assert settings.auth.jwt_public_key
    assert len(exported) >= 9


def test_every_command_of_ours_that_is_shown_exists():
    shown = of_program("storefront")
    for name, *arguments in shown:
        command = cli.commands[name]
        known = {option for parameter in command.params for option in parameter.opts}
        for argument in arguments:
            assert not argument.startswith("-") or argument in known, (name, argument)
    assert {name for name, *_ in shown} >= {"serve", "token", "publish", "config"}
    for options in re.findall(r"`demo (--[\w-]+)`", README):
        assert options in {o for parameter in cli.commands["demo"].params for o in parameter.opts}


def test_every_target_of_make_that_is_shown_exists():
    targets = set(re.findall(r"^(\w[\w-]*):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    shown = {words[0] for words in of_program("make")}
    assert shown <= targets
    assert shown >= {"run", "test", "check"}


def test_the_first_two_commands_are_run_and_test():
    indented = re.findall(r"^ {4}(make \w+)$", README, re.MULTILINE)
    assert indented == ["make run", "make test"]


def test_every_link_leads_somewhere():
    headings = re.findall(r"^#+ (.*)$", README, re.MULTILINE)
    anchors = {"#" + re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in headings}
    links = re.findall(r"\]\(([^)]+)\)", README)
    assert len(links) > 10
    for link in links:
        assert link in anchors if link.startswith("#") else (ROOT / link).exists(), link


def test_every_room_is_on_the_map():
    listed = re.findall(r"\]\((storefront/\w+)\)", section("How the code is laid out"))
    folders = (ROOT / "storefront").glob("[!_]*/")
    assert sorted(listed) == sorted(f"storefront/{folder.name}" for folder in folders)


def test_every_event_is_listed_with_its_fields_in_their_order():
    listed = {
        name: NAMED_IN_BACKTICKS.findall(fields)
        for name, fields in table("The stream, for people who write pages", "eventType")
    }
    assert listed == {
        str(kind.__struct_config__.tag): [f.encode_name for f in msgspec.structs.fields(kind)]
        for kind in typing.get_args(StorefrontEvent)
    }


def test_every_control_frame_is_listed():
    """Against those that the code writes, wherever it does."""
    rooms = (ROOT / "storefront/realtime").glob("*.py")
    source = "\n".join(path.read_text("utf-8") for path in rooms)
    told = re.findall(r'frames\.control\(\s*"([a-z-]+)"', source)
    refused = re.findall(r'_refuse\(\s*"[a-z]+",\s*"([a-z-]+)"', source)
    listed = [frame for frame, *_ in table("The stream, for people who write pages", "Frame")]
    assert sorted(listed) == sorted({*told, *refused})


def test_the_wire_is_shown_as_it_is_written():
    told = {"mode": "resumed", "replayed": 1, "position": "k3x9-16"}
    opening = frames.retry(2.837) + frames.cursor("k3x9-15") + frames.control("stream", told)
    assert opening.decode() in README
    assert frames.PING.decode().strip() in README
    assert 'id: k3x9-16\ndata: {"eventType":' in README


def test_the_exit_codes_are_those_of_the_process():
    documented = re.findall(r"^(\d+\+?) ", process.__doc__ or "", re.MULTILINE)
    assert [code for code, _ in table("Exit codes", "Code")] == documented
    assert {str(process.EXIT_BUG), str(process.EXIT_SETTINGS), str(process.EXIT_STUCK)} < set(
        documented
    )


def test_the_objects_on_the_broker_are_named_as_they_are_declared():
    text, messaging = section("What is declared on RabbitMQ"), Settings().messaging
    for queue in queues(messaging).values():
        assert f"`{queue.name}`" in text
    assert f"`{messaging.dead_letter_queue}`" in text
    assert re.findall(r"\.(\d+)s`", text) == [str(seconds) for seconds in DELAYS]


def test_the_outcomes_of_a_message_are_those_that_are_counted():
    told = dict(table("Metrics", "Name"))
    (words,) = re.findall(r"`outcome` \(([^)]*)\)", told["storefront_deliveries_total"])
    rooms = ("dispatch", "outcomes")
    source = "".join(
        (ROOT / f"storefront/messaging/{room}.py").read_text("utf-8") for room in rooms
    )
    for outcome in words.split(", "):
        assert f'"{outcome}"' in source, outcome


# What a room counts by the dozen is one row, with the names in it.
FAMILIES = {
    "storefront_redis_…_total": [each.name for each in fields(Counts) if each.name != "refusals"],
    "storefront_cache_…_total": [
        *(each.name for each in fields(CacheCounts) if each.name != "under_way"),
        "pushed_out",
    ],
    "storefront_products_…_total": [
        "hits",
        "misses",
        "expired",
        "refreshes",
        "failures",
        "forgotten",
    ],
    "storefront_cache_redis_…_total": [*(each.name for each in fields(ShelfCounts)), "rests"],
}


# Ours, and those that OpenTelemetry has a name for.
METRIC = (
    r'"((?:storefront|http_server|messaging_(?:client|process)|db_client)_[a-z_]+|target_info)"'
)


def test_every_metric_is_listed():
    source = "\n".join(path.read_text("utf-8") for path in (ROOT / "storefront").rglob("*.py"))
    named = set(re.findall(METRIC, source))
    named -= {"storefront_cache_pushed_out_total", "storefront_cache_redis_rests_total"}
    named |= {f"storefront_http_{field.name}" for field in fields(ServingStatistics)}
    rows = [(name, words) for name, words in table("Metrics", "Name")]
    listed = dict(rows)
    assert len(listed) == len(rows), "each of them once"
    assert set(listed) == named | {"storefront_deliveries_total", *FAMILIES}
    for family, counted in FAMILIES.items():
        assert re.findall(r"`(\w+)`", listed[family]) == counted


@pytest.mark.parametrize("block", blocks(section("Adding a notification"), "python"))
def test_the_code_that_is_shown_is_the_code_that_runs(block):
    before = README[: README.index(block)]
    file = re.findall(r"\]\((storefront/[\w/]+\.py)\)", before)[-1]
    assert block in (ROOT / file).read_text("utf-8")


def test_the_promises_are_six_and_what_is_missing_is_said():
    promises = re.findall(r"^(\d)\. \*\*(.+?)\*\*", section("The six promises"), re.MULTILINE)
    assert promises == [
        ("1", "Yours only."),
        ("2", "Nothing lost."),
        ("3", "No step back."),
        ("4", "An answer in time."),
        ("5", "Nobody can hold us."),
        ("6", "You can see it."),
    ]
    assert section("Not yet").strip()


def test_shell_blocks_are_shell():
    for block in blocks(README, "sh"):
        for line in block.splitlines():
            assert shlex.split(line), line
