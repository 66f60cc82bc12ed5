"""The dashboard's files, read once: a page, its style and scripts, and the library of its charts.

They hold nothing of anybody's, so everybody may have them.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from quart import Response, abort, request

_UI = Path(__file__).parent.parent / "ui"
_PAGE = "admin.html"
# By suffix; a file with another one is not served.
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
# Our own scripts and styles from our own place; no inline ones, no pictures from elsewhere, and
# nobody frames it. What the library sets on elements it has made is no inline style to a browser.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class AdminFiles:
    """The files by their names below ui/: those of the dashboard, and no others."""

    def __init__(self) -> None:
        paths = [*_UI.glob("admin*"), *(_UI / "vendor").glob("uPlot*"), _UI / "favicon.svg"]
        self._files = {
            path.relative_to(_UI).as_posix(): (path.read_bytes(), _TYPES[path.suffix])
            for path in paths
            if path.suffix in _TYPES
        }

    async def page(self) -> Response:
        """The page, empty."""
        return self._send(_PAGE)

    async def file(self, name: str) -> Response:
        """What it is made of."""
        if name not in self._files:
            abort(404)
        return self._send(name)

    def _send(self, name: str) -> Response:
        content, content_type = self._files[name]
        response = Response(content, content_type=content_type)
        response.headers["Cache-Control"] = "no-cache"
        response.headers["Content-Security-Policy"] = POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        tag = sha256(content).hexdigest()[:16]
        response.set_etag(tag)
        if request.if_none_match.contains(tag):
            response.status_code = 304
            response.set_data(b"")
        return response
