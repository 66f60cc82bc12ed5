"""Shopping or Catalog, answering a fixed time after the question, from a process of its own.

    python -m bench.servers.neighbours shopping|catalog PORT MILLISECONDS SKUS

Not the demo's services: those are built on the same libraries as the service under test and take
milliseconds of their own; "a service that answers in 20 ms" should be that and nothing else.
asyncio's own protocol does it in 50 µs. A cart of customer n holds SKUS products that no other cart
holds, unless SHARED is said for them: then all hold the same.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass

from bench.load import messages

SHARED = "shared"
JSON = b"application/json"


@dataclass(frozen=True, slots=True)
class Answers:
    """What a service says to a path."""

    service: str
    skus: int
    shared: bool

    def to(self, path: str) -> bytes | None:
        """The body; None for no such thing."""
        last = path.partition("?")[0].rpartition("/")[2]
        if self.service == "catalog":
            return _json(product(last))
        # A customer's id in the place of a cart's, as the design document has it; or a cart's.
        index = int(last[-12:], 16)
        return _json(self._cart(index))

    def _cart(self, index: int) -> dict[str, object]:
        owner = "S" if self.shared else f"{index:x}".upper()
        lines = [
            {"sku": f"BENCH-{owner}-{n}", "quantity": 2, "unitPrice": 19.99}
            for n in range(self.skus)
        ]
        return {
            "cartId": messages.cart(index),
            "customerId": messages.customer(index),
            "sessionId": None,
            "initializedAt": messages.WHEN,
            "status": "Active",
            "items": lines,
            "totalAmount": round(39.98 * self.skus, 2),
        }


def product(sku: str) -> dict[str, object]:
    """A product of Catalog (contracts.md, section 2.3)."""
    return {
        "id": sku,
        "sku": sku,
        "name": f"Bowl {sku}",
        "description": "A bowl of stainless steel that does not slide over the floor.",
        "longDescription": None,
        "category": "Dogs",
        "subcategory": None,
        "brand": "Bench",
        "images": [{"url": f"https://cdn.example/{sku}.jpg", "altText": "A bowl", "sortOrder": 0}],
        "tags": ["steel", "bowl"],
        "dimensions": None,
        "status": 0,
        "isDeleted": False,
        "addedAt": messages.WHEN,
        "updatedAt": None,
    }


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


class Desk(asyncio.Protocol):
    """One connection; questions are answered in order, each so long after it came."""

    def __init__(self, answers: Answers, seconds: float) -> None:
        self._answers = answers
        self._seconds = seconds
        self._rest = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """GETs have no body."""
        *heads, self._rest = (self._rest + data).split(b"\r\n\r\n")
        for head in heads:
            path = head.split(b" ", 2)[1].decode()
            asyncio.get_running_loop().call_later(self._seconds, self._answer, path)

    def _answer(self, path: str) -> None:
        body = self._answers.to(path)
        status = b"404 Not Found" if body is None else b"200 OK"
        body = body or b""
        self._transport.write(
            b"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s"
            % (status, JSON, len(body), body)
        )


async def serve(service: str, port: int, milliseconds: float, skus: int, *, shared: bool) -> None:
    """Serve until killed."""
    answers = Answers(service, skus, shared)
    server = await asyncio.get_running_loop().create_server(
        lambda: Desk(answers, milliseconds / 1000), "127.0.0.1", port, backlog=1024
    )
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(
        serve(
            sys.argv[1],
            int(sys.argv[2]),
            float(sys.argv[3]),
            int(sys.argv[4]),
            shared=SHARED in sys.argv,
        )
    )
