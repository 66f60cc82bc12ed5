"""How a service of the shop says no, as one tree; siblings differ by the status they answer.

* StorefrontError
  + RefusedError            the command breaks a rule: 400
    x InvalidError          ... of the form: 400 with the fields that are wrong
    x NotFoundError         what it names does not exist, or no longer: 404
    x ConflictError         it comes too late, or twice: 409
    x UnknownUserError      nobody is signed in: 401
    x OverfullError         the outbox is full because nobody takes its messages: 503
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from storefront.errors import StorefrontError


class RefusedError(StorefrontError):
    """A rule of the shop was broken; the message is the `detail` that the real service answers."""

    status = 400


class InvalidError(RefusedError):
    """Fields are wrong; `errors` is FluentValidation's shape: `{"Quantity": ["..."]}`."""

    def __init__(self, errors: Mapping[str, Sequence[str]]) -> None:
        super().__init__("One or more validation errors occurred.")
        self.errors = errors


class NotFoundError(RefusedError):
    """There is no such thing here."""

    status = 404


class ConflictError(RefusedError):
    """The state it is in does not allow it."""

    status = 409


class UnknownUserError(RefusedError):
    """Wrong password, or not signed in."""

    status = 401


class OverfullError(RefusedError):
    """Nothing new is accepted until what was promised has been published."""

    status = 503
