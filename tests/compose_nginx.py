"""deploy/nginx.conf as nginx reads it: directives with their words, and blocks of them. Nothing is judged here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.compose import ROOT

NGINX_FILE = ROOT / "deploy" / "nginx.conf"

# A comment, a text in quotation marks, a mark, or a word.
TOKEN = re.compile(r"""#[^\n]*|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[{};]|[^\s{};"']+""")
SIZES = {"k": 1024, "m": 1024**2}


@dataclass
class Directive:
    """One directive; a simple one has an empty block."""

    name: str
    words: list[str]
    block: list[Directive] = field(default_factory=list)


def read_nginx(path: Path = NGINX_FILE) -> list[Directive]:
    """What stands outside every block of the file, with what is in their blocks.

    Raises:
        ValueError: a block or a directive has no end.
    """
    tokens = [token for token in TOKEN.findall(path.read_text("utf-8")) if token[0] != "#"]
    found, rest = _block(tokens)
    if rest:
        raise ValueError(f"{path.name} ends before {' '.join(rest[:3])}")
    return found


def _block(tokens: list[str]) -> tuple[list[Directive], list[str]]:
    found: list[Directive] = []
    while tokens and tokens[0] != "}":
        end = next((n for n, token in enumerate(tokens) if token in {";", "{"}), None)
        if end is None:
            raise ValueError(f"{' '.join(tokens[:3])} has no end")
        name, *words = (token.strip("\"'") for token in tokens[:end])
        block: list[Directive] = []
        opened, tokens = tokens[end] == "{", tokens[end + 1 :]
        if opened:
            block, tokens = _block(tokens)
            if not tokens:
                raise ValueError(f"{name} is not closed")
            tokens = tokens[1:]
        found.append(Directive(name, words, block))
    return found, tokens


def every(directives: Sequence[Directive], name: str) -> Iterator[Directive]:
    """All directives of this name, in whatever block."""
    for each in directives:
        if each.name == name:
            yield each
        yield from every(each.block, name)


def location(directives: Sequence[Directive], *words: str) -> list[Directive]:
    """What is said in one location.

    Raises:
        ValueError: there is none, or several.
    """
    (found,) = (each for each in every(directives, "location") if each.words == list(words))
    return found.block


def last_word(directives: Sequence[Directive], name: str) -> str:
    """The last word of the only directive of this name.

    Raises:
        ValueError: there is none, or several.
    """
    (found,) = every(directives, name)
    return found.words[-1]


def octets(size: str) -> int:
    """`16k` is 16384."""
    return int(size[:-1]) * SIZES[size[-1]] if size[-1] in SIZES else int(size)
