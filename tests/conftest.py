"""Fixtures for all tests.

`redis_connection` is a fresh, empty logical database; `store` is atomiq's runner on it; `redis_url` names it for a
process that a test starts. All of it is one throwaway server per run, or the server of ATOMIQ_TEST_URL, whose databases
0 to 15 are then emptied.
"""

from __future__ import annotations

import functools
import itertools
import logging
import os
import signal
import sys
from collections.abc import Iterator
from importlib import metadata
from typing import Any
from weakref import WeakSet

import pytest
import redis

from atomiq._wire.sync import Store
from tests.faults.proxy import CuttingProxy, cutting_proxy
from tests.helpers import clients, living_children, living_threads, throwaway_server, wait_until

DATABASES = itertools.cycle(range(16))


POOLS: WeakSet[redis.ConnectionPool] = WeakSet()
_made = redis.ConnectionPool.__init__


def _note(pool: redis.ConnectionPool, *given: Any, **options: Any) -> None:
    _made(pool, *given, **options)
    POOLS.add(pool)


redis.ConnectionPool.__init__ = _note  # type: ignore[method-assign]

LOGGERS = ("atomiq", "atomiq.cron", "atomiq.worker", "atomiq.job", "atomiq.queue")


# Containers are often told to write no bytecode. Here hundreds of processes import the same modules, and pytest would
# rewrite every assertion anew in each of its own.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# redis-py reads the metadata of its package for its version each time it makes a connection.
metadata.version = functools.cache(metadata.version)

# A shell that starts the tests in the background has them ignore Ctrl+C, and programs that they start would as well.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slowest come first: what they wait for passes while others run, and they never are what all wait for."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """The server of this run, without a database number."""
    given = os.environ.get("ATOMIQ_TEST_URL")
    if given:
        yield given
        return
    with throwaway_server() as (path, _pid):
        yield f"unix://{path}"


@pytest.fixture
def redis_url(server_url: str) -> str:
    """URL of a database that no other test uses at the same time."""
    return database_url(server_url)


def database_url(server_url: str) -> str:
    """The next of the server's databases."""
    base, _, query = server_url.partition("?")
    options = [option for option in query.split("&") if option and not option.startswith("db=")]
    return f"{base}?{'&'.join([*options, f'db={next(DATABASES)}'])}"


@pytest.fixture
def redis_connection(redis_url: str) -> Iterator[redis.Redis]:
    """An ordinary redis.Redis on an empty database, emptied again afterwards."""
    connection = redis.Redis.from_url(redis_url)
    connection.flushdb()
    yield connection
    connection.flushdb()
    connection.connection_pool.disconnect()


@pytest.fixture
def store(redis_connection: redis.Redis) -> Store:
    """The runner of commands on `redis_connection`."""
    return Store.of(redis_connection)


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that leaves a child process, a thread or a client of the server behind fails. Orphans are known by their
    connections: RQ's scheduler outlives a killed worker, and a later test met what it asks the server every second."""
    children, threads = living_children(), living_threads()
    url = request.getfixturevalue("server_url") if "server_url" in request.fixturenames else None
    yield
    wait_until(lambda: living_children() <= children, within=5, what="every process the test started has ended")
    wait_until(lambda: living_threads() <= threads, within=5, what="every thread the test started has ended")
    if url is not None and "ATOMIQ_TEST_URL" not in os.environ:  # a server of the user's may have other clients
        path = url.removeprefix("unix://")
        wait_until(lambda: clients(path) <= 1, within=5, what="every client of the server has gone")


@pytest.fixture(autouse=True)
def no_open_connections(nothing_left_behind: None) -> Iterator[None]:
    """Clients that a test didn't close are closed: Python warns of an open socket when it collects one, in the midst of
    whatever test runs then. Before it is looked what the test has left behind."""
    before = set(POOLS)
    yield
    for pool in set(POOLS) - before:
        pool.disconnect()


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """A worker sets up logging, and a dictConfig silences loggers; neither may outlive its test."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    before = [(logger.level, logger.handlers[:], logger.propagate, logger.disabled) for logger in loggers]
    yield
    for logger, (level, handlers, propagate, disabled) in zip(loggers, before, strict=True):
        logger.setLevel(level)
        logger.handlers, logger.propagate, logger.disabled = handlers, propagate, disabled


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The socket of a server for the tests of one file, which may stop it, restart it or flush its scripts."""
    with throwaway_server() as (path, _pid):
        yield path


@pytest.fixture
def proxy(server: str) -> Iterator[CuttingProxy]:
    """Before that server, to cut connections."""
    with cutting_proxy(server) as proxy:
        yield proxy
