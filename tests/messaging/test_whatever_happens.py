"""Whatever goes wrong, in whatever order: each message is recorded once or is a dead letter, a customer's come in
their order, and nothing is acknowledged that is not safe. The real rooms, over memory, on virtual time.
"""

from __future__ import annotations

import itertools
from collections import Counter
from contextlib import asynccontextmanager
from decimal import Decimal

import trio
from hypothesis import Phase, event, given, settings
from hypothesis import strategies as st

from storefront.domain.translate import Totals
from storefront.errors import BrokerError, DownstreamTimeoutError, StoreUnavailableError
from storefront.messaging.memory import MemoryBroker, MemorySession
from storefront.store.contract import Entry
from storefront.store.memory import MemoryStore
from tests.messaging.conftest import ALICE, BOB, IN_HAND, Neighbours, guid, open_office
from tests.store.faulty import FaultyStore

CAROL = "33333333-3333-3333-3333-333333333333"
CUSTOMERS = (ALICE, BOB, CAROL)


class Ledger(FaultyStore):
    """Keeps the ids of what it took, in order; may be slow, and may take a batch and lose the answer."""

    def __init__(self):
        tokens = itertools.count()
        super().__init__(MemoryStore(window=300.0, kept_ids=500, token=lambda: f"e{next(tokens)}"))
        self.taken = []
        self.slow = 0.0
        self.loses_answers = 0

    async def record(self, batch, *, now):
        await trio.sleep(self.slow)
        answers = await super().record(batch, now=now)
        self.taken += [
            each.message_id
            for each, answer in zip(batch, answers, strict=True)
            if isinstance(answer, Entry)
        ]
        await trio.sleep(self.slow)
        if self.loses_answers:
            self.loses_answers -= 1
            raise StoreUnavailableError("the answer was lost")
        return answers


class WatchfulSession(MemorySession):
    """Sees to it that what is acknowledged is in the log, or with the broker under another tag."""

    async def acknowledge(self, acks):
        before = dict(self._unsettled)
        await super().acknowledge(acks)
        for tag in before.keys() - self._unsettled.keys():
            assert self.is_safe(before[tag].message_id), before[tag]

    async def delay(self, delivery, seconds, notes):
        if self._bus.faults["delay"]:
            await trio.sleep(self._bus.faults["delay"])
            raise BrokerError("takes no message")
        await super().delay(delivery, seconds, notes)

    async def dead_letter(self, delivery, why):
        if self._bus.faults["dead letters"]:
            raise BrokerError("takes no message")
        await super().dead_letter(delivery, why)

    def is_safe(self, message_id):
        with_the_broker = (
            *self._unsettled.values(),
            *self._bus.queue(self._queue).waiting,
            *self._bus.dead_letters,
            *(delivery for *_, delivery in self._bus._postponed),
        )
        return message_id in self._bus.ledger.taken or any(
            message_id == each.message_id for each in with_the_broker
        )


class WatchfulBroker(MemoryBroker):
    def __init__(self, ledger):
        super().__init__()
        self._bus.ledger, self._bus.faults = ledger, Counter()

    @property
    def faults(self):
        return self._bus.faults

    @asynccontextmanager
    async def consuming(self, queue, *, prefetch):
        async with super().consuming(queue, prefetch=prefetch) as session:
            session.__class__ = WatchfulSession
            yield session


class World:
    """What a plan happens to."""

    def __init__(self, office, ledger):
        self.office, self.ledger, self.broker = office, ledger, office.broker
        self.neighbours = office.neighbours
        self.number = itertools.count(1)
        self.published = []
        self.ordered = {customer: [] for customer in CUSTOMERS}
        self.orders = {}
        self.cut_off = False

    async def publish(self, what, customer):
        if self.cut_off:
            return
        number = next(self.number)
        self.office.serial = itertools.count(number)  # the message's id is this number
        if what == "asks":
            # Whatever waits for an answer is passed by those behind it.
            self.neighbours.carts[guid(number)] = Totals(item_count=1, total_amount=Decimal(1))
            self.neighbours.slow[guid(number)] = number % 3
            await self.office.add_item(customer, cart=number, count=None)
        elif what == "poison":
            await self.office.publish("Shopping.ItemAdded", b"{}")
        elif what == "unknown order":
            await self.office.authorize(9_000 + number)
        else:
            self.ordered[customer].append(guid(number))
            if what == "pays" and customer in self.orders:
                await self.office.authorize(self.orders[customer])
            elif what == "orders":
                self.orders[customer] = number
                await self.office.place_order(number, customer)
            else:
                await self.office.add_item(customer, cart=number)
        self.published.append(guid(number))

    async def set_fault(self, fault, customer):
        if fault == "refuse":
            self.ledger.refuses = self.ledger.refuses | {customer}
        elif fault == "refuse order":
            self.ledger.refuses = self.ledger.refuses | {guid(self.orders.get(customer, 0))}
        elif fault == "cut":
            self.cut_off = True
            self.broker.cut()
        elif fault == "away":
            self.ledger.away = True
        elif fault == "slow":
            self.ledger.slow = 0.7
        elif fault == "answer":
            self.ledger.loses_answers = 2
        elif fault == "shopping":
            self.neighbours.fails = DownstreamTimeoutError("shopping", "away")
        else:
            self.broker.faults[fault] = 3

    async def mend(self):
        self.ledger.refuses, self.ledger.away, self.ledger.slow = set(), False, 0.0
        self.ledger.loses_answers = 0
        self.neighbours.fails = None
        self.broker.faults.clear()
        if self.cut_off:
            self.cut_off = False
            self.broker.mend()


WHAT = ("plain", "plain", "plain", "asks", "orders", "pays", "poison", "unknown order")
FAULTS = (
    *("refuse", "refuse", "refuse order", "cut", "away", "slow", "answer", "shopping"),
    *("delay", "delay", "dead letters"),
)
# Most of it happens to one, so that much comes behind what is refused.
SOMEBODY = st.sampled_from((ALICE, ALICE, ALICE, BOB, CAROL))
STEPS = st.one_of(
    st.tuples(st.just("publish"), st.sampled_from(WHAT), SOMEBODY),
    st.tuples(st.just("burst"), st.just("plain"), SOMEBODY),
    st.tuples(st.just("fault"), st.sampled_from(FAULTS), SOMEBODY),
    st.tuples(st.just("pass"), st.sampled_from((0, 0.3, 1.5, 7)), st.just("")),
    st.tuples(st.sampled_from(("mend", "pass", "pass")), st.just(0.5), st.just("")),
)
LONG = st.lists(st.integers(0, 24), max_size=1)  # after which step eleven minutes pass


async def carry_out(plan, long):
    ledger = Ledger()
    async with trio.open_nursery() as nursery:
        async with open_office(
            nursery, ledger, WatchfulBroker(ledger), Neighbours(), held=2
        ) as office:
            world = World(office, ledger)
            for number, (step, what, customer) in enumerate(plan):
                if step == "publish":
                    await world.publish(what, customer)
                elif step == "burst":
                    for _ in range(6):
                        await world.publish(what, customer)
                elif step == "fault":
                    await world.set_fault(what, customer)
                elif step == "mend":
                    await world.mend()
                else:
                    await trio.sleep(what)
                if number in long:
                    await trio.sleep(660)
            await world.mend()
            # An order that nobody knows is asked about for ten minutes.
            await trio.sleep(900)
            judge(world)
        nursery.cancel_scope.cancel()


def judge(world):
    office, taken = world.office, Counter(world.ledger.taken)
    dead = {each.message_id for each in office.broker.dead_letters}
    assert set(taken.values()) <= {1}, "recorded twice"
    assert set(taken) | dead == set(world.published)
    assert not set(taken) & dead
    for customer, names in world.ordered.items():
        sequence = {name: number for number, name in enumerate(names)}
        found = [sequence[name] for name in world.ledger.taken if name in sequence]
        assert found == list(range(len(names))), customer
    assert (office.unsettled, office.broker.postponed, office.recorder.condition()) == (0, 0, "")
    assert office.dispatcher._room.value == IN_HAND, "each made room once"
    for outcome, kind in office.outcomes:
        event(f"{outcome} {kind}" if outcome in {"postponed", "given-back"} else outcome)


# To make a failing plan shorter takes minutes; what it prints can be tried again.
@settings(
    max_examples=50,
    deadline=None,
    print_blob=True,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
@given(plan=st.lists(STEPS, min_size=10, max_size=25), long=LONG)
def test_every_message_is_recorded_once_and_in_order_or_is_a_dead_letter_whatever_goes_wrong(
    plan, long
):
    trio.run(carry_out, plan, long, clock=trio.testing.MockClock(autojump_threshold=0))
