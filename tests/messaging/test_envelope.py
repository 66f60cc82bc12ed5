"""Wolverine's envelope as in contracts.md section 4.2, and the other formats of section 4.6."""

from __future__ import annotations

import json
from decimal import Decimal
from types import SimpleNamespace

import pytest
from aiormq import spec
from hypothesis import given
from hypothesis import strategies as st

from storefront.messaging.amqp_message import delivery_of
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


@pytest.mark.parametrize("given", ["x" * 129, "é" * 65, "a\nb", "a\0b"])
def test_an_id_that_is_no_key_is_hashed_with_the_message(given):
    found = read(delivery(type=TYPE, message_id=given)).message_id
    assert len(found) == 64
    assert found != read(delivery(type=TYPE, message_id=given + "x")).message_id


# --- contracts.md section 4.6, to the letter --------------------------------------------------------

CLOUD_EVENT = (
    '{"topic":null,"tenantid":null,"traceid":"4bf92f3577b34da6a3ce929d0e0e4736","tracestate":null,'
    '"data":{"cartId":"c","unitPrice":19.90},'
    f'"id":"{ID}","specversion":"1.0","datacontenttype":"application/json; charset=utf-8",'
    f'"source":"Shopping.Api","type":"{TYPE}","time":"2026-02-17T21:58:44.1234567+00:00",'
    f'"traceparent":"{TRACE}"}}'
)
MASS_TRANSIT = (
    f'{{"messageId":"{ID}","requestId":null,"correlationId":"c","conversationId":"v","initiatorId":null,'
    '"destinationAddress":"rabbitmq://host/queue","faultAddress":null,'
    '"messageType":["urn:message:Messages.Contracts.Shopping:ItemAdded","urn:message:System:Object"],'
    '"expirationTime":null,"sentTime":"2026-02-17T21:58:44Z","headers":{},"host":{"machineName":"m"},'
    '"message":{"cartId":"c","unitPrice":19.90},"sourceAddress":null,'
    '"responseAddress":"rabbitmq://host/response"}'
)
INSIDE = b'{"cartId":"c","unitPrice":19.90}'


@pytest.mark.parametrize("content_type", ["application/json", "application/cloudevents+json", ""])
def test_a_cloud_event_in_the_body_is_opened(content_type):
    found = read(delivery(CLOUD_EVENT.encode(), type=TYPE, content_type=content_type))
    assert (found.type, found.traceparent, found.body) == (TYPE, TRACE, INSIDE)
    assert found.message_id == f"Shopping.Api {ID}"


def test_the_type_of_a_cloud_event_is_its_own_where_amqp_names_none():
    assert read(delivery(CLOUD_EVENT.encode())).type == TYPE


def binary(prefix: str, **attributes: str) -> dict[str, str]:
    return {f"{prefix}{name}": value for name, value in attributes.items()}


@pytest.mark.parametrize("prefix", ["cloudEvents:", "cloudEvents_"])
@pytest.mark.parametrize("kind", [str, str.encode, lambda text: bytearray(text.encode())])
def test_a_cloud_event_in_the_headers_is_opened_be_they_text_or_bytes(prefix, kind):
    attributes = binary(
        prefix, specversion="1.0", id=ID, source="Shopping.Api", type=TYPE, traceparent=TRACE,
        time="2026-02-17T21:58:44Z",
    )  # fmt: skip
    properties = spec.Basic.Properties(
        headers={name: kind(value) for name, value in attributes.items()},
        content_type="application/json",
    )
    header = SimpleNamespace(properties=properties)
    message = SimpleNamespace(delivery_tag=1, redelivered=False, body=INSIDE, header=header)
    found = read(delivery_of("q", message))
    assert (found.type, found.traceparent, found.body) == (TYPE, TRACE, INSIDE)
    assert found.message_id == f"Shopping.Api {ID}"


def event_ids(source: str, name: str, **changes) -> set[str]:
    """The identity of one event in each mode."""
    body = json.dumps(
        {"specversion": "1.0", "type": TYPE, "data": {}, "source": source, "id": name}
    )
    headers = [
        binary(prefix, type=TYPE, source=source, id=name)
        for prefix in ("cloudEvents:", "cloudEvents_")
    ]
    found = [
        delivery(body.encode(), **changes),
        *(delivery(b"{}", headers=one, **changes) for one in headers),
    ]
    return {read(one).message_id for one in found}


def test_two_sources_that_number_alike_do_not_pass_for_one():
    """CloudEvents 1.0, section 3.1.1. The second would be dropped as a repetition: lost."""
    shopping, orders = event_ids("/shopping", "1"), event_ids("/orders", "1")
    assert len(shopping) == len(orders) == 1
    assert shopping != orders
    # Nor where the publisher has its number in the AMQP property as well.
    assert event_ids("/shopping", "1", message_id="1") == shopping


def test_no_two_pairs_of_source_and_id_share_a_key():
    pairs = [
        ("a", "b c"),
        ("a b", "c"),
        ("a", "b"),
        ("'a'", "b"),
        ("a ", "b"),
        ("a", " b"),
        ("'a b'", "'c'"),
    ]
    assert len({name for pair in pairs for name in event_ids(*pair)}) == len(pairs)


def test_a_repeated_event_is_known_again_under_whatever_name_its_copy_goes():
    (one,) = event_ids("/shopping", "1")
    assert event_ids("/shopping", "1", message_id=one) == {one}


def test_an_event_that_does_not_say_its_source_is_known_by_its_amqp_name():
    assert event_ids("", "1", message_id="amqp") == {"amqp"}
    assert event_ids("", "1") == {"1"}


@pytest.mark.parametrize(
    "content_type",
    ["application/vnd.masstransit+json", "application/vnd.masstransit+json; charset=utf-8"],
)
def test_a_mass_transit_envelope_is_opened(content_type):
    found = read(
        delivery(
            MASS_TRANSIT.encode(),
            content_type=content_type,
            headers={"MT-Activity-Id": TRACE},
            message_id="amqp",
        )
    )
    assert (found.type, found.message_id, found.traceparent) == (TYPE, ID, TRACE)
    assert found.body == INSIDE


def test_a_mass_transit_envelope_under_another_content_type_is_left_as_it_came():
    found = read(delivery(MASS_TRANSIT.encode(), content_type="application/json"))
    assert found.body == MASS_TRANSIT.encode()


def test_an_nservicebus_message_is_known_by_its_headers():
    headers = {
        "NServiceBus.EnclosedMessageTypes": f"{TYPE}, Messages.Contracts, Version=1.0.0.0;System.Object, mscorlib",
        "NServiceBus.MessageId": ID,
        "NServiceBus.CorrelationId": "c",
        "NServiceBus.ConversationId": "v",
        "NServiceBus.ContentType": "application/json",
        "NServiceBus.TimeSent": "2026-02-17 21:58:44:123456 Z",
    }
    found = read(delivery(headers=headers, message_id="amqp"))
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
                "cloudEvents:source",
                "cloudEvents:id",
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
