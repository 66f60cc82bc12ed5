"""A request to a Caller: by bearer token, or by the cookie from a page of ours."""

from __future__ import annotations

from quart import Request

from storefront.errors import AuthenticationError, ForbiddenError
from storefront.settings import AuthSettings
from storefront.web.auth import Caller, Tokens
from storefront.web.origins import cookie_may_speak


def caller_of(
    request: Request, tokens: Tokens, auth: AuthSettings, *, cookie_name: str | None = None
) -> Caller:
    """Who asks; `cookie_name` where it is not the customers' cookie.

    Raises:
        AuthenticationError: nothing proves it.
        ForbiddenError: the cookie came from a page that is not ours.
        KeysAwayError: whether it is proved cannot be told for now.
    """
    return tokens.read(_token_of(request, auth, cookie_name or auth.cookie_name))


async def await_key(request: Request, tokens: Tokens, auth: AuthSettings) -> None:
    """Where keys are fetched: let a token that names a new one wait a moment for it.

    Apart from `caller_of`, so that finding out who asks never waits.
    """
    try:
        token = _token_of(request, auth, auth.cookie_name)
    except (AuthenticationError, ForbiddenError):
        return  # whoever needs to know who asks will say so
    await tokens.know_key_of(token)


def _token_of(request: Request, auth: AuthSettings, cookie_name: str) -> str:
    header = request.headers.get("Authorization")
    if header is not None:
        scheme, _, token = header.partition(" ")
        # RFC 9110's white space only: what `strip` also takes for it would be passed on with it.
        token = token.strip(" \t")
        if scheme.lower() != "bearer" or not token:
            raise AuthenticationError("expected a bearer token")
        return token
    cookie = request.cookies.get(cookie_name)
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
    return cookie
