"""`return-status-changed`: the status in one word, the details in one sentence for the customer."""

from __future__ import annotations

from storefront.domain import messages as said
from storefront.domain.events import ReturnStatusChanged
from storefront.domain.ids import order_id, return_id
from storefront.domain.instants import Instant
from storefront.domain.translate.known import Known


def requested(message: said.ReturnRequested, known: Known) -> ReturnStatusChanged:
    details = "Your return was submitted and is being reviewed."
    return _return(message, known, "Requested", message.requested_at, details)


def approved(message: said.ReturnApproved, known: Known) -> ReturnStatusChanged:
    refund, fee = message.estimated_refund_amount, message.restocking_fee_amount
    details = (
        f"Send it by {message.ship_by_deadline.at.date().isoformat()}. "
        f"Estimated refund {refund}, restocking fee {fee}."
    )
    return _return(message, known, "Approved", message.approved_at, details)


def denied(message: said.ReturnDenied, known: Known) -> ReturnStatusChanged:
    details = f"{message.reason}: {message.message}" if message.message else message.reason
    return _return(message, known, "Denied", message.denied_at, details)


def received(message: said.ReturnReceived, known: Known) -> ReturnStatusChanged:
    details = "Your package was received and is being inspected."
    return _return(message, known, "Received", message.received_at, details)


def rejected(message: said.ReturnRejected, known: Known) -> ReturnStatusChanged:
    details = f"It did not pass inspection: {message.reason}"
    return _return(message, known, "Rejected", message.rejected_at, details)


def expired(message: said.ReturnExpired, known: Known) -> ReturnStatusChanged:
    details = "The time to send it has passed."
    return _return(message, known, "Expired", message.expired_at, details)


def completed(message: said.ReturnCompleted, known: Known) -> ReturnStatusChanged:
    details = f"A refund of {message.final_refund_amount} was issued."
    return _return(message, known, "Completed", message.completed_at, details)


def _return(
    message: said.ReturnMessage, known: Known, status: str, moment: Instant, details: str
) -> ReturnStatusChanged:
    return ReturnStatusChanged(
        return_id=return_id(message.return_id),
        order_id=order_id(message.order_id),
        customer_id=known.customer,
        new_status=status,
        details=details,
        occurred_at=moment,
    )
