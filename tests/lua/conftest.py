"""The scene fixture: after every test the whole key space must be in order."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis
from tests.invariants import check_invariants
from tests.lua.scene import Scene


@pytest.fixture
def scene(redis_connection: redis.Redis) -> Iterator[Scene]:
    scene = Scene(redis_connection)
    yield scene
    assert check_invariants(redis_connection, scene.keys.prefix, scene.expired, scene.now) == []
