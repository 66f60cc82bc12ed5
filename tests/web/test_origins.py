"""Which pages are believed for their cookie, and which may read what we answer."""

from __future__ import annotations

import pytest

from storefront.web.origins import cookie_may_speak, cors_headers, preflight_headers

OURS = ("https://www.shop.example", "http://localhost:5238")
HOST = "api.shop.example"
SAFE, CHANGING = ("GET", "HEAD", "OPTIONS"), ("POST", "PUT", "DELETE", "PATCH")


def may(method="GET", *, origin=None, site=None, host=HOST) -> bool:
    return cookie_may_speak(method, origin=origin, fetch_site=site, host=host, origins=OURS)


@pytest.mark.parametrize("method", SAFE + CHANGING)
@pytest.mark.parametrize("origin", [*OURS, f"https://{HOST}", f"http://{HOST}"])
def test_a_page_of_ours_and_a_page_of_this_host_are_believed(origin, method):
    assert may(method, origin=origin)


@pytest.mark.parametrize("method", SAFE + CHANGING)
@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "",
        "https://www.shop.example.evil.example",
        "https://evil.example/https://www.shop.example",
        "https://www.shop.example/",
        "https://www.shop.example:8443",
        "http://www.shop.example",
        "https://WWW.SHOP.EXAMPLE",
        "https://shop.example",
        "https://notapi.shop.example",
        f"https://{HOST}:8443",
        f"https://{HOST}.",
        f"https://{HOST}@evil.example",
        f"https://evil.example#{HOST}",
        "http://localhost:5239",
        "http://localhost",
        "https://[",
        "*",
        "file://",
    ],
)
def test_any_other_page_is_not_even_to_read(origin, method):
    assert not may(method, origin=origin)
    assert not may(method, origin=origin, site="same-origin")


@pytest.mark.parametrize("host", ["", None])
def test_a_page_without_a_name_is_not_taken_for_a_host_without_one(host):
    for origin in ("null", "", "file://", "data:"):
        assert not may(origin=origin, host=host or "")


def test_a_host_is_named_in_any_case():
    assert may("POST", origin=f"https://{HOST}", host=HOST.upper())


@pytest.mark.parametrize("site", ["cross-site", "same-site", "", "anything"])
@pytest.mark.parametrize("method", SAFE + CHANGING)
def test_a_foreign_page_that_names_no_origin_is_known_by_what_the_browser_says_of_it(method, site):
    assert not may(method, site=site)


@pytest.mark.parametrize("site", ["same-origin", "none"])
@pytest.mark.parametrize("method", SAFE + CHANGING)
def test_a_page_of_this_host_or_an_address_typed_in_is_believed(method, site):
    assert may(method, site=site)


@pytest.mark.parametrize("method", CHANGING)
def test_the_same_host_without_tls_is_another_site_and_the_browser_says_so(method):
    """Whoever sits on the network can write a page of http://our-host, and have it ask https://our-host."""
    assert not may(method, origin=f"http://{HOST}", site="cross-site")
    assert may(method, origin=OURS[0], site="cross-site")


@pytest.mark.parametrize("method", SAFE)
def test_a_request_without_both_headers_may_read(method):
    assert may(method)


@pytest.mark.parametrize("method", [*CHANGING, "get", "TRACE", "CONNECT", "ANYTHING"])
def test_a_request_without_both_headers_changes_nothing(method):
    assert not may(method)


def test_a_page_of_ours_reads_answers_with_its_credentials():
    for origin in OURS:
        assert cors_headers(origin, OURS) == {
            "Vary": "Origin",
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Credentials": "true",
            "Access-Control-Expose-Headers": "Cache-Status, ETag, Location, Retry-After, Server-Timing, Storefront-Meta",
        }


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "",
        "null",
        "*",
        "https://evil.example",
        "https://www.shop.example.evil.example",
        "http://localhost:52380",
    ],
)
def test_any_other_reads_nothing_and_no_cache_mixes_them(origin):
    assert cors_headers(origin, OURS) == {"Vary": "Origin"}


def test_with_no_page_of_ours_nobody_reads():
    assert cors_headers("https://www.shop.example", ()) == {"Vary": "Origin"}


def test_a_preflight_names_what_the_browser_client_sends():
    told = preflight_headers()
    assert set(told["Access-Control-Allow-Headers"].split(", ")) == {
        "Authorization",
        "Content-Type",
        "Idempotency-Key",
        "If-None-Match",
        "Last-Event-ID",
        "Traceparent",
        "Tracestate",
    }
    assert "*" not in "".join(told.values())
