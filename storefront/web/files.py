"""What does not change while the process lives, and is nobody's in particular: pages, styles,
scripts, each with a tag by which a browser asks whether it has it already.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Self

from quart import Response, request

UI = Path(__file__).parents[1] / "ui"

# By suffix; a file with another one is of no kind that is served by itself.
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file as it travels."""

    content: bytes
    content_type: str
    etag: str

    @classmethod
    def of(cls, content: bytes, content_type: str) -> Self:
        """These bytes."""
        return cls(content, content_type, sha256(content).hexdigest()[:16])

    @classmethod
    def at(cls, path: Path) -> Self:
        """A file of one of TYPES, read now.

        Raises:
            KeyError: it is of another.
            OSError: it cannot be read.
        """
        return cls.of(path.read_bytes(), TYPES[path.suffix])


def send_file(file: StaticFile, headers: Mapping[str, str]) -> Response:
    """The file, or 304 where the browser that asks now has it; never taken for another type."""
    response = Response(file.content, headers=dict(headers), content_type=file.content_type)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.set_etag(file.etag)
    if request.if_none_match.contains(file.etag):
        response.status_code = 304
        response.set_data(b"")
    return response
