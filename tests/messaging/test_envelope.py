"""Wolverine's envelope as in contracts.md section 4.2, and the other formats of section 4.6."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storefront.messaging.broker import Delivery
from storefront.messaging.envelope import read, wolverine

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
OTHER = "00-11111111111111111111111111111111-2222222222222222-00"
ID = "08de6e4b-1c2f-9f3a-0242-ac1100020000"
TYPE = "Messages.Contracts.Shopping.ItemAdded"
BODY = b'{"cartId":"019c5dd6-29d2-7fb9-9d90-cf760997d1c0"}'


def delivery(body: bytes = BODY, **changes) -> Delivery:
    return Delivery(**({"tag": 1, "queue": "q", "body": body} | changes))


def test_type_and_id_come_from_the_amqp_properties():
    found = read(delivery(type=TYPE, message_id=ID, headers={"message-type": "x", "id": "y"}))
    assert (found.type, found.message_id, found.body) == (TYPE, ID, BODY)


def test_headers_of_other_transports_stand_in_where_the_properties_are_missing():
    found = read(delivery(headers={"message-type": TYPE, "id": ID}))
    assert (found.type, found.message_id) == (TYPE, ID)


def test_traceparent_is_preferred_to_parent_id_and_only_a_valid_one_counts():
    assert read(delivery(headers={"parent-id": TRACE})).traceparent == TRACE
    assert read(delivery(headers={"traceparent": OTHER, "parent-id": TRACE})).traceparent == OTHER
    assert read(delivery(headers={"traceparent": "junk", "parent-id": TRACE})).traceparent == TRACE
    for bad in (
        "",
        "00-" + "0" * 32 + "-00f067aa0ba902b7-01",
        TRACE.upper(),
        TRACE + "x",
        TRACE[3:],
        "01" + TRACE[2:],
    ):
        assert read(delivery(headers={"traceparent": bad})).traceparent is None


def test_a_message_without_an_id_is_known_by_type_and_body():
    one = read(delivery(type=TYPE)).message_id
    assert one == read(delivery(type=TYPE)).message_id
    assert (
        len(
            {
                one,
                read(delivery(type="Other")).message_id,
                read(delivery(b"{}", type=TYPE)).message_id,
            }
        )
        == 3
    )


@pytest.mark.parametrize("given", ["x" * 129, "a\nb", "a\0b"])
def test_an_id_that_is_no_key_is_hashed_with_the_message(given):
    found = read(delivery(type=TYPE, message_id=given)).message_id
    assert len(found) == 64
    assert found != read(delivery(type=TYPE, message_id=given + "x")).message_id


def test_a_cloud_event_in_the_body_is_opened():
    body = {
        "topic": None,
        "tenantid": None,
        "traceid": "t",
        "tracestate": None,
        "data": {"cartId": "c", "unitPrice": 19.9},
        "id": ID,
        "specversion": "1.0",
        "datacontenttype": "application/json; charset=utf-8",
        "source": "Shopping.Api",
        "type": TYPE,
        "time": "2026-02-17T21:58:44.1234567+00:00",
        "traceparent": TRACE,
    }
    for content_type in ("application/json", "application/cloudevents+json"):
        raw = json.dumps(body).replace("19.9}", "19.90}").encode()
        found = read(delivery(raw, type=TYPE, content_type=content_type))
        assert (found.type, found.message_id, found.traceparent) == (TYPE, ID, TRACE)
        assert found.body == b'{"cartId": "c", "unitPrice": 19.90}'
    assert read(delivery(json.dumps(body).encode(), message_id="amqp")).message_id == "amqp"


@pytest.mark.parametrize("prefix", ["cloudEvents:", "cloudEvents_"])
def test_a_cloud_event_in_the_headers_is_opened(prefix):
    headers = {
        f"{prefix}type": TYPE,
        f"{prefix}id": ID,
        f"{prefix}specversion": "1.0",
        f"{prefix}traceparent": TRACE,
    }
    found = read(delivery(headers=headers))
    assert (found.type, found.message_id, found.traceparent, found.body) == (TYPE, ID, TRACE, BODY)


def test_a_mass_transit_envelope_is_opened():
    body = {
        "messageId": ID,
        "requestId": None,
        "correlationId": "c",
        "conversationId": "v",
        "initiatorId": None,
        "destinationAddress": "rabbitmq://host/queue",
        "faultAddress": None,
        "messageType": ["urn:message:Messages.Contracts.Shopping:ItemAdded"],
        "expirationTime": None,
        "sentTime": "2026-02-17T21:58:44Z",
        "headers": {},
        "host": {},
        "message": {"cartId": "c"},
        "sourceAddress": None,
        "responseAddress": "x",
    }
    found = read(
        delivery(
            json.dumps(body).encode(),
            content_type="application/vnd.masstransit+json",
            headers={"MT-Activity-Id": TRACE},
        )
    )
    assert (found.type, found.message_id, found.traceparent, found.body) == (
        TYPE,
        ID,
        TRACE,
        b'{"cartId": "c"}',
    )


def test_an_nservicebus_message_is_known_by_its_headers():
    headers = {
        "NServiceBus.EnclosedMessageTypes": f"{TYPE}, Messages.Contracts, Version=1.0.0.0;System.Object, mscorlib",
        "NServiceBus.MessageId": ID,
    }
    found = read(delivery(headers=headers))
    assert (found.type, found.message_id, found.body) == (TYPE, ID, BODY)


def test_half_a_surrogate_pair_in_a_type_is_no_more_than_another_type():
    assert read(delivery(type="\ud800")).message_id != read(delivery(type="\ud801")).message_id


@given(
    st.binary(max_size=60)
    | st.sampled_from(
        [
            b'{"specversion":',
            b'{"specversion":1}',
            b"[" * 99_999 + b'"specversion"',
            b'{"messageType":[]}',
            b'{"specversion":"1.0","type":"\xff","data":{}}',
            b'{"messageType":["\xff"],"message":{}}',
        ]
    ),
    st.dictionaries(
        st.sampled_from(
            [
                "id",
                "message-type",
                "traceparent",
                "parent-id",
                "cloudEvents:type",
                "NServiceBus.EnclosedMessageTypes",
                "MT-Activity-Id",
            ]
        ),
        st.text() | st.integers(),
    ),
    st.text(st.characters(), max_size=20),
    st.sampled_from(["", "application/json", "application/vnd.masstransit+json"]),
)
def test_nothing_in_a_delivery_can_make_reading_it_fail(body, headers, text, content_type):
    found = read(
        delivery(body, headers=headers, type=text, message_id=text, content_type=content_type)
    )
    assert found.message_id


def test_a_message_of_ours_looks_like_wolverines_to_the_letter():
    made = wolverine(
        TYPE,
        {"unitPrice": Decimal("19.90"), "sku": "A+B&C'é"},
        message_id=ID,
        sent_at=1771365524.123456,
        source="Shopping.Api",
        traceparent=TRACE,
    )
    assert made.body == '{"unitPrice":19.90,"sku":"A+B&C\'é"}'.encode()
    assert (made.type, made.message_id, made.content_type) == (TYPE, ID, "application/json")
    assert made.correlation_id == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert made.headers == {
        "source": "Shopping.Api",
        "conversation-id": ID,
        "sent-at": "2026-02-17 21:58:44:123456 Z",
        "accepted-content-types": "application/json",
        "attempts": "0",
        "wolverine-protocol-version": "1.0",
        "parent-id": TRACE,
    }
