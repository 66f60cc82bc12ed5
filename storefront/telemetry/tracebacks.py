"""An exception in the log: where it happened, of what class, and its words only if they are ours.

A `KeyError` says the key, a `ValueError` often the value, and either may be a token or somebody's
street. So of a foreign exception its words are left out: the stack names the line, and a developer
who needs them sets the level to debug. Local variables are never told.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator

from storefront.errors import StorefrontError

# Of these the words are names in a program, or written by us to be read.
_HARMLESS = (
    StorefrontError,
    AssertionError,
    AttributeError,
    ImportError,
    NameError,
    NotImplementedError,
    RecursionError,
    MemoryError,
)
_LEFT_OUT = "(its words are told at level debug only)"
# A chain or a tree that is deeper is a bug of its own, and one line tells so.
_DEEPEST = 20


def told(error: BaseException, *, in_full: bool = False) -> str:
    """The traceback of an exception, its causes and the members of its group.

    Args:
        error: what happened.
        in_full: with the words of foreign exceptions.
    """
    return "\n".join(_lines(error, in_full, 0))


def words(error: BaseException, *, in_full: bool = False) -> str:
    """An exception in one line."""
    kind = type(error)
    name = kind.__qualname__
    if kind.__module__ not in {"builtins", "__main__"}:
        name = f"{kind.__module__}.{name}"
    if isinstance(error, BaseExceptionGroup):
        return f"{name}: {len(error.exceptions)} of them"
    if isinstance(error, OSError) and not in_full:
        # Without the name of a file, and whatever a library put in its place.
        return f"{name}: errno {error.errno}" if error.errno is not None else name
    said = str(error)
    if not said:
        return name
    harmless = isinstance(error, _HARMLESS) or kind.__module__.partition(".")[0] == "trio"
    return f"{name}: {said if in_full or harmless else _LEFT_OUT}"


def _lines(error: BaseException, in_full: bool, depth: int) -> Iterator[str]:
    if depth > _DEEPEST:
        yield "..."
        return
    before, how = error.__cause__, "the direct cause of"
    if before is None and not error.__suppress_context__:
        before, how = error.__context__, "handled during"
    if before is not None:
        yield from _lines(before, in_full, depth + 1)
        yield f"\nThe above exception was {how} the following one:\n"
    if error.__traceback__ is not None:
        yield "Traceback (most recent call last):"
        yield "".join(traceback.format_tb(error.__traceback__)).rstrip("\n")
    yield words(error, in_full=in_full)
    if isinstance(error, BaseExceptionGroup):
        for number, member in enumerate(error.exceptions, 1):
            yield f"  --- {number} of {len(error.exceptions)} ---"
            for line in _lines(member, in_full, depth + 1):
                yield "\n".join(f"  {piece}" for piece in line.split("\n"))
