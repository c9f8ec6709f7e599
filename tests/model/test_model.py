"""Random transitions against a plain model, G1 checked after every step.

The same worlds in every run; ATOMIQ_MODEL=long looks at thirty times as many, new ones each time.
"""

from __future__ import annotations

import os

import redis
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from tests.model.comparison import COUNTS
from tests.model.machine import Machine

LONG = os.environ.get("ATOMIQ_MODEL") == "long"
STEPS, WORLDS = 50, (3000 if LONG else 100)


def test_the_server_does_what_the_model_says(redis_connection: redis.Redis) -> None:
    class Here(Machine):
        connection = redis_connection

    before = COUNTS.total()
    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=WORLDS,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=not LONG,
            database=None,
            print_blob=True,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert COUNTS.total() - before >= 2000
