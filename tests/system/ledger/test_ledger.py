"""Promise 2 as a whole: whatever strikes, every confirmed message reaches every reader of its customer, in order, once.

In `make test` each fault strikes once. `make ledger` (STOREFRONT_TEST_LEDGER=whole) goes on until 20,000 messages of
200 customers are confirmed. A run that failed is run again, as far as the machine repeats it, with STOREFRONT_TEST_SEED.
"""

from __future__ import annotations

import os
import secrets
import sys
from typing import Any

import pytest

from tests.system import shopfloor as shop
from tests.system.ledger import faults
from tests.system.ledger.floor import Instance
from tests.system.ledger.run import Form, must_be_faultless, run_ledger
from tests.system.servers.ports import free_port

WHOLE = os.environ.get("STOREFRONT_TEST_LEDGER") == "whole"
SEED = int(os.environ.get("STOREFRONT_TEST_SEED") or secrets.randbits(32))
# In the short form what counts is that each fault has its messages; 200 a second are what a busy machine keeps up with.
SIZE: dict[str, Any] = (
    {"customers": 200, "messages": 20_000, "rate": 300.0, "within": 900.0}
    if WHOLE
    else {"customers": 100, "messages": 2_000, "rate": 200.0}
)

ON_REDIS = Form(
    blows=[
        faults.connections_closed,
        faults.sigkill,
        faults.sigterm,
        faults.redis_client_kill,
        faults.broker_restart,
        faults.rolling_restart,
    ],
    **SIZE,
)
ON_SQLITE = Form(
    blows=[
        faults.connections_closed,
        faults.sigkill,
        faults.sigterm,
        faults.broker_restart,
        faults.rolling_restart,
    ],
    **SIZE,
)


def control(*blows: faults.Blow) -> Form:
    """Only what exposes one sabotage. What is lost never comes: there is little patience."""
    return Form(customers=30, messages=500, rate=300.0, blows=blows, patience=4.0)


def instances(new_service, vhost, amount: int, **settings: str) -> list[Instance]:
    """Processes on one broker. Nobody answers for Orders: whose order it is must be in the log."""
    silent = f"http://127.0.0.1:{free_port()}"
    return [
        Instance(
            f"process {number}",
            new_service(**shop.settings(vhost.url, ORDERS_URL=silent, **settings)),
        )
        for number in range(1, amount + 1)
    ]


def sabotaged(made: list[Instance], which: str) -> list[Instance]:
    for instance in made:
        instance.process._command = [sys.executable, "-m", "tests.system.ledger.sabotage", which]
    return made


async def test_the_ledger_is_whole_with_two_processes_on_redis(
    vhost, redis_server, new_service, record_property
):
    two = instances(new_service, vhost, 2, REDIS_URL=redis_server.url)
    outcome = await run_ledger(ON_REDIS, two, vhost, redis_server, seed=SEED)
    record_property("ledger", f"Redis, two processes: {outcome}")
    must_be_faultless(outcome)


async def test_the_ledger_is_whole_with_one_process_on_sqlite(vhost, new_service, record_property):
    one = instances(new_service, vhost, 1)
    outcome = await run_ledger(ON_SQLITE, one, vhost, None, seed=SEED)
    record_property("ledger", f"SQLite, one process: {outcome}")
    must_be_faultless(outcome)


async def test_control_a_service_that_acknowledges_before_it_records_loses_messages(
    vhost, redis_server, new_service, record_property
):
    two = instances(new_service, vhost, 2, REDIS_URL=redis_server.url)
    hasty = sabotaged(two, "ack-before-record")
    outcome = await run_ledger(control(faults.sigkill), hasty, vhost, redis_server, seed=SEED)
    record_property("ledger", f"control, ack before record: {outcome}")
    assert set(outcome.kinds()) == {"lost"}, outcome.told()
    with pytest.raises(AssertionError, match="lost"):
        must_be_faultless(outcome)


async def test_control_a_service_that_knows_no_message_again_shows_them_twice(
    vhost, redis_server, new_service, record_property
):
    two = instances(new_service, vhost, 2, REDIS_URL=redis_server.url)
    forgetful = sabotaged(two, "dedupe-off")
    form = control(faults.connections_closed)
    outcome = await run_ledger(form, forgetful, vhost, redis_server, seed=SEED)
    record_property("ledger", f"control, dedupe off: {outcome}")
    assert set(outcome.kinds()) == {"double"}, outcome.told()
    with pytest.raises(AssertionError, match="double"):
        must_be_faultless(outcome)
