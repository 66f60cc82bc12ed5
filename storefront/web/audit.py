"""The audit: one line whenever somebody reads, or wants, what is another customer's."""

from __future__ import annotations

import structlog

from storefront.web.auth import Caller

log = structlog.get_logger(__name__)

# Characters of a subject in the audit; RFC 7519 sets none, and a directory's ids are below it.
LONGEST_SUBJECT = 128


def audit(caller: Caller, action: str, customer: str | None, **more: str) -> None:
    """Say who did what.

    Args:
        caller: who.
        action: what: stream, view or command.
        customer: whose data it is; None where that is not known.
        more: what else is to be said of it.
    """
    log.info(
        "audit",
        action=action,
        by=(caller.subject or caller.customer or "")[:LONGEST_SUBJECT],
        customer=customer,
        roles=sorted(caller.roles),
        **more,
    )
