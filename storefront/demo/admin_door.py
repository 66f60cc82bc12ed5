"""`/demo/admin`: a link that makes whoever follows it the demo's administrator.

Nobody needs a password in a demo; in production there is no such route. The cookie is not the
customers', so whoever shops in this browser goes on shopping.
"""

from __future__ import annotations

from collections.abc import Callable

from quart import Blueprint, redirect
from werkzeug.wrappers import Response

# Makes a token for staff.
MintStaff = Callable[[], str]


def admin_door(mint_staff: MintStaff, *, cookie_name: str, secure: bool) -> Blueprint:
    """The link.

    Args:
        mint_staff: makes the token that goes into the cookie.
        cookie_name: as /admin reads it.
        secure: whether the cookie is for HTTPS only.
    """
    blueprint = Blueprint("demo_admin", __name__)

    @blueprint.get("/demo/admin")
    async def enter() -> Response:  # noqa: ASYNC124 - Quart would run another in a thread
        answer = redirect("/admin", 303)
        answer.set_cookie(
            cookie_name, mint_staff(), path="/", httponly=True, samesite="Strict", secure=secure
        )
        answer.headers["Cache-Control"] = "no-store"
        return answer

    return blueprint
