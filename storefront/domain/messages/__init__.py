"""What the neighbouring services say: one class per integration message (contracts.md section 1).

* `base`    what messages have in common: whose, or which order's
* `decode`  JSON to one of them
* `shopping`, `orders`, `payments`, `inventory`, `fulfillment`, `returns`  who says it

A class names the fields this project relies on; whatever else a body carries is passed over, so
that a service may add to its messages. A value of these classes is valid: its ids are GUIDs, its
moments have offsets, its money is finite.
"""

from storefront.domain.messages.base import CartMessage, Message, OrderMessage, OwnedMessage
from storefront.domain.messages.decode import decode
from storefront.domain.messages.fulfillment import (
    BackorderCreated,
    DeliveryAttemptFailed,
    ReturnToSenderInitiated,
    ShipmentDelivered,
    ShipmentDeliveryFailed,
    ShipmentDispatched,
    ShipmentHandedToCarrier,
    ShipmentLostInTransit,
    ShipmentMessage,
    TrackingNumberAssigned,
)
from storefront.domain.messages.inventory import (
    ReservationCommitted,
    ReservationConfirmed,
    ReservationFailed,
)
from storefront.domain.messages.orders import OrderCancelled, OrderPlaced
from storefront.domain.messages.payments import (
    PaymentAuthorized,
    PaymentCaptured,
    PaymentFailed,
    RefundCompleted,
    RefundFailed,
)
from storefront.domain.messages.returns import (
    ReturnApproved,
    ReturnCompleted,
    ReturnDenied,
    ReturnExpired,
    ReturnMessage,
    ReturnReceived,
    ReturnRejected,
    ReturnRequested,
)
from storefront.domain.messages.shopping import (
    CouponApplied,
    CouponRemoved,
    ItemAdded,
    ItemQuantityChanged,
    ItemRemoved,
)

__all__ = [
    "BackorderCreated",
    "CartMessage",
    "CouponApplied",
    "CouponRemoved",
    "DeliveryAttemptFailed",
    "ItemAdded",
    "ItemQuantityChanged",
    "ItemRemoved",
    "Message",
    "OrderCancelled",
    "OrderMessage",
    "OrderPlaced",
    "OwnedMessage",
    "PaymentAuthorized",
    "PaymentCaptured",
    "PaymentFailed",
    "RefundCompleted",
    "RefundFailed",
    "ReservationCommitted",
    "ReservationConfirmed",
    "ReservationFailed",
    "ReturnApproved",
    "ReturnCompleted",
    "ReturnDenied",
    "ReturnExpired",
    "ReturnMessage",
    "ReturnReceived",
    "ReturnRejected",
    "ReturnRequested",
    "ReturnToSenderInitiated",
    "ShipmentDelivered",
    "ShipmentDeliveryFailed",
    "ShipmentDispatched",
    "ShipmentHandedToCarrier",
    "ShipmentLostInTransit",
    "ShipmentMessage",
    "TrackingNumberAssigned",
    "decode",
]
