"""Fixtures for the tests of executors."""

from __future__ import annotations

from typing import Any

import pytest
from tests.conftest import database_url

from atomiq import Queue


@pytest.fixture
def queue(redis_connection: Any) -> Queue:
    return Queue("default", connection=redis_connection)


@pytest.fixture(scope="module")
def own_database(server_url: str) -> str:
    """URL of a database for a run that several tests look at. It is to be left empty: others will use it."""
    return database_url(server_url)
