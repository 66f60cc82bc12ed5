"""What a Redis says when it does not do what it was asked, and whose fault that is. PURE.

Nearly everything is the server's trouble: no memory, a replica, a full disk. It concerns everybody
who has keys there, and passes as a whole; a slot without an owner, or in two halves, likewise those
who have keys in it. But a key of a wrong type, or one that makes a script stumble, is one
customer's (or one order's): it stays until a person has mended it, and must hold nobody else.
"""

from __future__ import annotations

import re

from redis.exceptions import ResponseError

from storefront.store.contract import Refused

WRONG_TYPE, SCRIPT_ERROR = "wrong-type", "script-error"
# What is refused for the keys' own sake.
OWN = frozenset({WRONG_TYPE, SCRIPT_ERROR})

_KINDS = {
    "WRONGTYPE": WRONG_TYPE,
    "OOM": "out-of-memory",
    "READONLY": "read-only",
    "LOADING": "loading",
    "MISCONF": "disk",
    "NOREPLICAS": "no-replicas",
    "NOAUTH": "not-allowed",
    "NOPERM": "not-allowed",
    "WRONGPASS": "not-allowed",
    "CLUSTERDOWN": "cluster",
    "TRYAGAIN": "cluster",
    "MOVED": "cluster",
    "ASK": "cluster",
    "MASTERDOWN": "cluster",
    "BUSY": "busy",
}
# An answer begins with its code, that of Redis 6 has it somewhere behind the script's name;
# redis-py cuts some of them off, and keeps them beside the text.
_CODE = re.compile(rf"\b({'|'.join(_KINDS)})\b")
# Redis 7's words for an error inside a script, and Redis 6's.
_STUMBLED = re.compile(r"user_script|Error running script")


def kind_of(error: BaseException | None) -> str:
    """The refusal in a word, for a metric; "timeout" or "unreachable" where there was no answer of
    a Redis.
    """
    if isinstance(error, TimeoutError):
        return "timeout"
    text = str(error)
    found = _CODE.search(f"{getattr(error, 'status_code', None) or ''} {text}")
    if found is not None:
        return _KINDS[found[1]]
    if _STUMBLED.search(text):
        return SCRIPT_ERROR
    return "other" if isinstance(error, ResponseError) else "unreachable"


def refused(error: ResponseError) -> Refused | None:
    """The refusal of one command for its keys' sake; None where it is the server's trouble."""
    kind = kind_of(error)
    return Refused(kind, str(error)) if kind in OWN else None


def is_of_slot(error: ResponseError) -> bool:
    """Whether it is the trouble of one slot of a cluster, and not of the server that says so."""
    return kind_of(error) == "cluster" and "slot" in str(error)
