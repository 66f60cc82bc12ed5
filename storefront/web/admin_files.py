"""The dashboard's files, read once: a page, its style and scripts, and the library of its charts.

They hold nothing of anybody's, so everybody may have them.
"""

from __future__ import annotations

from quart import Response, abort

from storefront.web.files import TYPES, UI, StaticFile, send_file

_PAGE = "admin.html"
# Our own scripts and styles from our own place; no inline ones, no pictures from elsewhere, and
# nobody frames it. What the library sets on elements it has made is no inline style to a browser.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
}


class AdminFiles:
    """The files by their names below ui/: those of the dashboard, and no others."""

    def __init__(self) -> None:
        paths = [*UI.glob("admin*"), *(UI / "vendor").glob("uPlot*"), UI / "favicon.svg"]
        self._files = {
            path.relative_to(UI).as_posix(): StaticFile.at(path)
            for path in paths
            if path.suffix in TYPES
        }

    async def page(self) -> Response:
        """The page, empty."""
        return send_file(self._files[_PAGE], _HEADERS)

    async def file(self, name: str) -> Response:
        """What it is made of."""
        if name not in self._files:
            abort(404)
        return send_file(self._files[name], _HEADERS)
