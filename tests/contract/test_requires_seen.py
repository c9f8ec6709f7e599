"""A job that waits for what it requires: where that can be seen, and what users may do meanwhile."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis
from tests.contract.jobs import add
from tests.contract.requires_checks import ANSWERS, SEEN, answer

from atomiq import Job, Queue
from atomiq.backoff import Constant
from atomiq.cli.detail import job_lines
from atomiq.command import send_stop_job_command
from atomiq.exceptions import InvalidJobOperation
from atomiq.requires import Ready
from atomiq.worker import SimpleWorker

NAME = "tests.contract.requires_checks"


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    ANSWERS.clear()
    SEEN.clear()
    yield
    ANSWERS.clear()


@pytest.fixture
def queue(redis_connection: redis.Redis) -> Queue:
    return Queue(connection=redis_connection)


def work(queue: Queue) -> None:
    SimpleWorker([queue], connection=queue.connection).work(burst=True)


def test_info_shows_what_it_waited_for(queue: Queue) -> None:
    ANSWERS.extend([False, OSError("gone")])
    job = queue.enqueue(add, 5, requires=Ready(answer, 7, backoff=Constant(0)))
    work(queue)
    job.refresh()
    lines = list(job_lines(job))
    assert f"requires:      {NAME}.answer(7)" in lines
    waited = [line for line in lines if line.startswith("waited:")]
    assert [line.partition(" UTC ")[2] for line in waited] == ["for 0 s, not there", "for 0 s, error: OSError: gone"]


def test_the_log_has_a_line_for_each_wait(queue: Queue, caplog: pytest.LogCaptureFixture) -> None:
    ANSWERS.extend([False, OSError("gone")])
    job = queue.enqueue(add, 5, requires=Ready(answer, 7, backoff=Constant(0)))
    with caplog.at_level("INFO", "atomiq.worker"):
        work(queue)
    said = [record.getMessage() for record in caplog.records if "not there yet" in record.getMessage()]
    what = f"{NAME}.answer(7)"
    assert [line.partition(f"job {job.id}: ")[2] for line in said] == [
        f"not there yet: {what} (look 1 of at most 5); looked for again in 0 s",
        f"not there yet: {what} (error 1 of at most 6: OSError: gone); looked for again in 0 s",
    ]


# -- what users do meanwhile -------------------------------------------------------------------------------------------


def test_canceled_deleted_or_stopped_while_it_waits(queue: Queue) -> None:
    ANSWERS.extend([False] * 3)
    canceled, deleted, waiting = [queue.enqueue(add, 1, requires=Ready(answer, backoff=60)) for _ in range(3)]
    work(queue)
    canceled.cancel()
    deleted.delete()
    with pytest.raises(InvalidJobOperation):
        send_stop_job_command(queue.connection, waiting.id)
    assert (canceled.is_canceled, waiting.is_scheduled) == (True, True)
    assert not Job.exists(deleted.id, queue.connection)
    assert queue.scheduled_job_registry.get_job_ids() == [waiting.id]
