"""A delivery's way: read, place, translate, hand to the recorder.

In order per customer, customers in parallel. What needs a question (the totals of a cart, the
customer of an order) waits in a serial queue of its own and holds nobody else; what needs none goes
to the recorder at once. Only the store's word on whose order it is holds everybody, for a
millisecond.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial

import trio

from storefront.domain import events, messages
from storefront.domain.facts import fact_of, payment_of
from storefront.domain.ids import NOBODY, CartId, CustomerId, OrderId, cart_id
from storefront.domain.translate import Known, Totals, Translation, totals_in, translation_of
from storefront.errors import DownstreamError, InvalidMessageError, StoreUnavailableError
from storefront.messaging import envelope, spans
from storefront.messaging.broker import Delivery
from storefront.messaging.outcomes import Outcomes, Watch
from storefront.messaging.placing import Placing, patiently
from storefront.messaging.ready import Ready
from storefront.messaging.recorder import Recorder
from storefront.messaging.serial_queues import SerialQueues
from storefront.messaging.work import Desk, Work
from storefront.store.contract import Recording
from storefront.telemetry import tracing

# An order of a hundred lines has 15 kB. What is longer would become a frame for a browser, and is a
# dead letter instead.
LONGEST_BODY = 256 * 1024

# What this customer's cart comes to; None where Shopping knows no such cart.
AskShopping = Callable[[CartId, CustomerId], Awaitable[Totals | None]]


class Dispatcher:
    """See the module. `in_hand` bounds the deliveries that are neither settled nor given back."""

    def __init__(
        self,
        *,
        recorder: Recorder,
        placing: Placing,
        ask_shopping: AskShopping,
        watch: Watch,
        clock: Callable[[], float],
        in_hand: int,
    ) -> None:
        self._recorder = recorder
        self._placing = placing
        self._ask_shopping = ask_shopping
        self._room = trio.Semaphore(in_hand)
        self._queues: SerialQueues[object] = SerialQueues()
        self._outcomes = Outcomes(
            self._queues, watch=watch, clock=clock, make_room=self._room.release
        )
        self._looking_up = object()  # the key of those who wait for the store's word

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Work until cancelled."""
        await self._queues.run(task_status=task_status)

    async def wait_for_room(self) -> None:
        """Wait while there is too much in hand; every `accept` needs one of these before it."""
        await self._room.acquire()

    def accept(self, delivery: Delivery, desk: Desk) -> None:
        """Take a delivery; it is settled at the desk later, whatever becomes of it."""
        known = envelope.read(delivery)
        if delivery.message_id != known.message_id:
            # A copy of it, delayed or dead, goes by the same name: the client library gives one
            # without a name a random one, and a repetition would pass for another message.
            delivery = replace(delivery, message_id=known.message_id)
        row = translation_of(known.type)
        delivery = spans.taken(delivery, known, "" if row is None else row.name)
        if row is None:
            outcome = "ping" if known.type == envelope.PING else "unknown-type"
            self._outcomes.drop(delivery, desk, outcome)
            return
        try:
            message = _read(row, known.body)
        except InvalidMessageError as exc:
            self._outcomes.refuse(delivery, desk, exc)
            return
        self._route(
            Work(
                delivery=delivery,
                desk=desk,
                envelope=known,
                row=row,
                message=message,
                since=trio.current_time(),
            )
        )

    def _route(self, work: Work) -> None:
        # After a restart, or when the queue came from another process, the store knows whose order
        # it is and we do not yet. What came behind may be the same customer's and must not pass, so
        # all wait for that one look. What the store does not know waits for Orders, and is passed.
        if self._queues.busy(self._looking_up) or self._is_for_the_store(work.message):
            self._queues.put(self._looking_up, partial(self._route_in_turn, work))
        else:
            self._route_now(work)

    def _is_for_the_store(self, message: messages.Message) -> bool:
        return (
            isinstance(message, messages.OrderMessage)
            and self._placing.remembered(message.order) is None
            and not self._queues.busy(message.order)
        )

    async def _route_in_turn(self, work: Work) -> None:
        message = work.message
        if isinstance(message, messages.OrderMessage) and self._is_for_the_store(message):
            # At the bound it is for the order's own queue to go on, and to have it come later.
            with suppress(StoreUnavailableError):
                await patiently(self._placing.recall, message.order)
        self._route_now(work)

    def _route_now(self, work: Work) -> None:
        message = work.message
        if isinstance(message, messages.OwnedMessage):
            if isinstance(message, messages.OrderPlaced):
                self._placing.learn(message.order, message.customer)
            self._to_customer(work, message.customer)
        elif isinstance(message, messages.OrderMessage):
            customer = self._placing.remembered(message.order)
            if customer is None or self._queues.busy(message.order):
                # Behind others of the same order that are still being placed.
                self._queues.put(message.order, partial(self._place, work, message.order))
            else:
                self._to_customer(work, customer)
        else:
            # A row of the registry whose message says neither whose nor which order's it is.
            raise TypeError(work.row.name)

    async def _place(self, work: Work, order: OrderId) -> None:
        try:
            with tracing.within(work.delivery.span):
                customer = await patiently(self._placing.find, order)
        except (DownstreamError, StoreUnavailableError) as exc:
            self._outcomes.try_later(work, exc)
            return
        if customer is None:
            self._outcomes.count_attempt(work)
        else:
            self._to_customer(work, customer)

    def _to_customer(self, work: Work, customer: CustomerId) -> None:
        if customer == NOBODY and not isinstance(work.message, messages.OrderPlaced):
            self._outcomes.drop(work.delivery, work.desk, "anonymous")
            return
        if not self._queues.busy(customer) and not _needs_totals(work.message):
            try:
                self._recorder.put_nowait(self._ready(work, customer, None))
            except trio.WouldBlock:
                pass
            else:
                return
        self._queues.put(customer, partial(self._prepare, work, customer))

    async def _prepare(self, work: Work, customer: CustomerId) -> None:
        totals: Totals | None = None
        if isinstance(work.message, messages.CartMessage) and _needs_totals(work.message):
            try:
                with tracing.within(work.delivery.span):
                    totals = await self._ask_shopping(cart_id(work.message.cart_id), customer)
            except DownstreamError as exc:
                self._outcomes.try_later(work, exc)
                return
            if totals is None:
                self._outcomes.drop(work.delivery, work.desk, "cart-gone")
                return
        await self._recorder.put(self._ready(work, customer, totals))

    def _ready(self, work: Work, customer: CustomerId, totals: Totals | None) -> Ready:
        message = work.message
        owner = (message.order, customer) if isinstance(message, messages.OrderPlaced) else None
        ready = partial(
            Ready,
            owner=owner,
            since=work.since,
            done=partial(self._outcomes.recorded, work),
            put_off=partial(self._outcomes.put_off, work),
        )
        if customer == NOBODY:
            # An order nobody may watch: its later messages shall find that out without a question.
            return ready(recording=None)
        event = work.row.event(message, Known(customer=customer, totals=totals))
        span = tracing.begin("record", parent=work.delivery.span)
        recording = Recording(
            message_id=work.envelope.message_id,
            customer=customer,
            payload=events.encode(event),
            fact=fact_of(event),
            also=payment_of(event),
            # What the browser brings back with its refetch, which hangs below the record then.
            traceparent=work.envelope.traceparent if span is None else span.traceparent,
        )
        return ready(recording=recording, span=span)


def _read(row: Translation, body: bytes) -> messages.Message:
    if len(body) > LONGEST_BODY:
        raise InvalidMessageError("too-large", f"{len(body)} bytes")
    return messages.decode(row.message, body)


def _needs_totals(message: messages.Message) -> bool:
    return isinstance(message, messages.CartMessage) and totals_in(message) is None
