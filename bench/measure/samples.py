"""Raw samples: columns of whole numbers in a file.

A program of the harness writes them plainly (`write`), without numpy, which takes longer to import
than the program to start. What is kept beside the results is compressed (`keep`), so that any
figure can be worked out again.
"""

from __future__ import annotations

import json
from array import array
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Column = np.ndarray[Any, np.dtype[np.int64]]
else:
    Column = Any


def write(path: str | Path, **columns: array[int]) -> None:
    """A line of JSON (name and length of each column), then their bytes, eight to a number."""
    head = json.dumps({name: len(column) for name, column in columns.items()}).encode()
    body = b"".join(array("q", column).tobytes() for column in columns.values())
    Path(path).write_bytes(head + b"\n" + body)


def read(path: str | Path) -> dict[str, Column]:
    """The columns of such a file."""
    import numpy as np  # noqa: PLC0415 - see the module

    head, _, body = Path(path).read_bytes().partition(b"\n")
    found, at = {}, 0
    for name, length in json.loads(head).items():
        found[name] = np.frombuffer(body, np.int64, length, at)
        at += 8 * length
    return found


def keep(path: Path, **columns: Column) -> None:
    """Write the columns, compressed; the name ends with .npz."""
    import numpy as np  # noqa: PLC0415 - see the module

    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **columns)  # type: ignore[arg-type] # numpy's stub takes a column for the flag
