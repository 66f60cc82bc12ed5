"""What is wrong in the Hypercorn we are pinned to, and where it is made right.

    fault of Hypercorn 0.18.0 on Trio                                          made right in
    ----------------------------------------------------------------------------------------
    a write is shielded and has no deadline: a browser that stops reading      wire
      holds the process for ever
    a write that meets the connection's end (`send_all`, `send_eof`) raises    wire, peer
      BusyResourceError in the application
    an application that does not read its body hides the client's leaving,     mailbox
      and blocks on being told
    a group of errors swallows what must end the process                       apps
    a pipelined request stops the reader: a client that leaves is not seen     http1
    a request head larger than its limit passes, if it comes in one read       http1
    WebSocket and h2c upgrades cannot be switched off                          http1
    StreamBuffer.pop looks at what it took, not at what remains: without       outflow
      window a producer is never held back, and none waits a bounded time
    a sender cancelled between HPACK and the socket loses bytes that the       http2_answers
      whole connection needed
    the process ends at: DATA for an answered stream, CONNECT, a path that     http2
      is not ASCII, 1,001 PRIORITY frames
    after `keep_alive_max_requests` an HTTP/2 connection is closed inside      http2
      and left open outside: its streams go silent
    a connection whose streams were reset is never idle                        http2_answers
    resets, PINGs and the like are free for the peer                           http2, allowance

Nothing is patched: every correction is a class of ours, most of them subclasses, that `door` and
`peer` put in the place of Hypercorn's own. The subclasses know Hypercorn from within, hence the
pin. tests/serving/test_corrections.py shows each fault in the unmodified Hypercorn; a test that
fails there after an upgrade names a correction that can go.
"""

from __future__ import annotations

from importlib import metadata

from storefront.errors import StorefrontError

CORRECTED = "0.18.0"


def require_corrected_version(installed: str | None = None) -> None:
    """Refuse to serve through a Hypercorn that nobody has read.

    Raises:
        StorefrontError: Another version than the corrected one is installed.
    """
    installed = installed or metadata.version("hypercorn")
    if installed != CORRECTED:
        raise StorefrontError(
            f"hypercorn {installed} is installed, and storefront.serving corrects {CORRECTED}: "
            "install that version, or read storefront/serving/corrections.py and adapt it"
        )
