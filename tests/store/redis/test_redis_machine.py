"""Redis against the model of all stores, and browsers that come and go, as Hypothesis thinks of it."""

from __future__ import annotations

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.store.kit import EXAMPLES
from tests.store.redis.kit import opener
from tests.store.test_machine import StoreMachine
from tests.store.test_resuming import play, steps

pytestmark = pytest.mark.system


def test_redis_answers_as_the_model_does(shared_server):
    class RedisMachine(StoreMachine):
        opener = staticmethod(opener(shared_server.url))
        survives_a_restart = True

        def __init__(self):
            shared_server.command("FLUSHALL")
            super().__init__()

    run_state_machine_as_test(
        RedisMachine,
        settings=settings(
            max_examples=EXAMPLES or 60,
            stateful_step_count=40,
            deadline=None,
            derandomize=not EXAMPLES,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )


def test_whoever_comes_back_gets_what_was_missed_in_order_and_once_or_is_told(shared_server):
    @settings(
        max_examples=EXAMPLES or 60,
        derandomize=not EXAMPLES,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(steps=steps)
    def run(steps):
        shared_server.command("FLUSHALL")
        trio.run(play, opener(shared_server.url), steps)

    run()
