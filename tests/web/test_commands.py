"""What a command is checked for, and what happens around it: on virtual time, with fakes for the services."""

from __future__ import annotations

import itertools
import json
from decimal import Decimal
from types import SimpleNamespace

import pytest
import trio
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

from storefront.domain.ids import CustomerId
from storefront.downstream.guard import Guard, Policy
from storefront.downstream.shopping import Cart, Shopping
from storefront.errors import (
    BadRequestError,
    DownstreamRefusedError,
    DownstreamUnavailableError,
    StoreUnavailableError,
)
from storefront.settings import AuthSettings
from storefront.store.memory import MemoryStore
from storefront.web.app import LONGEST_BODY
from storefront.web.auth import Tokens, mint
from storefront.web.command_bodies import (
    AddItem,
    ChangeQuantity,
    InvalidBodyError,
    PaymentMethod,
    SaveAddress,
    ShippingAddress,
    ShippingMethod,
    understand,
)
from storefront.web.command_outcomes import failed
from storefront.web.commanding import RENEWAL, Commands
from storefront.web.commands import command_routes
from storefront.web.problems import problem

EPOCH = 1_790_000_000.0
ALICE = CustomerId("11111111-1111-1111-1111-111111111111")
CART = "019c5dd6-29d2-7fb9-9d90-cf760997d1c0"
ITEMS = f"/api/storefront/carts/{CART}/items"
BOWL = {"sku": "DOG-BOWL-01", "quantity": 2}
AUTH = AuthSettings(jwt_secret="a secret of at least thirty-two bytes", cookie_name="storefront")
HOME = {
    "nickname": "Home", "addressLine1": "123 Main St", "city": "Seattle", "stateOrProvince": "WA",
    "postalCode": "98101", "country": "US",
}  # fmt: skip


def wall_clock() -> float:
    return EPOCH + trio.current_time()


class Wire:
    """Shopping's HTTP: Alice's cart, and a command that takes its time or fails."""

    name = "shopping"

    def __init__(self, diary: list) -> None:
        self.diary = diary
        self.takes = 0.0
        self.fails: Exception | None = None

    async def get_json(self, *_path, **_query) -> bytes:
        await trio.lowlevel.checkpoint()
        return json.dumps({"cartId": CART, "customerId": ALICE, "items": []}).encode()

    async def send_json(self, _method, *_path, **_rest):
        self.diary.append((trio.current_time(), "sent"))
        await trio.sleep(self.takes)
        if self.fails is not None:
            raise self.fails
        self.diary.append((trio.current_time(), "answered"))
        return SimpleNamespace(status=204, body=b"", location=None)


class Store:
    """Notes when the generation is renewed; may be slow or down."""

    def __init__(self, diary: list) -> None:
        self.diary = diary
        self.takes = 0.0
        self.down = False

    async def renew_generation(self, customer, *, now) -> str:
        assert (customer, now) == (ALICE, wall_clock())
        await trio.sleep(self.takes)
        if self.down:
            raise StoreUnavailableError("gone")
        self.diary.append((trio.current_time(), "renewed"))
        return "g"


class Till:
    def __init__(self) -> None:
        self.diary: list = []
        self.wire, self.store = Wire(self.diary), Store(self.diary)
        guard = Guard("shopping", Policy(command=5.0), uniform=lambda low, high: (low + high) / 2)
        services = SimpleNamespace(shopping=Shopping(self.wire, guard))
        self.commands = Commands(services, self.store, clock=wall_clock)
        app = QuartTrio("storefront", static_folder=None)
        app.config["MAX_CONTENT_LENGTH"] = LONGEST_BODY
        parts = SimpleNamespace(
            auth=AUTH, tokens=Tokens(AUTH, clock=wall_clock), admit=lambda _caller: None
        )
        app.register_blueprint(command_routes(parts, self.commands))

        @app.errorhandler(HTTPException)
        async def refused(error):
            return problem(error.code, f"http-{error.code}")

        @app.errorhandler(BadRequestError)
        async def bad(error):
            return problem(400, "bad-request", str(error))

        self.client = app.test_client()

    async def add(self, body=None, *, data=None, kind="application/json", **headers):
        token = mint(AUTH, customer=ALICE, now=wall_clock(), lifetime=3600)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        given |= {"Authorization": f"Bearer {token}", "Content-Type": kind}
        sent = json.dumps(body or BOWL).encode() if data is None else data
        return await self.client.post(ITEMS, data=sent, headers=given)

    @property
    def told(self) -> list[str]:
        return [what for _, what in self.diary]

    def counted(self, name: str) -> dict:
        return {
            tuple(labels.values()): value
            for found, _, labels, value in self.commands.readings()
            if found == name
        }


@pytest.fixture
def till(autojump_clock):
    return Till()


# The view generation.


async def test_the_generation_changes_before_the_command_and_after_its_answer(till, autojump_clock):
    till.wire.takes = 2
    assert (await till.add()).status_code == 204
    assert till.diary == [(0, "renewed"), (0, "sent"), (2, "answered"), (2, "renewed")]


@pytest.mark.parametrize(
    "error",
    [DownstreamRefusedError("shopping", 400), DownstreamUnavailableError("shopping", "status 500", status=500)],
)  # fmt: skip
async def test_it_changes_after_an_error_too(till, error, autojump_clock):
    till.wire.fails = error
    assert (await till.add()).status_code in {400, 502}
    assert till.told == ["renewed", "sent", "renewed"]


async def test_it_changes_when_there_was_no_answer_in_five_seconds(till, autojump_clock):
    till.wire.takes = 60
    answer = await till.add()
    assert (trio.current_time(), answer.status_code) == (5, 504)
    told = json.loads(await answer.get_data())
    assert told["type"] == "urn:storefront:problem:outcome-unknown"
    assert told["outcome"] == "unknown"
    assert till.diary == [(0, "renewed"), (0, "sent"), (5, "renewed")]
    assert till.counted("storefront_commands_total") == {("add-item", "timeout"): 1}


async def test_it_changes_when_the_caller_goes_away(till, autojump_clock):
    till.wire.takes = 60
    till.store.takes = 0.1
    with trio.move_on_after(3):
        await till.add()
    assert till.diary == [(0.1, "renewed"), (0.1, "sent"), (3.1, "renewed")]
    assert till.counted("storefront_commands_total") == {("add-item", "left"): 1}
    assert till.commands.services.shopping._guard.statistics().in_flight == 0


async def test_a_log_that_does_not_answer_holds_a_command_up_for_a_moment_only(
    till, autojump_clock
):
    till.store.takes = 60
    assert (await till.add()).status_code == 204
    assert trio.current_time() == 2 * RENEWAL
    assert till.told == ["sent", "answered"]
    assert till.counted("storefront_generations_not_renewed_total") == {(): 2}


async def test_a_log_that_is_down_holds_nothing_up(till, autojump_clock):
    till.store.down = True
    assert (await till.add()).status_code == 204
    assert till.counted("storefront_generations_not_renewed_total") == {(): 2}


async def test_the_fakes_are_what_they_stand_for(autojump_clock):
    store = MemoryStore(
        window=300.0, kept_ids=200, token=(f"e{n}" for n in itertools.count()).__next__
    )
    before = await store.generation(ALICE)
    assert await store.renew_generation(ALICE, now=EPOCH) != before
    cart = await Till().commands.services.shopping.cart(CART)
    assert isinstance(cart, Cart)


# What the request has to be.


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/json; charset=utf-8", 204),
        ("application/vnd.shop+json", 204),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("", 415),
    ],
)
async def test_only_json_is_read(till, kind, status, autojump_clock):
    answer = await till.add(kind=kind)
    assert answer.status_code == status
    assert ("sent" in till.told) == (status == 204)


async def test_a_body_beyond_its_bound_is_refused(till, autojump_clock):
    body = json.dumps(BOWL).encode()
    fits = await till.add(data=body + b" " * (LONGEST_BODY - len(body)))
    too_long = await till.add(data=body + b" " * (LONGEST_BODY - len(body) + 1))
    assert (fits.status_code, too_long.status_code) == (204, 413)
    assert till.told.count("sent") == 1


async def test_a_body_that_does_not_arrive_is_waited_for_ten_seconds(till, autojump_clock):
    token = mint(AUTH, customer=ALICE, now=wall_clock(), lifetime=3600)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    async with till.client.request(ITEMS, method="POST", headers=headers) as connection:
        await connection.send(b'{"sku":')
        await connection.receive()
        assert (trio.current_time(), connection.status_code) == (10, 408)
        await connection.disconnect()
    assert till.told == []


@pytest.mark.parametrize(
    ("key", "status"),
    [("k", 204), ("k" * 255, 204), ("k" * 256, 400), ("", 400), ("ké", 400), ("a\tb", 400)],
)
async def test_a_key_is_passed_on_as_it_is_or_refused(till, key, status, autojump_clock):
    answer = await till.add(Idempotency_Key=key)
    assert answer.status_code == status
    if status == 400:
        assert "Idempotency-Key" in json.loads(await answer.get_data())["detail"]
        assert till.told == []


async def test_all_that_is_wrong_with_a_body_is_said_by_the_fields_names(till, autojump_clock):
    answer = await till.add({"sku": "dog", "quantity": 0, "unitPrice": -1})
    assert (answer.status_code, answer.content_type) == (400, "application/problem+json")
    told = json.loads(await answer.get_data())
    assert (told["type"], told["status"]) == ("urn:storefront:problem:bad-request", 400)
    assert told["errors"] == {
        "sku": ["expected 1 to 24 capital letters, digits, dashes"],
        "quantity": ["expected a whole number, 1 to 1,000,000"],
        "unitPrice": ["expected a price: a number of at least 0"],
    }
    assert till.told == []


# Bodies.


def wrong(kind, body) -> list[str]:
    """The fields that are wrong with it."""
    try:
        understand(kind, body if isinstance(body, bytes) else json.dumps(body))
    except InvalidBodyError as error:
        return list(error.errors)
    return []


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b'"x"', b"{", b"\xff", b'{"sku":"\\ud800"}', b'{"a":' + b"[" * 30_000, b"1" * 60_000],
    ids=range(9),
)  # fmt: skip
def test_what_is_no_object_is_said_to_be_none(body):
    assert wrong(AddItem, body) == [""]


@pytest.mark.parametrize("sku", ["A", "A" * 24, "DOG-BOWL-01", "-", "0"])
@pytest.mark.parametrize("quantity", [1, 1_000_000])
def test_what_the_rules_allow_is_taken(sku, quantity):
    assert wrong(AddItem, {"sku": sku, "quantity": quantity}) == []


@pytest.mark.parametrize(
    "sku", ["", "A" * 25, "dog-bowl-01", "DOG BOWL", "DOG-BOWL-01\n", "Ä", "A/B", 7, None, ["A"]]
)
def test_what_is_no_sku_is_refused(sku):
    assert wrong(AddItem, BOWL | {"sku": sku}) == ["sku"]


@pytest.mark.parametrize("quantity", [0, -1, 1_000_001, 2**40, 1.5, "2", True, None, 10**30])
def test_what_is_no_quantity_is_refused(quantity):
    assert wrong(AddItem, BOWL | {"quantity": quantity}) == ["quantity"]
    assert wrong(ChangeQuantity, {"newQuantity": quantity}) == ["newQuantity"]


@pytest.mark.parametrize(
    "price", [b"-0.01", b'"NaN"', b'"Infinity"', b"1e12", b"1E+400", b"1E-40", b"0." + b"1" * 29, b"true", b"{}"]
)  # fmt: skip
def test_what_is_no_price_is_refused(price):
    assert wrong(AddItem, b'{"sku":"A","quantity":1,"unitPrice":' + price + b"}") == ["unitPrice"]
    assert wrong(ShippingMethod, b'{"shippingMethod":"S","shippingCost":' + price + b"}") == [
        "shippingCost"
    ]


def test_money_keeps_its_scale_and_names_are_read_in_any_case():
    read = understand(AddItem, b'{"SKU":"A","Quantity":1,"UNITPRICE":19.90,"more":[1]}')
    assert read == AddItem(sku="A", quantity=1, unit_price=Decimal("19.90"))
    assert str(read.unit_price) == "19.90"


@pytest.mark.parametrize("name", ["newQuantity", "NewQuantity", "quantity"])
def test_a_new_quantity_has_two_names(name):
    assert understand(ChangeQuantity, json.dumps({name: 3})).new_quantity == 3


def test_the_longer_name_counts_where_both_are_said():
    assert understand(ChangeQuantity, b'{"quantity":1,"newQuantity":2}').new_quantity == 2


CHECKOUT_HOME = {name: value for name, value in HOME.items() if name != "nickname"}


@pytest.mark.parametrize(
    ("kind", "whole", "field", "longest"),
    [
        (ShippingAddress, CHECKOUT_HOME, "addressLine1", 200),
        (ShippingAddress, CHECKOUT_HOME, "city", 100),
        (ShippingAddress, CHECKOUT_HOME, "stateOrProvince", 100),
        (ShippingAddress, CHECKOUT_HOME, "postalCode", 20),
        (ShippingAddress, CHECKOUT_HOME, "country", 100),
        (SaveAddress, HOME, "nickname", 50),
        (SaveAddress, HOME, "addressLine1", 100),
        (SaveAddress, HOME, "city", 50),
        (SaveAddress, HOME, "stateOrProvince", 50),
        (SaveAddress, HOME, "postalCode", 20),
        (PaymentMethod, {"paymentMethodToken": ""}, "paymentMethodToken", 500),
        (ShippingMethod, {"shippingMethod": "", "shippingCost": 5.99}, "shippingMethod", 100),
    ],
)
def test_words_are_as_long_as_the_service_takes_them(kind, whole, field, longest):
    assert wrong(kind, whole | {field: "x" * longest}) == []
    for said in ("x" * (longest + 1), "", "  ", None, 7):
        assert wrong(kind, whole | {field: said}) == [field]
    left_out = {name: value for name, value in whole.items() if name != field}
    assert wrong(kind, left_out) == [field]


@pytest.mark.parametrize(("kind", "longest"), [(ShippingAddress, 200), (SaveAddress, 100)])
def test_a_second_line_may_be_left_out(kind, longest):
    for said in (None, "", "x" * longest):
        assert wrong(kind, HOME | {"addressLine2": said}) == []
    assert wrong(kind, HOME | {"addressLine2": "x" * (longest + 1)}) == ["addressLine2"]


@pytest.mark.parametrize("country", ["USA", "U", "", "U1", "US\n", "Ü1"])
def test_a_saved_addresss_country_is_two_letters(country):
    assert wrong(SaveAddress, HOME | {"country": country}) == ["country"]


# A service's no.


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"detail":"Cart is closed"}', "Cart is closed"),
        (b'{"errors":{"Quantity":["too few","x"]},"detail":"d"}', "too few"),
        (b'{"error":"customerId is required"}', "customerId is required"),
        (b'{"message":"No"}', "No"),
        (b"", "This cannot be done"),
        (b'{"detail":7}', "This cannot be done"),
        (b'{"detail":"' + b"x" * 301 + b'"}', "This cannot be done"),
        (b'{"detail":"a\\nTraceback"}', "This cannot be done"),
        (b"[" * 10_000, "This cannot be done"),
    ],
)
async def test_a_services_reasons_are_handed_on_where_a_person_could_read_them(body, words):
    answer = failed(DownstreamRefusedError("shopping", 400, body), sent=True, not_there="None")
    assert answer.status_code == 400
    assert json.loads(await answer.get_data()) == {"message": words}


@pytest.mark.parametrize("status", [401, 403, 405, 410, 422])
async def test_any_other_no_keeps_its_status(status):
    error = DownstreamRefusedError("shopping", status, b'{"detail":"No"}')
    answer = failed(error, sent=True, not_there="None")
    assert (answer.status_code, answer.content_type) == (status, "application/problem+json")
    told = json.loads(await answer.get_data())
    assert (told["type"], told["detail"]) == ("urn:storefront:problem:refused", "No")
    # The same words about the question whose it is: nothing was told, and that is another failure.
    assert failed(error, sent=False, not_there="None").status_code == 503
