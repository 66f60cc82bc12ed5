"""The command line, as typed by somebody in a hurry: what is wrong is said in one line."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from decimal import Decimal

import pytest

from storefront import __main__, publishing
from storefront.commands import environment as reading
from storefront.domain import messages
from storefront.domain.translate import NAMESPACE, TRANSLATIONS, Known, Totals
from storefront.errors import BrokerError
from storefront.settings import AuthSettings, Settings, describe
from storefront.web.auth import Tokens

SECRET = "a secret of at least thirty-two bytes"
ALICE = "11111111-1111-1111-1111-111111111111"
CART = "019c5dd6-29d2-7fb9-9d90-cf760997d1c0"
ORDER = "019c5dd7-29d2-7fb9-9d90-cf760997d1c1"
OTHER = "019c5dd7-29d2-7fb9-9d90-cf760997d1c2"
BROKER = "amqp://guest:guest@127.0.0.1:9/"


@pytest.fixture
def type_in(monkeypatch, capsys):
    """Type a command with some settings; returns the exit code, what was said, what was complained of."""
    # Logging is set up for a whole process, and this one is pytest's.
    monkeypatch.setattr(reading, "configure_logs", lambda **_options: None)

    def typed(*words: str, **settings: str) -> tuple[int, str, str]:
        for name in list(os.environ):
            if name.startswith("STOREFRONT_"):
                monkeypatch.delenv(name)
        for name, value in settings.items():
            monkeypatch.setenv(f"STOREFRONT_{name}", value)
        monkeypatch.setattr(sys, "argv", ["storefront", *words])
        with pytest.raises(SystemExit) as left:
            __main__.main()
        said = capsys.readouterr()
        return int(left.value.code or 0), said.out, said.err

    return typed


def complaint(answer: tuple[int, str, str], code: int = 2) -> str:
    """The one line of a refused command that says why; click puts how to ask for help before it."""
    given_code, out, err = answer
    assert given_code == code
    assert out == ""
    assert "Traceback" not in err
    lines = [line for line in err.splitlines() if line.startswith(("Error: ", "storefront: "))]
    assert len(lines) == 1
    assert err.rstrip().endswith(lines[0])
    return lines[0].partition(": ")[2]


# token


@pytest.mark.parametrize(
    "words",
    [
        ["--customer", ALICE],
        ["--customer", ALICE.upper(), "--lifetime", "60"],
        ["--customer", ALICE, "--role", "support", "--role", "admin"],
        ["--role", "admin"],
    ],
    ids=str,
)
def test_a_token_is_one_line_and_is_believed(type_in, words):
    code, out, err = type_in("token", *words, JWT_SECRET=SECRET)
    assert (code, err) == (0, "")
    assert out.count("\n") == 1
    found = Tokens(AuthSettings(jwt_secret=SECRET), clock=time.time).read(out.strip())
    assert found.customer == (ALICE if "--customer" in words else None)
    assert found.roles == {word for word in words if word in {"support", "admin"}}
    lifetime = 60 if "60" in words else 3600
    assert lifetime - 30 < found.expires_at - time.time() <= lifetime


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--customer or --role is needed"),
        (["--customer", "alice"], "'alice' is not a GUID"),
        (["--customer", ""], "'' is not a GUID"),
        (["--customer", f"{{{ALICE}}}"], "is not a GUID"),
        (["--customer", "00000000-0000-0000-0000-000000000000"], "nobody"),
        (["--customer", ALICE, "--role", "manager"], "'manager' is not one of 'support', 'admin'"),
        (["--customer", ALICE, "--lifetime", "an hour"], "'an hour' is not a valid float"),
        (["--customer", ALICE, "--lifetime", "nan"], "not a lifetime"),
        (["--customer", ALICE, "--lifetime", "inf"], "not a lifetime"),
        (["--customer", ALICE, "--lifetime", "1e300"], "not a lifetime"),
        (["--custmer", ALICE], "No such option"),
        ([ALICE], "unexpected extra argument"),
    ],
    ids=str,
)
def test_a_token_for_nobody_is_refused_with_one_line(type_in, words, said):
    assert said in complaint(type_in("token", *words, JWT_SECRET=SECRET))


def test_a_token_needs_the_secret(type_in):
    assert (
        complaint(type_in("token", "--customer", ALICE))
        == "STOREFRONT_JWT_SECRET: needed to sign a token"
    )


def test_a_wrong_setting_stops_every_command_with_one_line(type_in):
    for words in (["token", "--customer", ALICE], ["config"], ["publish", "ItemAdded"], ["serve"]):
        assert complaint(type_in(*words, HEARTBEAT="often")).startswith("STOREFRONT_HEARTBEAT: ")


def test_words_of_several_lines_become_one(type_in, monkeypatch):
    from storefront.errors import SettingsError

    def refuse(_environ):
        raise SettingsError("STOREFRONT_X: first\n  second\r\n\tthird")

    monkeypatch.setattr(reading, "from_environment", refuse)
    assert complaint(type_in("config")) == "STOREFRONT_X: first second third"


# config


def test_config_prints_every_setting_and_no_secret(type_in):
    code, out, err = type_in(
        "config", JWT_SECRET=SECRET, RABBITMQ_URL="amqp://me:topsecret@rabbit/vh", HEARTBEAT="15"
    )
    assert (code, err) == (0, "")
    printed = dict(line.split("=", 1) for line in out.splitlines())
    assert set(printed) == set(describe(Settings()))
    assert printed["STOREFRONT_HEARTBEAT"] == "15.0"
    assert printed["STOREFRONT_JWT_SECRET"] == "***"
    assert SECRET not in out
    assert "topsecret" not in out


def test_config_shows_how_many_processes_serve(type_in):
    code, out, _ = type_in("config", WORKERS="4", REDIS_URL="redis://127.0.0.1:9/0")
    assert code == 0
    assert "STOREFRONT_WORKERS=4\n" in out


# serve


@pytest.mark.parametrize(
    ("words", "settings", "said"),
    [
        (["--workers", "0"], {}, "Invalid value for '--workers': 0 is not in the range 1<=x<=64."),
        (["--workers", "65"], {}, "Invalid value for '--workers': 65 is not in the range"),
        (["--workers", "x"], {}, "Invalid value for '--workers': 'x' is not a valid integer"),
        (["--workers", ""], {}, "Invalid value for '--workers': '' is not a valid integer"),
        (["--workers", "4"], {}, "STOREFRONT_WORKERS: more than one needs STOREFRONT_REDIS_URL"),
        ([], {"WORKERS": "4"}, "STOREFRONT_WORKERS: more than one needs STOREFRONT_REDIS_URL"),
        ([], {"WORKERS": "x"}, "STOREFRONT_WORKERS: "),
    ],
    ids=str,
)
def test_workers_that_cannot_be_had_are_refused_with_one_line(type_in, words, settings, said):
    given = {"RABBITMQ_URL": BROKER, "JWT_SECRET": SECRET, "BIND": "127.0.0.1:0", **settings}
    assert complaint(type_in("serve", *words, **given)).startswith(said)


@pytest.fixture
def run_as(monkeypatch) -> list[str]:
    """As what `serve` would have run: one process, or the parent of so many workers."""
    from storefront.commands import running

    ran: list[str] = []

    def run_workers(settings: Settings, _listening: socket.socket) -> int:
        ran.append(str(settings.serving.workers))
        return 0

    def run_process(*_args, **_options) -> int:
        ran.append("alone")
        return 0

    monkeypatch.setattr(running, "_run_workers", run_workers)
    monkeypatch.setattr(running.process, "run_process", run_process)
    return ran


@pytest.mark.parametrize(
    ("words", "setting", "runs"),
    [
        ([], None, "alone"),
        ([], "1", "alone"),
        ([], "3", "3"),
        (["--workers", "2"], None, "2"),
        (["--workers", "2"], "3", "2"),
        (["--workers", "1"], "3", "alone"),
        (["--workers", "2"], "x", "2"),
    ],
    ids=str,
)
def test_the_option_wins_over_the_setting(type_in, run_as, words, setting, runs):
    settings = {} if setting is None else {"WORKERS": setting}
    given = {"RABBITMQ_URL": BROKER, "JWT_SECRET": SECRET, "BIND": "127.0.0.1:0", **settings}
    code, *_ = type_in("serve", *words, REDIS_URL="redis://127.0.0.1:9/0", **given)
    assert (code, run_as) == (0, [runs])


def test_a_worker_is_not_started_by_hand(type_in):
    said = "worker: started by `storefront serve --workers`, not by hand"
    assert complaint(type_in("worker", "1", "12345", "12346")) == said
    assert "worker" not in type_in("--help")[1].partition("Commands:")[2].split()


# publish


@pytest.fixture
def published(monkeypatch) -> list[tuple[str, str, object]]:
    """What was published, instead of a broker."""
    sent: list[tuple[str, str, object]] = []

    async def keep(url, queue, message) -> None:
        sent.append((url, queue, message))

    monkeypatch.setattr(publishing, "publish_once", keep)
    return sent


def test_publish_sends_a_message_and_says_which(type_in, published):
    words = ["publish", "ItemAdded", "--customer", ALICE.upper(), "--cart", CART, "--order", ORDER]
    code, out, err = type_in(
        *words,
        "--field",
        "quantity=7",
        "--field",
        "unitPrice=1.50",
        "--field",
        "note=two words",
        "--field",
        "sku=null",
        RABBITMQ_URL=BROKER,
    )
    assert (code, err) == (0, "")
    [(url, queue, message)] = published
    assert (url, queue) == (BROKER, "storefront-notifications")
    assert message.type == "Messages.Contracts.Shopping.ItemAdded"
    assert out == f"{message.type} {message.message_id} -> {queue}\n"
    assert message.body.startswith(
        f'{{"cartId":"{CART}","customerId":"{ALICE}","sku":null,"quantity":7,"unitPrice":1.50,"addedAt":"'.encode()
    )
    assert message.body.endswith(b'","note":"two words"}')
    assert b"orderId" not in message.body


def test_publish_goes_to_the_queue_that_is_named(type_in, published):
    type_in("publish", "ItemAdded", RABBITMQ_URL=BROKER, QUEUE_NOTIFICATIONS="mine")
    type_in(
        "publish", "ItemAdded", "--queue", "other", RABBITMQ_URL=BROKER, QUEUE_NOTIFICATIONS="mine"
    )
    assert [queue for _, queue, _ in published] == ["mine", "other"]


def test_publish_goes_where_a_neighbour_would_send_it(type_in, published):
    kinds = ("OrderPlaced", "ShipmentDispatched", "ShipmentHandedToCarrier", "ReturnApproved")
    for kind in kinds:
        type_in("publish", kind, RABBITMQ_URL=BROKER)
    assert [queue for _, queue, _ in published] == [
        "storefront-notifications",
        "storefront-notifications",
        "storefront-fulfillment-events",
        "storefront-returns-events",
    ]


def test_a_field_may_be_any_json_and_what_is_none_is_text(type_in, published):
    given = {
        "a": "1",
        "b": "1.50",
        "c": "true",
        "d": '{"e":[1,2]}',
        "f": "word",
        "g": "2026-02-17T21:58:44+00:00",
        "h": "",
        "i": "x=y",
    }
    type_in(
        "publish",
        "OrderCancelled",
        *(word for name, value in given.items() for word in ("--field", f"{name}={value}")),
        RABBITMQ_URL=BROKER,
    )
    body = json.loads(published[0][2].body, parse_float=Decimal)
    assert {name: body[name] for name in given} == {
        "a": 1,
        "b": Decimal("1.50"),
        "c": True,
        "d": {"e": [1, 2]},
        "f": "word",
        "g": "2026-02-17T21:58:44+00:00",
        "h": "",
        "i": "x=y",
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["ItemStolen"], "ItemStolen: no such message; there are ItemAdded, ItemQuantityChanged, "),
        (["itemadded"], "itemadded: no such message"),
        ([""], "no such message"),
        (["ItemAdded", "--customer", "alice"], "'alice' is not a GUID"),
        (["ItemAdded", "--cart", "7"], "'7' is not a GUID"),
        (["OrderPlaced", "--order", ALICE[:-1]], "is not a GUID"),
        (["ItemAdded", "--field", "quantity"], "--field quantity: expected name=JSON"),
        (["ItemAdded", "--field", "=5"], "--field =5: expected name=JSON"),
        (["ItemAdded", "--field", "sku=\udcff"], "surrogates not allowed"),
        ([], "Missing argument 'KIND'"),
        (["ItemAdded", "--quantity", "5"], "No such option"),
    ],
    ids=ascii,
)
def test_a_message_that_cannot_be_made_is_refused_with_one_line(type_in, published, words, said):
    assert said in complaint(type_in("publish", *words, RABBITMQ_URL=BROKER))
    assert published == []


def test_publish_needs_a_broker(type_in):
    assert (
        complaint(type_in("publish", "ItemAdded")) == "STOREFRONT_RABBITMQ_URL: needed by publish"
    )


def test_a_broker_that_is_down_is_one_line(type_in, monkeypatch):
    async def fail(*_args) -> None:
        raise BrokerError("gone")

    monkeypatch.setattr(publishing, "publish_once", fail)
    assert (
        complaint(type_in("publish", "ItemAdded", RABBITMQ_URL=BROKER), code=1) == "RabbitMQ: gone"
    )


@pytest.mark.parametrize(
    "command", [[], ["serve"], ["demo"], ["token"], ["config"], ["publish"]], ids=str
)
def test_help_is_given_for_every_command(type_in, command):
    for ask in ("-h", "--help"):
        code, out, err = type_in(*command, ask)
        assert (code, err) == (0, "")
        assert out.startswith("Usage: storefront")


# What is published.

AT = 1_771_365_524.5
GOLDEN = {
    "ItemAdded": f'{{"cartId":"{CART}","customerId":"{ALICE}","sku":"DOG-BOWL-01","quantity":2,"unitPrice":19.99,"addedAt":"2026-02-17T21:58:44.5+00:00"}}',
    "ItemQuantityChanged": f'{{"cartId":"{CART}","customerId":"{ALICE}","sku":"DOG-BOWL-01","oldQuantity":2,"newQuantity":5,"changedAt":"2026-02-17T21:58:44.5+00:00"}}',
    "ItemRemoved": f'{{"cartId":"{CART}","customerId":"{ALICE}","sku":"DOG-BOWL-01","removedAt":"2026-02-17T21:58:44.5+00:00"}}',
    "OrderPlaced": f'{{"orderId":"{ORDER}","customerId":"{ALICE}","lineItems":[{{"sku":"DOG-BOWL-01","quantity":2,"unitPrice":19.99,"lineTotal":39.98}}],"shippingAddress":{{"street":"123 Main St","street2":null,"city":"Seattle","state":"WA","postalCode":"98101","country":"US"}},"shippingMethod":"Standard","paymentMethodToken":"tok_visa_test_12345","totalAmount":45.97,"placedAt":"2026-02-17T21:58:44.5+00:00"}}',
    "PaymentAuthorized": f'{{"paymentId":"{OTHER}","orderId":"{ORDER}","amount":45.97,"authorizationId":"auth_12345","authorizedAt":"2026-02-17T21:58:44.5+00:00","expiresAt":"2026-02-17T21:58:44.5+00:00"}}',
    "PaymentCaptured": f'{{"paymentId":"{OTHER}","orderId":"{ORDER}","amount":45.97,"transactionId":"txn_1","capturedAt":"2026-02-17T21:58:44.5+00:00"}}',
    "ReservationConfirmed": f'{{"orderId":"{ORDER}","inventoryId":"{OTHER}","reservationId":"{OTHER}","sku":"DOG-BOWL-01","warehouseId":"WH-01","quantity":2,"reservedAt":"2026-02-17T21:58:44.5+00:00"}}',
    "ShipmentDispatched": f'{{"orderId":"{ORDER}","shipmentId":"{OTHER}","carrier":"UPS","trackingNumber":"1Z999AA10123456784","dispatchedAt":"2026-02-17T21:58:44.5+00:00"}}',
    "ShipmentDelivered": f'{{"orderId":"{ORDER}","shipmentId":"{OTHER}","deliveredAt":"2026-02-17T21:58:44.5+00:00","recipientName":null}}',
}
IDS = {
    "cartId": CART,
    "customerId": ALICE,
    "orderId": ORDER,
    "paymentId": OTHER,
    "inventoryId": OTHER,
    "reservationId": OTHER,
    "shipmentId": OTHER,
    "returnId": OTHER,
}


@pytest.mark.parametrize("kind", GOLDEN)
def test_an_example_is_written_to_the_byte_as_the_contract_has_it(kind):
    assert publishing.example(kind, {}, ids=IDS, now=AT).body.decode() == GOLDEN[kind]


@pytest.mark.parametrize("row", TRANSLATIONS, ids=lambda row: row.name)
def test_there_is_an_example_of_every_message_and_it_becomes_an_event(row):
    made = publishing.example(row.name.split(".")[-1], {}, now=AT)
    assert made.type == NAMESPACE + row.name
    known = Known(customer=ALICE, totals=Totals(item_count=1, total_amount=Decimal("39.98")))
    assert row.event(messages.decode(row.message, made.body), known).customer_id == ALICE
    every = publishing.example(row.name, {}, ids=IDS, now=AT)
    assert re.findall(rb'"(\w+Id)":"([0-9a-f-]{36})"', every.body)


@pytest.mark.parametrize(
    "kind", ["ItemAdded", "Shopping.ItemAdded", "Messages.Contracts.Shopping.ItemAdded"]
)
def test_a_kind_may_be_named_in_short_or_in_full(kind):
    assert publishing.example(kind, {}, now=AT).type == "Messages.Contracts.Shopping.ItemAdded"


@pytest.mark.parametrize(
    ("now", "written"),
    [
        (1_771_365_524.0, "44+00:00"),
        (1_771_365_520.0, "40+00:00"),
        (1_771_365_524.25, "44.25+00:00"),
        (1_771_365_524.000001, "44.000001+00:00"),
    ],
)
def test_a_moment_is_written_as_dotnet_does_without_zeros_at_its_end(now, written):
    assert publishing.example("ItemRemoved", {}, now=now).body.decode().endswith(f':{written}"}}')


def test_two_examples_are_two_messages_of_two_customers():
    one, two = (publishing.example("OrderPlaced", {}, now=AT) for _ in range(2))
    assert one.message_id != two.message_id
    assert json.loads(one.body)["customerId"] != json.loads(two.body)["customerId"]


# Real processes.


def environment(**settings: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("STOREFRONT_")}
    return {**kept, **{f"STOREFRONT_{name}": value for name, value in settings.items()}}


def storefront(*words: str, **settings: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "storefront", *words],
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@contextmanager
def taken_port():
    with socket.create_server(("127.0.0.1", 0)) as holder:
        yield holder.getsockname()[1]


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        return holder.getsockname()[1]


@pytest.mark.system
@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"JWT_SECRET": SECRET}, "STOREFRONT_RABBITMQ_URL: needed by serve"),
        ({"RABBITMQ_URL": BROKER}, "STOREFRONT_JWT_SECRET: set it, or STOREFRONT_JWT_PUBLIC_KEY"),
        (
            {"RABBITMQ_URL": BROKER, "JWT_PUBLIC_KEY": "/none.pem", "JWT_ALGORITHMS": "RS256"},
            "STOREFRONT_JWT_PUBLIC_KEY: ",
        ),
        ({"RABBITMQ_URL": BROKER, "JWT_SECRET": SECRET, "BIND": "8080"}, "STOREFRONT_BIND: "),
        (
            {"RABBITMQ_URL": BROKER, "JWT_SECRET": SECRET, "BIND": "192.0.2.1:0"},
            "STOREFRONT_BIND: ",
        ),
        (
            {"RABBITMQ_URL": BROKER, "JWT_SECRET": SECRET, "CORS_ORIGINS": "*"},
            "STOREFRONT_CORS_ORIGINS: ",
        ),
        ({"BINDD": "x"}, "STOREFRONT_BINDD: there is no such setting"),
    ],
    ids=str,
)
def test_serve_without_what_it_needs_stops_with_one_line(settings, named):
    code, out, err = storefront("serve", **settings)
    assert (code, out) == (2, "")
    assert err.startswith(f"storefront: {named}")
    assert err.count("\n") == 1


@pytest.mark.system
def test_a_taken_port_is_one_line_that_says_so_and_nothing_was_begun(tmp_path):
    with taken_port() as port:
        code, out, err = storefront(
            "serve",
            RABBITMQ_URL=BROKER,
            JWT_SECRET=SECRET,
            BIND=f"127.0.0.1:{port}",
            DATA_DIR=str(tmp_path / "data"),
        )
    assert (code, out) == (2, "")
    assert (
        err
        == f"storefront: STOREFRONT_BIND: cannot listen at '127.0.0.1:{port}': the address is already in use\n"
    )
    assert not (tmp_path / "data").exists()


@pytest.mark.system
def test_a_certificate_that_is_none_stops_the_start_with_a_last_line_that_names_it(tmp_path):
    settings = {
        "RABBITMQ_URL": f"amqp://127.0.0.1:{closed_port()}",
        "JWT_SECRET": SECRET,
        "BIND": "127.0.0.1:0",
        "DATA_DIR": str(tmp_path),
    }
    code, _, err = storefront(
        "serve", **settings, TLS_CERT=str(tmp_path / "none.pem"), TLS_KEY=str(tmp_path / "none.key")
    )
    assert code == 2
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith("storefront: STOREFRONT_TLS_CERT")


@pytest.mark.system
def test_bind_moves_the_service_and_a_broker_that_is_down_does_not_keep_it_closed(tmp_path):
    port = closed_port()
    settings = {
        "RABBITMQ_URL": f"amqp://127.0.0.1:{closed_port()}",
        "JWT_SECRET": SECRET,
        "BIND": f"127.0.0.1:{port}",
        "DATA_DIR": str(tmp_path),
        "LOG_FORMAT": "json",
        "DRAIN": "1",
    }
    serving = subprocess.Popen(
        [sys.executable, "-m", "storefront", "serve"],
        env=environment(**settings),
        stderr=subprocess.PIPE,
        text=True,
    )
    lifeline = threading.Timer(30, serving.kill)
    lifeline.start()
    try:
        assert serving.stderr is not None
        line = next(line for line in serving.stderr if '"listening"' in line)
        assert json.loads(line)["url"] == f"http://127.0.0.1:{port}"
        with socket.create_connection(("127.0.0.1", port), timeout=5) as visitor:
            visitor.sendall(b"GET /health/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert visitor.makefile("rb").readline().startswith(b"HTTP/1.1 200")
        serving.send_signal(signal.SIGTERM)
        assert serving.wait(timeout=10) == 0
    finally:
        lifeline.cancel()
        serving.kill()
        serving.wait()
        serving.stderr.close()


@pytest.mark.system
def test_publishing_to_a_broker_that_is_down_ends_with_one_line_and_no_traceback():
    code, out, err = storefront(
        "publish", "ItemAdded", RABBITMQ_URL=f"amqp://127.0.0.1:{closed_port()}"
    )
    assert (code, out) == (1, "")
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith("Error: RabbitMQ: ")
