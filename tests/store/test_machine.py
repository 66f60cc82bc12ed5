"""Every store against a model of what it promises, under whatever Hypothesis thinks of.

The time goes forward only: what a clock that is set back may do is told one by one in
test_contract_log.py.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    multiple,
    rule,
    run_state_machine_as_test,
)

from storefront.domain.facts import Fact
from storefront.domain.positions import Position
from storefront.store.contract import FACT_LIFE, HEAD_LEEWAY, HEAD_LIFE, OWNER_LIFE, Recording
from tests.store.kit import ALICE, BOB, DAY, EXAMPLES, KEPT_IDS, NOW, OPENERS, WINDOW
from tests.store.model import Model
from tests.store.portal import Portal

CUSTOMERS = [ALICE, BOB, "c4401000-0000-4000-8000-000000000004"]
ORDERS = ["order 1", "order 2"]

# Most of it happens to one, so that its log gets long.
customers = st.sampled_from([ALICE, *CUSTOMERS, ALICE])
facts = st.builds(
    Fact,
    kind=st.sampled_from(["order", "shipment"]),
    id=st.sampled_from(["1", "2"]),
    state=st.sampled_from(["Placed", "Delivered"]),
    detail=st.sampled_from([None, "1Z1", "1Z2"]),
    occurred_at=st.integers(0, 9).map(float),
)
recordings = st.builds(
    Recording,
    message_id=st.integers(0, 2 * KEPT_IDS).map(str),
    customer=customers,
    payload=st.binary(max_size=20),
    fact=st.none() | facts,
    also=st.none() | facts,
    traceparent=st.sampled_from([None, "00-1-2-01"]),
)
# The edges of all that lapses, and what lies between.
moments = st.sampled_from([0.5, WINDOW / 2, WINDOW - 0.5, WINDOW, WINDOW + 0.5])
ages = st.sampled_from(
    [
        *(DAY, HEAD_LEEWAY + 1, HEAD_LIFE, HEAD_LIFE + 1, HEAD_LIFE + HEAD_LEEWAY),
        *(HEAD_LIFE + HEAD_LEEWAY + 1, FACT_LIFE, OWNER_LIFE + 1),
    ]
)


class StoreMachine(RuleBasedStateMachine):
    """One store, one model, one clock."""

    opener = staticmethod(OPENERS["memory"])
    survives_a_restart = False

    positions = Bundle("positions")

    def __init__(self):
        super().__init__()
        self.now = NOW
        self.model = Model()
        self.generations = dict.fromkeys(CUSTOMERS, "")
        self.renewed = dict.fromkeys(CUSTOMERS, NOW)
        self.old_generations: dict[str, set[str]] = {who: set() for who in CUSTOMERS}
        self.folder = Path(tempfile.mkdtemp())
        self.open()

    def open(self):
        self.portal = Portal(self.opener(self.folder)).__enter__()
        self.call = self.portal.call

    def teardown(self):
        self.portal.__exit__()
        shutil.rmtree(self.folder)

    @initialize(target=positions)
    def some_positions_of_nobody(self):
        return multiple(Position("nobody", 0), Position("nobody", 3))

    @rule(step=moments)
    def a_moment_passes(self, step):
        self.now += step

    @rule(step=ages)
    def an_age_passes(self, step):
        self.now += step

    @rule(target=positions, batch=st.lists(recordings, max_size=12))
    def record(self, batch):
        answers = self.call("record", batch, now=self.now)
        assert len(answers) == len(batch)
        for recording, answer in zip(batch, answers, strict=True):
            self.model.recorded(recording, answer, self.now)
        for who in {answer.customer for answer in answers if answer is not None}:
            self.is_renewed(who, self.call("generation", who))
        return multiple(*(answer.position for answer in answers if answer is not None))

    @rule(
        target=positions,
        who=customers,
        cursor=positions,
        back=st.integers(-1, 4),
        limit=st.integers(0, 5),
        size=st.integers(0, 40),
    )
    def since(self, who, cursor, back, limit, size):
        cursor = Position(cursor.epoch, max(cursor.seq - back, 0))
        found = self.call("since", who, cursor, now=self.now, limit=limit, max_bytes=size)
        self.model.read(who, cursor, found, now=self.now, limit=max(limit, 1), size=size)
        return found.head

    @rule(who=customers)
    def the_whole_log_joins_up(self, who):
        """From the oldest cursor that can be resumed, slice by slice; and from none before it."""
        log = self.model.logs.get(who)
        if log is None or self.now - log.touched > HEAD_LIFE:
            return
        old = sum(self.now - entry.recorded_at > WINDOW for entry in log.entries)
        if old:
            gone = Position(log.epoch, old - 1)
            found = self.call("since", who, gone, now=self.now, limit=2, max_bytes=1000)
            self.model.read(who, gone, found, now=self.now, limit=2, size=1000)
        cursor, joined = Position(log.epoch, old), []
        while cursor != log.head:
            found = self.call("since", who, cursor, now=self.now, limit=2, max_bytes=1000)
            self.model.read(who, cursor, found, now=self.now, limit=2, size=1000)
            joined += found.entries
            cursor = joined[-1].position
        assert joined == log.entries[old:]

    @rule(
        batch=st.lists(recordings, min_size=1, max_size=4),
        step=st.sampled_from([WINDOW - 0.5, WINDOW, WINDOW + 0.5]),
    )
    def events_come_to_the_edge_of_the_window(self, batch, step):
        """Left to chance it hardly happens that a log which lives has events too old to be read."""
        self.record(batch)
        self.now += step
        for who in CUSTOMERS:
            self.the_whole_log_joins_up(who)

    @rule(target=positions, who=customers)
    def position(self, who):
        found = self.call("position", who, now=self.now)
        assert self.model.log(who, found.epoch, self.now).head == found
        return found

    @rule(whom=st.lists(customers))
    def heads(self, whom):
        self.model.heads(self.call("heads", whom, now=self.now), whom, self.now)

    @rule(who=customers)
    def facts(self, who):
        self.model.known_facts(who, self.call("facts", who, now=self.now), self.now)

    @rule(owners=st.lists(st.tuples(st.sampled_from(ORDERS), customers), max_size=4))
    def place(self, owners):
        assert list(self.call("place", owners, now=self.now)) == [None] * len(owners)
        for order, who in owners:
            self.model.placed(order, who, self.now)

    @rule(order=st.sampled_from(ORDERS))
    def owner(self, order):
        assert self.call("owner", order, now=self.now) == self.model.owner(order, self.now)

    @rule(who=customers)
    def renew_generation(self, who):
        self.is_renewed(who, self.call("renew_generation", who, now=self.now))
        self.position(who)  # a store may file it with a numbering, which then begins here

    def is_renewed(self, who, generation):
        self.old_generations[who].add(self.generations[who])
        assert generation not in self.old_generations[who]
        self.generations[who] = generation
        self.renewed[who] = self.now

    @rule(who=customers)
    def generation(self, who):
        found = self.call("generation", who)
        forgotten = found == "" and self.now - self.renewed[who] > HEAD_LIFE
        assert forgotten or found == self.generations[who]

    @rule()
    def restart(self):
        if self.survives_a_restart:
            self.portal.__exit__()
            self.open()
            # Generations may be forgotten with the cache they guard; both begin anew.
            self.generations = {who: self.call("generation", who) for who in CUSTOMERS}
            self.old_generations = {who: set() for who in CUSTOMERS}


@pytest.mark.parametrize("name", sorted(OPENERS))
def test_a_store_answers_as_the_model_does(name):
    machine = type(
        f"{name.title()}Machine",
        (StoreMachine,),
        {"opener": staticmethod(OPENERS[name]), "survives_a_restart": name != "memory"},
    )
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES or 80,
            stateful_step_count=40,
            deadline=None,
            derandomize=not EXAMPLES,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
