"""Who the server sees."""

from __future__ import annotations

import asyncio
from importlib import metadata
from typing import Any

import pytest
import redis

from atomiq import aio, connect
from atomiq._core.version import __version__
from atomiq._wire.siblings import fresh_like, single_connection

pytestmark = pytest.mark.skipif(not hasattr(redis, "DriverInfo"), reason="redis-py before 7.2")
OURS = f"redis-py(atomiq_v{__version__})"


def seen(client: redis.Redis) -> list[str]:
    database = str(client.get_connection_kwargs()["db"])
    return [each["lib-name"] for each in client.client_list() if each["db"] == database]


@pytest.fixture
def names_kept(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        if "lib-name" not in client.client_list()[0]:
            pytest.skip("a server before 7.2 keeps no names of libraries")


@pytest.mark.usefixtures("names_kept")
def test_clients_say_who_they_are(redis_url: str) -> None:
    with connect(redis_url) as ours, fresh_like(redis.Redis.from_url(redis_url)) as sibling:
        sibling.ping()
        assert seen(ours) == [OURS, OURS]


@pytest.mark.usefixtures("names_kept")
def test_asyncio_clients_too(redis_url: str) -> None:
    async def names() -> set[str]:
        async with aio.connect(redis_url) as ours:
            return {each["lib-name"] for each in await ours.client_list()}

    assert OURS in asyncio.run(names())


@pytest.mark.usefixtures("names_kept")
def test_a_name_of_the_callers_stays(redis_url: str) -> None:
    driver = redis.DriverInfo().add_upstream_driver("shop", "1.0")
    with connect(redis_url, driver_info=driver) as theirs, fresh_like(theirs) as sibling:
        sibling.ping()
        assert seen(theirs) == ["redis-py(shop_v1.0)"] * 2


def test_no_connection_reads_metadata(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """redis-py looked its own version up for each: 0.7 ms of CPU in each wait for a result, and in each new child."""
    looked_up: list[Any] = []
    monkeypatch.setattr(metadata, "version", lambda name: looked_up.append(name) or "1")
    with redis.Redis.from_url(redis_url) as client:
        single_connection(client)
    assert looked_up == []
