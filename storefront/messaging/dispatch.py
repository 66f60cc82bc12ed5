"""A delivery's way: read, place, translate, hand to the recorder.

In order per customer, customers in parallel. What needs a question (the totals of a cart, the
customer of an order) waits in a lane of its own and holds nobody else; what needs none goes to the
recorder at once. Only the store's word on whose order it is holds everybody, for a millisecond.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import structlog
import trio

from storefront.domain import events, messages
from storefront.domain.facts import fact_of
from storefront.domain.ids import NOBODY, CartId, CustomerId, OrderId, cart_id
from storefront.domain.translate import Known, Totals, Translation, totals_in, translation_of
from storefront.errors import DownstreamError, InvalidMessageError, StoreUnavailableError
from storefront.messaging import envelope, retrying
from storefront.messaging.broker import Delivery
from storefront.messaging.lanes import Lanes
from storefront.messaging.placing import Placing
from storefront.messaging.recorder import FIRST_PAUSE, LONGEST_PAUSE, Ready, Recorder
from storefront.store.contract import Recording, Refused

log = structlog.get_logger(__name__)

# An order of a hundred lines has 15 kB. What is longer would become a frame for a browser, and is a
# dead letter instead.
LONGEST_BODY = 256 * 1024

# Seconds a message that names an order only is held, and all behind it, while the log does not
# say whose it is. At the bound it is put aside, as while Orders is away: then `occurredAt` tells
# the older from the newer.
LONGEST_HOLD = 60.0


class Desk(Protocol):
    """Where a delivery is settled: the subscription it came from."""

    def done(self, delivery: Delivery) -> None:
        """It may be acknowledged."""
        ...

    async def refuse(self, delivery: Delivery, why: Mapping[str, str | int]) -> None:
        """Put it with the dead letters, then settle it."""
        ...

    async def postpone(
        self, delivery: Delivery, seconds: int, notes: Mapping[str, str | int]
    ) -> None:
        """Have it come back later, then settle it."""
        ...


# What this customer's cart comes to; None where Shopping knows no such cart.
AskShopping = Callable[[CartId, CustomerId], Awaitable[Totals | None]]


class Watch(Protocol):
    """Who counts what became of the deliveries."""

    def settled(self, outcome: str, kind: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A delivery that could be read."""

    delivery: Delivery
    desk: Desk
    envelope: envelope.Envelope
    row: Translation
    message: messages.Message


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
        self._watch = watch
        self._clock = clock
        self._room = trio.Semaphore(in_hand)
        self._lanes: Lanes[object] = Lanes()
        self._looking_up = object()  # the lane of those who wait for the store's word

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Work until cancelled."""
        await self._lanes.run(task_status=task_status)

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
        if row is None:
            self._drop(delivery, desk, "ping" if known.type == envelope.PING else "unknown-type")
            return
        try:
            message = _read(row, known.body)
        except InvalidMessageError as exc:
            # In a lane of its own: neither the next message nor this customer's waits for it.
            self._lanes.put(object(), partial(self._refuse, delivery, desk, exc))
            return
        self._route(Work(delivery=delivery, desk=desk, envelope=known, row=row, message=message))

    def _route(self, work: Work) -> None:
        # After a restart, or when the queue came from another process, the store knows whose order
        # it is and we do not yet. What came behind may be the same customer's and must not pass, so
        # all wait for that one look. What the store does not know waits for Orders, and is passed.
        if self._lanes.busy(self._looking_up) or self._is_for_the_store(work.message):
            self._lanes.put(self._looking_up, partial(self._route_in_turn, work))
        else:
            self._route_now(work)

    def _is_for_the_store(self, message: messages.Message) -> bool:
        return (
            isinstance(message, messages.OrderMessage)
            and self._placing.remembered(message.order) is None
            and not self._lanes.busy(message.order)
        )

    async def _route_in_turn(self, work: Work) -> None:
        message = work.message
        if isinstance(message, messages.OrderMessage) and self._is_for_the_store(message):
            # At the bound it is for the order's own lane to go on, and to have it come later.
            with suppress(StoreUnavailableError):
                await _patiently(self._placing.recall, message.order)
        self._route_now(work)

    def _route_now(self, work: Work) -> None:
        message = work.message
        if isinstance(message, messages.OwnedMessage):
            if isinstance(message, messages.OrderPlaced):
                self._placing.learn(message.order, message.customer)
            self._to_customer(work, message.customer)
        elif isinstance(message, messages.OrderMessage):
            customer = self._placing.remembered(message.order)
            if customer is None or self._lanes.busy(message.order):
                # Behind others of the same order that are still being placed.
                self._lanes.put(message.order, partial(self._place, work, message.order))
            else:
                self._to_customer(work, customer)
        else:
            # A row of the registry whose message says neither whose nor which order's it is.
            raise TypeError(work.row.name)

    async def _place(self, work: Work, order: OrderId) -> None:
        try:
            customer = await _patiently(self._placing.find, order)
        except (DownstreamError, StoreUnavailableError) as exc:
            await self._try_later(work, exc)
            return
        if customer is None:
            await self._count_attempt(work)
        else:
            self._to_customer(work, customer)

    def _to_customer(self, work: Work, customer: CustomerId) -> None:
        if customer == NOBODY and not isinstance(work.message, messages.OrderPlaced):
            self._drop(work.delivery, work.desk, "anonymous")
            return
        if not self._lanes.busy(customer) and not _needs_totals(work.message):
            try:
                self._recorder.put_nowait(self._ready(work, customer, None))
            except trio.WouldBlock:
                pass
            else:
                return
        self._lanes.put(customer, partial(self._prepare, work, customer))

    async def _prepare(self, work: Work, customer: CustomerId) -> None:
        totals: Totals | None = None
        if isinstance(work.message, messages.CartMessage) and _needs_totals(work.message):
            try:
                totals = await self._ask_shopping(cart_id(work.message.cart_id), customer)
            except DownstreamError as exc:
                await self._try_later(work, exc)
                return
            if totals is None:
                self._drop(work.delivery, work.desk, "cart-gone")
                return
        await self._recorder.put(self._ready(work, customer, totals))

    def _ready(self, work: Work, customer: CustomerId, totals: Totals | None) -> Ready:
        message = work.message
        owner = (message.order, customer) if isinstance(message, messages.OrderPlaced) else None
        done, put_off = partial(self._recorded, work), partial(self._put_off, work)
        if customer == NOBODY:
            # An order nobody may watch: its later messages shall find that out without a question.
            return Ready(recording=None, owner=owner, done=done, put_off=put_off)
        event = work.row.event(message, Known(customer=customer, totals=totals))
        recording = Recording(
            message_id=work.envelope.message_id,
            customer=customer,
            payload=events.encode(event),
            fact=fact_of(event),
            traceparent=work.envelope.traceparent,
        )
        return Ready(recording=recording, owner=owner, done=done, put_off=put_off)

    def _recorded(self, work: Work, known_before: bool) -> None:
        outcome = "duplicate" if known_before else "recorded"
        self._settle(outcome, work.row.name)
        work.desk.done(work.delivery)

    def _drop(self, delivery: Delivery, desk: Desk, outcome: str) -> None:
        self._settle(outcome, "")
        desk.done(delivery)

    async def _refuse(self, delivery: Delivery, desk: Desk, error: InvalidMessageError) -> None:
        log.warning("dead letter", reason=error.reason, detail=error.detail, type=delivery.type)
        why = retrying.dead_letter_notes(delivery, error.reason, str(error), self._clock())
        await desk.refuse(delivery, why)
        self._settle("dead-letter", error.reason)

    async def _count_attempt(self, work: Work) -> None:
        """Orders answered and knows no such order: perhaps it will in a moment."""
        after = retrying.after_unknown(work.delivery)
        if after is None:
            error = InvalidMessageError("unplaceable", "no service knows this order")
            await self._refuse(work.delivery, work.desk, error)
            return
        await self._postpone(work, after, "order-unknown")

    async def _try_later(self, work: Work, error: Exception) -> None:
        """Whoever could answer is away; that is not the message's fault, and is not counted."""
        after = retrying.after_unreachable(work.delivery, self._clock())
        if after is None:
            gone = InvalidMessageError("unreachable", "no answer for a day")
            await self._refuse(work.delivery, work.desk, gone)
            return
        log.warning("postponed", error=str(error), type=work.row.name, pause=after.seconds)
        await self._postpone(work, after, "unreachable")

    def _put_off(self, work: Work, why: Refused) -> bool:
        """The store refuses this one for its own sake: a copy of it comes again, uncounted; False
        where it has done so for a day.
        """
        after = retrying.after_unreachable(work.delivery, self._clock())
        if after is None:
            gone = InvalidMessageError("unreachable", f"refused by the log for a day: {why.kind}")
            self._lanes.put(object(), partial(self._refuse, work.delivery, work.desk, gone))
            return False
        # In a lane of its own: which copy comes back first does not matter, the recorder has them.
        self._lanes.put(object(), partial(self._postpone, work, after, "refused"))
        return True

    async def _postpone(self, work: Work, after: retrying.Retry, outcome: str) -> None:
        await work.desk.postpone(work.delivery, after.seconds, after.notes)
        self._settle("postponed", outcome)

    def _settle(self, outcome: str, kind: str) -> None:
        self._room.release()
        self._watch.settled(outcome, kind)


def _read(row: Translation, body: bytes) -> messages.Message:
    if len(body) > LONGEST_BODY:
        raise InvalidMessageError("too-large", f"{len(body)} bytes")
    return messages.decode(row.message, body)


def _needs_totals(message: messages.Message) -> bool:
    return isinstance(message, messages.CartMessage) and totals_in(message) is None


async def _patiently(
    ask: Callable[[OrderId], Awaitable[CustomerId | None]], order: OrderId
) -> CustomerId | None:
    """Whose order it is, where the log may be away for a moment.

    Waited for here, in the lane: what is put aside is passed by what comes behind it, and while the
    log is away that could not be recorded either.

    Raises:
        StoreUnavailableError: the log has not answered for LONGEST_HOLD.
        DownstreamError: Orders was asked, and does not answer.
    """
    pause, until = FIRST_PAUSE, trio.current_time() + LONGEST_HOLD
    while True:
        try:
            return await ask(order)
        except StoreUnavailableError:
            if trio.current_time() >= until:
                raise
        await trio.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE)
