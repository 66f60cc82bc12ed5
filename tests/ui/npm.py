"""Other people's browser code, for tests to run in Chromium: fetched once by npm, and known by its hash.

What is fetched lies in .artefacts/npm, so a second run needs no network. npm decides where from.
"""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

FETCHED = Path(__file__).parents[2] / ".artefacts" / "npm"
PATIENCE = 120.0  # seconds for one small package


@dataclass(frozen=True)
class Package:
    """A package of this version, whose tarball has this SHA-512 (as a lock file writes it)."""

    name: str
    version: str
    sha512: str

    def files(self) -> dict[str, str]:
        """Its texts, by their paths in it."""
        with tarfile.open(fileobj=BytesIO(self._tarball())) as packed:
            members = [each for each in packed.getmembers() if each.isfile()]
            return {
                each.name.partition("/")[2]: packed.extractfile(each)
                .read()
                .decode(errors="replace")
                for each in members
            }

    def _tarball(self) -> bytes:
        kept = FETCHED / f"{self.name.replace('/', '-')}-{self.version}.tgz"
        if not kept.exists() or not self._is_it(kept.read_bytes()):
            self._fetch(kept)
        content = kept.read_bytes()
        assert self._is_it(content), (
            f"{self.name} {self.version} is not the package that was pinned"
        )
        return content

    def _is_it(self, content: bytes) -> bool:
        return base64.b64encode(hashlib.sha512(content).digest()).decode() == self.sha512

    def _fetch(self, kept: Path) -> None:
        FETCHED.mkdir(parents=True, exist_ok=True)
        # A folder of its own: another worker may be fetching the same.
        with tempfile.TemporaryDirectory(dir=FETCHED) as folder:
            subprocess.run(
                ["npm", "pack", "--silent", f"{self.name}@{self.version}"],
                cwd=folder, check=True, capture_output=True, timeout=PATIENCE,
                env={**os.environ, "npm_config_update_notifier": "false"},
            )  # fmt: skip
            (fetched,) = Path(folder).glob("*.tgz")
            fetched.replace(kept)


EVENTSOURCE = Package(
    "eventsource",
    "4.1.1",
    "D6bTRWh6KahHTK/m4WnjPQyEinNPf9eFLEZSEoj7d6fTibspnAVYfzHvirL7u/aoX5d9YYfIkBVAhmigUELk9w==",
)
EVENTSOURCE_PARSER = Package(
    "eventsource-parser",
    "3.1.1",
    "EKN1vKAMcZ8MlYMpaNuxN6R9yakzH6uajHcHVTqWJzvu5pWw9DyhbP35HH8MVBQ+dZjAfDxk+A8NiR9KWaXiyQ==",
)
FETCH_EVENT_SOURCE = Package(
    "@microsoft/fetch-event-source",
    "2.0.1",
    "W6CLUJ2eBMw3Rec70qrsEW0jOm/3twwJv21mrmj2yORiaVmVYGS4sSS5yUwvQc1ZlDLYGPnClVWmUUMagKNsfA==",
)
AXE = Package(
    "axe-core",
    "4.14.1",
    "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
)
