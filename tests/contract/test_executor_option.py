"""How a job, a function or a queue says in which executor it is to run; workers are tested in tests/executors."""

from __future__ import annotations

from typing import Any

import pytest
from tests import tasks

from atomiq import Job, Queue
from atomiq.decorators import job
from atomiq.exceptions import InvalidOption


def stored(found: Job) -> Any:
    return found.connection.hget(found.key, "executor")


def test_a_job_says_it(redis_connection: Any) -> None:
    queue = Queue(connection=redis_connection)
    made = queue.enqueue_job(queue.create_job(tasks.add, (1, 2), executor="thread"))
    assert stored(made) == b"thread"
    assert Job.fetch(made.id, redis_connection).executor == "thread"


def test_a_queue_says_it_for_jobs_that_do_not(redis_connection: Any) -> None:
    queue = Queue(connection=redis_connection, executor="async")
    assert stored(queue.enqueue(tasks.add, 1)) == b"async"
    assert stored(queue.enqueue_job(queue.create_job(tasks.add, (1,), executor="fork"))) == b"fork"
    foreign = Job.create(tasks.add, (1,), connection=redis_connection)
    assert stored(queue.enqueue_job(foreign)) == b"async"
    (many,) = queue.enqueue_many([Queue.prepare_data(tasks.add, (1,))])
    assert stored(many) == b"async"


def test_a_function_says_it(redis_connection: Any) -> None:
    decorated = job("default", connection=redis_connection, executor="process")(tasks.nothing)
    assert stored(decorated.delay()) == b"process"


def test_nobody_says_it(redis_connection: Any) -> None:
    queue = Queue(connection=redis_connection)
    assert stored(queue.enqueue(tasks.add, 1)) is None


def test_a_job_that_is_put_anew_keeps_it(redis_connection: Any) -> None:
    made = Queue(connection=redis_connection, executor="thread").enqueue(tasks.add, 1)
    made.cancel()
    again = Queue(connection=redis_connection).enqueue_job(Job.fetch(made.id, redis_connection))
    assert stored(again) == b"thread"


def test_the_function_s_own_keyword_stays_the_function_s(redis_connection: Any) -> None:
    """`enqueue` knows no option of this name: a function may have an argument `executor`."""
    queue = Queue(connection=redis_connection)
    made = queue.enqueue(tasks.echo, value="x")
    assert made.kwargs == {"value": "x"}
    assert stored(made) is None


@pytest.mark.parametrize("name", ["threads", "", "PROCESS"])
def test_an_unknown_executor_is_refused_where_it_is_named(redis_connection: Any, name: str) -> None:
    queue = Queue(connection=redis_connection)
    with pytest.raises(InvalidOption, match="executor must be one of process, fork, spawn, thread, async, inline"):
        queue.create_job(tasks.add, executor=name)
    with pytest.raises(InvalidOption):
        Queue(connection=redis_connection, executor=name)
    with pytest.raises(InvalidOption):
        job("default", connection=redis_connection, executor=name)
