"""The page's files, read once: small, few, and never written while the service runs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

UI = Path(__file__).parent.parent / "ui"

# By suffix; a file with another one is not served.
_TYPES = {
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


def load_files(folder: Path = UI) -> dict[str, StaticFile]:
    """Every file of the folder that may be served, by its path below it."""
    return {
        path.relative_to(folder).as_posix(): _load(path)
        for path in sorted(folder.rglob("*"))
        if path.suffix in _TYPES
    }


def _load(path: Path) -> StaticFile:
    content = path.read_bytes()
    return StaticFile(content, _TYPES[path.suffix], hashlib.sha256(content).hexdigest()[:16])
