"""Everything about Hypercorn: the socket it listens on, how it leaves, and what is corrected in it.

* `sockets`        the listening socket, and what its connections inherit
* `server`         `serve_http`: one application on one socket until the drain is over
* `door`           who is connected
* `peer`           one browser's TCP connection: what it may do, for how long, how it ends
* `wire`           bytes to it: at once, or patiently, or never
* `http1`          HTTP/1.1 on it
* `http2`          HTTP/2 on it: what the peer sends; `allowance` what that may cost us (PURE)
* `http2_answers`  ... and what we send; `outflow` the windows
* `apps`           running the application for a request; `mailbox` what the client sends it
* `patience`       how long a write waits
* `drain`          leaving, as one small object
* `connection`     what an application may know: why its connection ended
* `limits`         the bounds per connection
* `watch`          what is counted
* `corrections`    what is wrong in the Hypercorn we are pinned to, and where it is made right

No other room may name Hypercorn, h11 or h2. Nobody who connects can hold the process, whatever they
send or refuse to read.
"""

from storefront.serving.connection import Connection, ConnectionStatistics
from storefront.serving.drain import Drain
from storefront.serving.limits import Limits
from storefront.serving.server import Tls, serve_http
from storefront.serving.sockets import open_listening_socket
from storefront.serving.watch import ServingStatistics, ServingWatch

__all__ = [
    "Connection",
    "ConnectionStatistics",
    "Drain",
    "Limits",
    "ServingStatistics",
    "ServingWatch",
    "Tls",
    "open_listening_socket",
    "serve_http",
]
