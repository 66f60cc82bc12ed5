"""An OpenTelemetry collector that takes spans, reads them, and says how many it has got.

    python -m bench.servers.collector PORT

In a process of its own, as a real one would be: what it costs is not the service's.
"""

from __future__ import annotations

import gzip
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from bench.children import REPOSITORY
from tests.system.servers.ports import LOOPBACK, answers, free_port
from tests.system.servers.process import ServerProcess

SPANS = "/v1/traces"


class Collector(ServerProcess):
    """The program, from outside."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        super().__init__(
            "collector",
            [sys.executable, "-m", "bench.servers.collector", str(self.port)],
            folder=folder,
            ready=lambda: answers(self.port, b"GET / HTTP/1.0\r\n\r\n", b"HTTP/1.0 200"),
            environment={"PYTHONPATH": str(REPOSITORY)},
        )

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"


class Handler(BaseHTTPRequestHandler):
    """POST takes spans, GET says how many came."""

    got = 0
    lock = threading.Lock()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        asked = ExportTraceServiceRequest.FromString(body)
        spans = sum(len(scope.spans) for each in asked.resource_spans for scope in each.scope_spans)
        with Handler.lock:
            Handler.got += spans
        self._say(ExportTraceServiceResponse().SerializeToString(), "application/x-protobuf")

    def do_GET(self) -> None:
        self._say(str(Handler.got).encode(), "text/plain")

    def log_message(self, *_: object) -> None:  # what the base class would write for each request
        pass

    def _say(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer((LOOPBACK, int(sys.argv[1])), Handler).serve_forever()
