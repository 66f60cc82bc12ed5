"""What the browser is given."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from quart_trio import QuartTrio

from storefront.demo.addresses import SERVICES, ServiceUrls
from storefront.demo.customers import ALICE, BOB
from storefront.demo.files import UI
from storefront.demo.page import demo_pages
from storefront.demo.products import ARTICLES

URLS = ServiceUrls(**{name: f"http://127.0.0.1:{5000 + n}" for n, name in enumerate(SERVICES)})


def open_app(*, secure=False):
    app = QuartTrio("storefront")
    mint = "token-of-{}".format
    app.register_blueprint(demo_pages(URLS, mint, cookie_name="storefront", secure=secure))
    return app.test_client()


@pytest.fixture
def browser():
    return open_app()


def at(host):
    return {"Host": host}


async def test_the_page_comes_with_a_strict_policy(browser):
    answer = await browser.get("/", headers=at("127.0.0.1:8080"))
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-cache"
    policy = dict(
        part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    for kind in ("script-src", "style-src", "img-src", "connect-src"):
        assert policy[kind] == "'self'"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_file_is_sent_again_only_when_it_changed(browser):
    first = await browser.get("/ui/shop.js")
    again = await browser.get("/ui/shop.js", headers={"If-None-Match": first.headers["ETag"]})
    other = await browser.get("/ui/shop.js", headers={"If-None-Match": '"something"'})
    assert (first.status_code, again.status_code, other.status_code) == (200, 304, 200)
    assert await again.get_data() == b""
    assert again.headers["ETag"] == first.headers["ETag"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("shop.css", "text/css; charset=utf-8"),
        ("shop.js", "text/javascript; charset=utf-8"),
        ("favicon.svg", "image/svg+xml"),
        ("pictures/DOG-BOWL-01.svg", "image/svg+xml"),
    ],
)
async def test_files_have_their_types(browser, name, kind):
    answer = await browser.get(f"/ui/{name}")
    assert answer.headers["Content-Type"] == kind
    assert await answer.get_data() == (UI / name).read_bytes()


@pytest.mark.parametrize("name", ["../errors.py", "..%2ferrors.py", "no-such.js", "pictures", ""])
async def test_nothing_else_is_a_file(browser, name):
    assert (await browser.get(f"/ui/{name}")).status_code == 404


async def test_every_product_has_its_picture(browser):
    for article in ARTICLES:
        assert (await browser.get(article.picture)).status_code == 200


@pytest.mark.parametrize(
    ("host", "asked", "sent_to"),
    [
        ("127.0.0.1:8080", "bob", "//localhost:8080/?customer=bob"),
        ("localhost:8080", "alice", "//127.0.0.1:8080/?customer=alice"),
        ("localhost", "alice", "//127.0.0.1/?customer=alice"),
    ],
)
async def test_each_customer_is_sent_to_the_name_their_cookie_lives_under(
    browser, host, asked, sent_to
):
    answer = await browser.get(f"/?customer={asked}", headers=at(host))
    assert (answer.status_code, answer.headers["Location"]) == (307, sent_to)


@pytest.mark.parametrize(
    ("host", "query"),
    [
        ("127.0.0.1:8080", "?customer=alice"),
        ("localhost:8080", "?customer=bob"),
        ("127.0.0.1:8080", ""),
        ("localhost:8080", "?customer=mallory"),
        ("shop.example:8080", "?customer=bob"),
        ("127.0.0.1:port", "?customer=bob"),
    ],
)
async def test_nobody_else_is_sent_anywhere(browser, host, query):
    assert (await browser.get(f"/{query}", headers=at(host))).status_code == 200


@pytest.mark.parametrize(
    ("host", "query", "you"),
    [
        ("127.0.0.1:8080", "", "alice"),
        ("localhost:8080", "", "bob"),
        ("shop.example", "", "alice"),
        ("shop.example", "?customer=bob", "bob"),
    ],
)
async def test_the_page_is_told_who_it_is_for(browser, host, query, you):
    told = await (await browser.get(f"/demo/config.json{query}", headers=at(host))).get_json()
    assert told["you"] == you
    assert told["services"] == URLS.by_name()


async def test_the_page_is_told_where_the_other_customer_lives(browser):
    told = await (await browser.get("/demo/config.json", headers=at("127.0.0.1:8080"))).get_json()
    assert [(c["customerId"], c["home"]) for c in told["customers"]] == [
        (ALICE, "//127.0.0.1:8080/?customer=alice"),
        (BOB, "//localhost:8080/?customer=bob"),
    ]
    elsewhere = await (
        await browser.get("/demo/config.json", headers=at("shop.example"))
    ).get_json()
    assert [c["home"] for c in elsewhere["customers"]] == ["/?customer=alice", "/?customer=bob"]


async def test_signing_in_sets_the_cookie_and_nothing_that_a_script_could_read(browser):
    answer = await browser.post("/demo/login", json={"customerId": BOB})
    assert (
        answer.headers["Set-Cookie"] == f"storefront=token-of-{BOB}; HttpOnly; Path=/; SameSite=Lax"
    )
    assert await answer.get_json() == {"customerId": BOB, "name": "Bob"}
    assert answer.headers["Cache-Control"] == "no-store"


async def test_behind_https_the_cookie_is_secure():
    answer = await open_app(secure=True).post("/demo/login", json={"customerId": BOB})
    assert "; Secure;" in answer.headers["Set-Cookie"]


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"json": {"customerId": "33333333-3333-3333-3333-333333333333"}}, 403),
        ({"json": {"customerId": 7}}, 400),
        ({"data": b"{", "headers": {"Content-Type": "application/json"}}, 400),
        # What a form of another origin could send without a preflight.
        (
            {
                "data": f'{{"customerId":"{BOB}"}}'.encode(),
                "headers": {"Content-Type": "text/plain"},
            },
            415,
        ),
    ],
)
async def test_nobody_else_is_signed_in(browser, request_, status):
    answer = await browser.post("/demo/login", **request_)
    assert (answer.status_code, answer.headers.get("Set-Cookie")) == (status, None)


class Page(HTMLParser):
    """The ids, symbols and addresses of the page."""

    def __init__(self):
        super().__init__()
        self.ids, self.addresses = [], []
        self.feed((UI / "index.html").read_text())

    def handle_starttag(self, _tag, attrs):
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            if name in {"href", "src"}:
                self.addresses.append(value)
            assert name != "style", "the policy blocks style attributes"
            assert not name.startswith("on"), "the policy blocks inline handlers"


SCRIPTS = sorted(UI.glob("shop*.js"))


def test_the_page_asks_nobody_but_its_own_host():
    page = Page()
    own = ("#", "/ui/", "/")
    assert [a for a in page.addresses if not a.startswith(own) or a.startswith("//")] == []
    assert len(page.ids) == len(set(page.ids))
    for address in page.addresses:
        if address.startswith("/ui/"):
            assert (UI / address.removeprefix("/ui/")).is_file()
        if address.startswith("#"):
            assert address[1:] in page.ids


def test_every_element_that_a_script_looks_up_is_on_the_page():
    ids = set(Page().ids)
    for script in SCRIPTS:
        wanted = re.findall(r'(?:byId|copy)\("([^"]+)"\)', script.read_text())
        assert set(wanted) <= ids, script.name


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_no_script_writes_data_as_markup_or_reaches_out(script):
    source = script.read_text()
    for forbidden in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "http://",
        "https://",
    ):
        assert forbidden not in source
