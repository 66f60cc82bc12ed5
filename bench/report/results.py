"""The run as a file: results.json, with the machine, the settings, every row and every verdict.

Raw samples lie beside it (`samples/*.npz`, columns of nanoseconds), so that any figure can be
worked out again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from bench.measure.machine import machine
from bench.options import Options
from bench.peers.running import SETTINGS
from bench.report.rows import Row, Verdict

RESULTS = Path(__file__).parents[1] / "results"


def write(
    folder: Path, options: Options, began: str, rows: Sequence[Row], verdicts: Sequence[Verdict]
) -> Path:
    """Write results.json; its path."""
    found = {
        "began": began,
        "options": asdict(options),
        "machine": machine(),
        "peers": {name: list(words) for name, words in SETTINGS.items()} if options.peers else {},
        "verdicts": [asdict(verdict) for verdict in verdicts],
        "rows": [row.as_json() for row in rows],
    }
    path = folder / "results.json"
    path.write_text(json.dumps(found, indent=1, default=_plain) + "\n")
    return path


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} is no figure")
