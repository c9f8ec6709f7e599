"""The world fixture."""

from __future__ import annotations

import pytest
import redis
from tests.doctor.world import World


@pytest.fixture
def world(redis_connection: redis.Redis) -> World:
    return World(redis_connection)
