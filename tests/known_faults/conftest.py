"""What the tests of RQ's known faults share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis
from tests.invariants import check_invariants
from tests.worker.conftest import start_worker

from atomiq import Queue

__all__ = ["start_worker"]


@pytest.fixture
def queue(redis_connection: redis.Redis) -> Queue:
    return Queue("default", connection=redis_connection)


@pytest.fixture
def sound(redis_connection: redis.Redis) -> Iterator[Any]:
    """Call it at any instant: every job is in exactly the places that its status names. It is called at the end too."""

    def check() -> None:
        assert check_invariants(redis_connection) == []

    yield check
    check()
