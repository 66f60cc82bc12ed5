"""A request to a Caller: by bearer token, or by the cookie from a page of ours."""

from __future__ import annotations

from quart import Request

from storefront.errors import AuthenticationError, ForbiddenError
from storefront.settings import AuthSettings
from storefront.web.auth import Caller, Tokens
from storefront.web.origins import cookie_may_speak


def caller_of(request: Request, tokens: Tokens, auth: AuthSettings) -> Caller:
    """Who asks.

    Raises:
        AuthenticationError: nothing proves it.
        ForbiddenError: the cookie came from a page that is not ours.
    """
    header = request.headers.get("Authorization")
    if header is not None:
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise AuthenticationError("expected a bearer token")
        return tokens.read(token.strip())
    cookie = request.cookies.get(auth.cookie_name)
    if not cookie:
        raise AuthenticationError("no token was sent")
    if not cookie_may_speak(
        request.method,
        origin=request.headers.get("Origin"),
        fetch_site=request.headers.get("Sec-Fetch-Site"),
        host=request.host,
        origins=auth.cors_origins,
    ):
        raise ForbiddenError("the cookie is not taken from this page")
    return tokens.read(cookie)
