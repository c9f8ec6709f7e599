"""A server that tools can reach by TCP, and programs that run under the alias."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from tests.helpers import throwaway_server
from tests.tools.programs import Programs, free_port

DATABASES = itertools.cycle(range(16))


@pytest.fixture(scope="session")
def tcp_port() -> Iterator[int]:
    """Port of a throwaway server."""
    port = free_port()
    with throwaway_server("--port", str(port), "--bind", "127.0.0.1"):
        yield port


@pytest.fixture
def tcp_url(tcp_port: int) -> str:
    """URL of an empty database."""
    url = f"redis://127.0.0.1:{tcp_port}/{next(DATABASES)}"
    with redis.Redis.from_url(url) as connection:
        connection.flushdb()
    return url


@pytest.fixture
def connection(tcp_url: str) -> Iterator[redis.Redis]:
    """A client of that database."""
    with redis.Redis.from_url(tcp_url) as client:
        yield client


@pytest.fixture
def programs(tcp_url: str, tmp_path: Path) -> Iterator[Programs]:
    """Starts programs under the alias, in a folder of their own; ends those that still run."""
    with Programs(tmp_path, tcp_url) as made:
        yield made
