"""What can go wrong, as one tree. Siblings differ by whose fault it is and by what to do about it.

* StorefrontError
  + SettingsError                 the operator's setting is unusable: say which, do not start
    x ListenError                 ... the address is taken or not ours
  + InvalidMessageError           a message that no retry will make readable: dead-letter it
  + AuthenticationError           the caller did not prove who they are: 401
  + KeysAwayError                 ... or did, and nobody can tell for now: 503, never 401
  + ForbiddenError                the caller is somebody, but may not: 403
  + BadRequestError               the caller's words cannot be read: 400
  + NoSuchThingError              what the caller names is not there for them: 404
  + TooManyRequestsError          the caller asks more than their share: 429
  + BrokerError                   RabbitMQ let us down: come back later
    x QueueHeldError              ... another process consumes this queue: ask again in a second
  + StoreError                    the log let us down
    x StoreUnavailableError       ... for now: nothing is acknowledged, nothing invented
    x StoreCorruptError           ... for good: do not start, do not overwrite
  + DownstreamError               another service let us down
    x DownstreamTimeoutError      ... by being slow
    x DownstreamUnavailableError  ... by refusing, breaking off or answering 5xx
    x DownstreamNonsenseError     ... by answering what its contract does not allow
    x DownstreamOpenError         ... so often that it is not asked for now
    x DownstreamRefusedError      ... no, it answered no: hand that on
    x DownstreamAbsentError       ... no, it has no such question, or not for us: do without
    x QueryShedError              ... no, nobody was asked: there is too much to do here

Those that never leave one room are told of there, and have the same root.
"""

from __future__ import annotations

from typing import ClassVar


class StorefrontError(Exception):
    """Everything this package raises on purpose.

    Attributes:
        problem: what the caller of a request is told that it ended, where nobody has a better word:
            a name of web/problems.py. The usual one is a bug of ours.
    """

    problem: ClassVar[str] = "failed"


class SettingsError(StorefrontError):
    """A setting cannot be used; the message is one line that names the variable."""


class ListenError(SettingsError):
    """The listening address cannot be bound; the message is one line that names it."""


class InvalidMessageError(StorefrontError):
    """A message cannot be read; `reason` is short, stable and free of the message's content."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class AuthenticationError(StorefrontError):
    """The caller did not prove who they are."""

    problem = "not-signed-in"


class KeysAwayError(StorefrontError):
    """Whether a token is good cannot be told for now; it may be. 503, and never 401, on which a
    browser's EventSource would give up for good.
    """

    problem = "not-available"

    def __init__(self) -> None:
        super().__init__("who you are cannot be verified for now; try again")


class ForbiddenError(StorefrontError):
    """The caller is known and may not do this."""

    problem = "not-allowed"


class BadRequestError(StorefrontError):
    """An id or a parameter of the caller's cannot be read; the message says which."""

    problem = "bad-request"


class NoSuchThingError(StorefrontError):
    """What the caller names does not exist, or not for them."""

    problem = "not-found"


class TooManyRequestsError(StorefrontError):
    """The caller asks more than their share.

    Attributes:
        retry_after: whole seconds after which one request is allowed again.
    """

    problem = "too-many-requests"

    def __init__(self, retry_after: int) -> None:
        super().__init__("you ask more often than is allowed")
        self.retry_after = retry_after


class BrokerError(StorefrontError):
    """RabbitMQ is gone, refused us, or ended our consumer."""


class QueueHeldError(BrokerError):
    """Another process consumes this queue exclusively."""


class StoreError(StorefrontError):
    """The event log could not do what it was asked."""


class StoreUnavailableError(StoreError):
    """The log does not answer for now; trying again later is right."""

    problem = "not-available"


class StoreCorruptError(StoreError):
    """The log's file is damaged; a person must look at it."""


class DownstreamError(StorefrontError):
    """Another service let us down.

    Attributes:
        service: its name in the settings.
        reached: False where it certainly never heard the question; of a command that was heard and
            not answered nobody knows whether it was carried out.
    """

    problem = "not-available"

    def __init__(self, service: str, detail: str, *, reached: bool = True) -> None:
        super().__init__(f"{service}: {detail}")
        self.service = service
        self.reached = reached


class DownstreamTimeoutError(DownstreamError):
    """The service did not answer in time."""


class DownstreamUnavailableError(DownstreamError):
    """The service refused, broke off, or answered 5xx.

    Attributes:
        status: what it answered with; None where the connection failed.
        retry_after: seconds for which it wants to be left alone, where it said so.
    """

    def __init__(
        self,
        service: str,
        detail: str,
        *,
        reached: bool = True,
        status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(service, detail, reached=reached)
        self.status = status
        self.retry_after = retry_after


class DownstreamNonsenseError(DownstreamError):
    """The service answered something that its contract does not allow."""


class DownstreamOpenError(DownstreamError):
    """The service failed so often that it is not asked for now.

    Attributes:
        retry_in: seconds until it may be tried again; 0 while others are trying it.
    """

    def __init__(self, service: str, detail: str, *, retry_in: float) -> None:
        super().__init__(service, detail, reached=False)
        self.retry_in = retry_in


class DownstreamRefusedError(DownstreamError):
    """The service answered 4xx: it works, and says no to this.

    Attributes:
        status: 400 to 499.
        body: its words, JSON or nothing; at most 16 KiB.
    """

    def __init__(self, service: str, status: int, body: bytes = b"") -> None:
        super().__init__(service, f"status {status}")
        self.status = status
        self.body = body


class DownstreamAbsentError(DownstreamError):
    """The service has no such question, or does not answer it for us; no fault of anybody's."""


class QueryShedError(DownstreamOpenError):
    """Nobody was asked, for the streams' sake, and nothing was kept.

    It is a failure of the composition to whoever keeps views, who then shows an old one.
    """

    problem = "overloaded"
