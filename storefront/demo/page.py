"""The shop page, as a blueprint for the Storefront's own app: files, who is who, signing in.

Two customers can be looked at side by side in one browser although a native EventSource sends
nothing but cookies, and cookies belong to a host name: Alice shops at 127.0.0.1 and Bob at
localhost. The same server answers to both names and a browser keeps a jar for each. Under any other
name there is one jar, and whoever signed in last is who the browser is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta
from quart import Blueprint, Response, abort, redirect, request
from werkzeug.wrappers import Response as WerkzeugResponse

from storefront.demo.addresses import ServiceUrls
from storefront.demo.customers import ALICE, BOB
from storefront.demo.files import StaticFile, load_files

# Mints a token for a customer's id.
MintToken = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Shopper:
    """A customer to be opened with one click. `host`: the name of this machine that is theirs."""

    slug: str
    name: str
    customer_id: str
    host: str


SHOPPERS = (
    Shopper("alice", "Alice", ALICE, "127.0.0.1"),
    Shopper("bob", "Bob", BOB, "localhost"),
)
_BY_SLUG = {shopper.slug: shopper for shopper in SHOPPERS}
_BY_HOST = {shopper.host: shopper for shopper in SHOPPERS}


_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class SignIn(msgspec.Struct, frozen=True, rename="camel"):
    customer_id: Annotated[str, Meta(max_length=36)]


def demo_pages(
    urls: ServiceUrls, mint_token: MintToken, *, cookie_name: str, secure: bool
) -> Blueprint:
    """`/`, `/ui/…`, `/demo/config.json` and `POST /demo/login`. None of them may ask for a token.

    Args:
        urls: where the simulated services are, for whoever wants to look behind the shop. The page
            itself asks nobody but the Storefront.
        mint_token: makes the token that goes into the cookie.
        cookie_name: as the Storefront reads it.
        secure: whether the cookie is for HTTPS only.
    """
    pages = _Pages(urls, mint_token, cookie_name=cookie_name, secure=secure)
    blueprint = Blueprint("demo_pages", __name__)
    blueprint.add_url_rule("/", "shop", pages.shop)
    blueprint.add_url_rule("/ui/<path:name>", "file", pages.file)
    blueprint.add_url_rule("/demo/config.json", "config", pages.config)
    blueprint.add_url_rule("/demo/login", "login", pages.login, methods=["POST"])
    return blueprint


class _Pages:
    def __init__(
        self, urls: ServiceUrls, mint_token: MintToken, *, cookie_name: str, secure: bool
    ) -> None:
        self._urls = urls.by_name()
        self._mint_token = mint_token
        self._cookie_name = cookie_name
        self._secure = secure
        self._files = load_files()
        self._headers = {
            "Cache-Control": "no-cache",
            "Content-Security-Policy": _POLICY,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "same-origin",
        }

    async def shop(self) -> Response | WerkzeugResponse:
        host, port = _our_name()
        shopper = _BY_SLUG.get(request.args.get("customer", ""))
        if shopper is not None and host in _BY_HOST and host != shopper.host:
            return redirect(_home(shopper, host, port), 307)
        return self._send(self._files["index.html"])

    async def file(self, name: str) -> Response:
        if name not in self._files:
            abort(404)
        return self._send(self._files[name])

    async def config(self) -> Response:
        """Where the services are, who can be opened, and who you are by the name you came by."""
        host, port = _our_name()
        you = _BY_SLUG.get(request.args.get("customer", "")) or _BY_HOST.get(host) or SHOPPERS[0]
        customers = [
            {
                "slug": shopper.slug,
                "name": shopper.name,
                "customerId": shopper.customer_id,
                "home": _home(shopper, host, port),
            }
            for shopper in SHOPPERS
        ]
        told = {"you": you.slug, "customers": customers, "services": self._urls}
        return self._json(told)

    async def login(self) -> Response:
        """Sign in as one of the two, without a password: it is a demo.

        A page of another origin cannot do it to a visitor: the content type takes a preflight.
        """
        if request.mimetype != "application/json":
            abort(415)
        try:
            wish = msgspec.json.decode(await request.get_data(as_text=False), type=SignIn)
        except msgspec.DecodeError:
            abort(400)
        shopper = next((s for s in SHOPPERS if s.customer_id == wish.customer_id), None)
        if shopper is None:
            abort(403)
        response = self._json({"customerId": shopper.customer_id, "name": shopper.name})
        response.set_cookie(
            self._cookie_name,
            self._mint_token(shopper.customer_id),
            path="/",
            httponly=True,
            samesite="Lax",
            secure=self._secure,
        )
        return response

    def _send(self, file: StaticFile) -> Response:
        response = Response(file.content, headers=self._headers, content_type=file.content_type)
        response.set_etag(file.etag)
        if request.if_none_match.contains(file.etag):
            response.status_code = 304
            response.set_data(b"")
        return response

    def _json(self, value: Mapping[str, object]) -> Response:
        body = msgspec.json.encode(value)
        headers = self._headers | {"Cache-Control": "no-store"}
        return Response(body, headers=headers, content_type="application/json; charset=utf-8")


def _our_name() -> tuple[str, int | None]:
    """The host name and port that the browser used for us."""
    try:
        parts = urlsplit(f"//{request.host}")
        port = parts.port
    except ValueError:
        return "", None
    return parts.hostname or "", port


def _home(shopper: Shopper, host: str, port: int | None) -> str:
    """Where this shopper is to be opened by somebody who came by `host`; without a scheme, which
    stays what it is.
    """
    where = f"?customer={shopper.slug}"
    if host not in _BY_HOST:
        return f"/{where}"
    return f"//{shopper.host}{'' if port is None else f':{port}'}/{where}"
