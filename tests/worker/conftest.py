"""Fixtures for tests with whole worker processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.worker.processes import WorkerProcess

from atomiq import Queue

StartWorker = Callable[..., WorkerProcess]


@pytest.fixture
def queue(redis_connection: Any) -> Queue:
    return Queue("default", connection=redis_connection)


@pytest.fixture
def start_worker(redis_url: str, tmp_path: Path) -> Iterator[StartWorker]:
    """Starts workers; those that are left are killed at the end. The log of each is shown if the test fails."""
    started: list[WorkerProcess] = []

    def start(*queues: str, url: str = redis_url, **wish: Any) -> WorkerProcess:
        log = tmp_path / f"worker{len(started)}.log"
        process = WorkerProcess(log, url, list(queues or ("default",)), **wish)
        started.append(process)
        return process

    yield start
    for process in started:
        process.end()
        print(f"--- log of {process.name}:\n{process.log}")
