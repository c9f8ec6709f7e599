"""Bad input beside RQ 2.12: what it refuses is refused with the same type of exception; what it lets pass by accident
works as one would expect, or is a clear error."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
import rq
import rq.exceptions
import rq.job
import rq.queue
from tests.contract.jobs import add, snapshot

import atomiq
import atomiq.exceptions
import atomiq.job
from atomiq import Job, JobStatus, Queue
from atomiq.exceptions import DuplicateJobError, InvalidInput, InvalidName, InvalidOption, JobIsRunning
from atomiq.queue import EnqueueData

LATER = datetime(2030, 1, 1, tzinfo=UTC)


class Both:
    """The same names of either library."""

    def __init__(self, package: Any, connection: redis.Redis) -> None:
        self.connection = connection
        self.package = package
        self.job = package.job
        self.queue = package.Queue("q", connection=connection)

    def make(self, *args: Any, **kwargs: Any) -> Any:
        return self.package.Queue(*args, **kwargs)


@pytest.fixture
def theirs(redis_connection: redis.Redis) -> Both:
    return Both(rq, redis_connection)


@pytest.fixture
def ours(redis_connection: redis.Redis) -> Both:
    return Both(atomiq, redis_connection)


REFUSED: dict[str, Callable[[Both], Any]] = {
    "no connection": lambda it: it.make("q"),
    "a connection that is nothing": lambda it: it.make("q", connection=False),
    "a serializer without methods": lambda it: it.make("q", connection=it.connection, serializer=object()),
    "a serializer that is nowhere": lambda it: it.make("q", connection=it.connection, serializer="no.such"),
    "a job class that is nowhere": lambda it: it.make("q", connection=it.connection, job_class="no.such.Job"),
    "a default timeout in words": lambda it: it.make("q", connection=it.connection, default_timeout="soon"),
    "a class": lambda it: it.queue.enqueue(dict, 1),
    "a time limit of zero": lambda it: it.queue.enqueue(add, 1, job_timeout=0),
    "a time limit in words": lambda it: it.queue.enqueue(add, 1, job_timeout="soon"),
    "a time limit with a fraction as text": lambda it: it.queue.enqueue(add, 1, job_timeout="1.5"),
    "an empty time limit": lambda it: it.queue.enqueue(add, 1, job_timeout=""),
    "a ttl of zero": lambda it: it.queue.enqueue(add, 1, ttl=0),
    "a negative ttl": lambda it: it.queue.create_job(add, (1,), ttl=-1),
    "a job id with a blank": lambda it: it.queue.enqueue(add, 1, job_id="a b"),
    "an empty job id": lambda it: it.queue.enqueue(add, 1, job_id=""),
    "a job id that is no text": lambda it: it.queue.enqueue(add, 1, job_id=5),
    "unique without an id": lambda it: it.queue.enqueue(add, 1, unique=True),
    "unique with a dependency": lambda it: it.queue.enqueue(add, 1, unique=True, job_id="a", depends_on="b"),
    "a dependency that is no job": lambda it: it.queue.enqueue(add, 1, depends_on=5),
    "no dependencies": lambda it: it.job.Dependency([]),
    "a callback that is no function": lambda it: it.queue.enqueue(add, 1, on_success=5),
    "webhooks that are text": lambda it: it.queue.enqueue(add, 1, webhooks="http://x"),
    "webhooks of another kind": lambda it: it.queue.enqueue(add, 1, webhooks=[5]),
    "arguments given twice": lambda it: it.queue.enqueue(add, 1, args=(2,)),
    "args that are a number": lambda it: it.queue.enqueue(add, args=5),
    "arguments that can't be pickled": lambda it: it.queue.enqueue_call(add, args=(lambda: 0,)),
    "a delay that is a number": lambda it: it.queue.enqueue_in(5, add, 1),
    "no calls": lambda it: it.queue.enqueue_many(None),
    "a queue compared with None": lambda it: it.queue == None,  # noqa: E711
    "a queue compared with a text": lambda it: it.queue < "q",
    "the key of no queue": lambda it: it.package.Queue.from_queue_key("q", it.connection),
    "a job id to fetch with a blank": lambda it: it.queue.fetch_job("a b"),
    "a job id to fetch that is none": lambda it: it.queue.fetch_job(None),
    "a wait of no time": lambda it: it.package.Queue.dequeue_any([it.queue], 0, connection=it.connection),
    "a wait that is over": lambda it: it.package.Queue.dequeue_any([it.queue], 1, connection=it.connection),
    "a failed wait of lpop": lambda it: it.package.Queue.lpop([it.queue.key], 1, connection=it.connection),
    "an unknown job": lambda it: it.job.Job.fetch("nobody", it.connection),
    "retries of zero": lambda it: it.job.Retry(0),
    "an existing id, unique": lambda it: [it.queue.enqueue(add, 1, job_id="a", unique=True) for _ in range(2)],
    "an existing id, unique, later": lambda it: [
        it.queue.schedule_job(it.queue.create_job(add, (1,), job_id="a"), LATER, unique=True) for _ in range(2)
    ],
}
ACCIDENTS = {
    AttributeError: (TypeError, ValueError),
    "PicklingError": (ValueError,),
}
"""What RQ stumbles over rather than refuses, and what is raised here instead."""


def raised(call: Callable[[Both], Any], it: Both) -> BaseException:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            answer = call(it)
        except Exception as error:  # noqa: BLE001 - which one is the question
            return error
    raise AssertionError(f"{it.package.__name__} takes it: {answer!r}")


@pytest.mark.parametrize("what", REFUSED)
def test_refused_in_the_same_way(what: str, theirs: Both, ours: Both, redis_connection: redis.Redis) -> None:
    error = raised(REFUSED[what], theirs)
    redis_connection.flushdb()
    mine = raised(REFUSED[what], ours)
    kind = type(error)
    if kind.__module__.startswith("rq."):
        expected: Any = getattr(atomiq.exceptions, kind.__name__)
    else:
        expected = ACCIDENTS.get(kind.__name__, ACCIDENTS.get(kind, kind))
    assert isinstance(mine, expected), f"RQ: {error!r}, here: {mine!r}"
    assert str(mine)


# -- what RQ takes by accident -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("written", "meant"), [("job_timout", "job_timeout"), ("timeout", "job_timeout"),
                                                ("dependson", "depends_on"), ("retries", "retry")])  # fmt: skip
def test_a_misspelt_keyword(written: str, meant: str, theirs: Both, ours: Both) -> None:
    """RQ hands it to the function, which fails in the worker."""
    assert theirs.queue.enqueue(add, 1, **{written: 5}).kwargs == {written: 5}
    with pytest.raises(InvalidOption, match=f"did you mean {meant}"):
        ours.queue.enqueue(add, 1, **{written: 5})


def test_a_misspelt_keyword_of_the_queue(theirs: Both, ours: Both) -> None:
    """RQ ignores it."""
    theirs.make("x", connection=theirs.connection, default_timout=5)
    with pytest.raises(InvalidOption, match="did you mean default_timeout"):
        ours.make("x", connection=ours.connection, default_timout=5)


def test_an_id_that_waits_already(theirs: Both, ours: Both, redis_connection: redis.Redis) -> None:
    """RQ writes over it and puts it into the queue a second time: the second call runs twice."""
    for number in range(2):
        theirs.queue.enqueue(add, number, job_id="a")
    assert theirs.queue.job_ids == ["a", "a"]
    redis_connection.flushdb()
    for number in range(2):
        ours.queue.enqueue(add, number, job_id="a")
    assert ours.queue.job_ids == ["a"]
    assert Job.fetch("a", redis_connection).args == (1,)


def test_the_id_of_a_running_job(theirs: Both, ours: Both, redis_connection: redis.Redis) -> None:
    """RQ writes over the hash of the job that runs."""
    job = ours.queue.enqueue(add, 0, job_id="a")
    job.set_status(JobStatus.STARTED)
    theirs.queue.enqueue(add, 1, job_id="a")
    redis_connection.flushdb()
    ours.queue.enqueue(add, 0, job_id="a").set_status(JobStatus.STARTED)
    before = snapshot(redis_connection)
    for enqueue in (
        lambda: ours.queue.enqueue(add, 1, job_id="a"),
        lambda: ours.queue.enqueue_in(timedelta(1), add, 1, job_id="a"),
        lambda: ours.queue.enqueue_many([Queue.prepare_data(add, (1,)), Queue.prepare_data(add, (1,), job_id="a")]),
    ):
        with pytest.raises(JobIsRunning):
            enqueue()
    assert snapshot(redis_connection) == before


def test_a_generator_of_calls(theirs: Both, ours: Both, redis_connection: redis.Redis) -> None:
    """RQ goes through it twice, and loses every call that depends on another."""
    parent = theirs.queue.enqueue(add, 1)
    assert len(theirs.queue.enqueue_many(rq.Queue.prepare_data(add, (n,), depends_on=parent) for n in range(3))) == 0
    redis_connection.flushdb()
    parent = ours.queue.enqueue(add, 1)
    jobs = ours.queue.enqueue_many(Queue.prepare_data(add, (n,), depends_on=parent) for n in range(3))
    assert [job.get_status() for job in jobs] == [JobStatus.DEFERRED] * 3


def test_calls_that_were_put_together_by_hand(ours: Both) -> None:
    """RQ's prepare_data leaves None where nothing was given, and takes a bare function as a callback."""
    nothing = (None,) * (len(EnqueueData._fields) - 3)
    plain = EnqueueData(add, (1,), None, *nothing)
    with pytest.deprecated_call(match="on_success"):
        jobs = ours.queue.enqueue_many([plain, plain._replace(args=None, kwargs={"a": 1}, on_success=print)])
    assert [(job.args, job.kwargs) for job in jobs] == [((1,), {}), ((), {"a": 1})]
    assert jobs[1].success_callback is print


@pytest.mark.parametrize("how", ["enqueue_at", "enqueue_in"])
def test_unique_and_later(how: str, theirs: Both, ours: Both, redis_connection: redis.Redis) -> None:
    """RQ takes the keyword and forgets it."""
    when: Any = LATER if how == "enqueue_at" else timedelta(1)
    for _ in range(2):
        getattr(theirs.queue, how)(when, add, 1, job_id="a", unique=True)
    redis_connection.flushdb()
    getattr(ours.queue, how)(when, add, 1, job_id="a", unique=True)
    with pytest.raises(DuplicateJobError):
        getattr(ours.queue, how)(when, add, 2, job_id="a", unique=True)
    assert Job.fetch("a", redis_connection).args == (1,)


def test_a_dependency_and_later(theirs: Both, ours: Both, redis_connection: redis.Redis) -> None:
    """RQ stores it and never looks at it again: the job runs at its time, whatever became of the other one."""
    parent = theirs.queue.enqueue(add, 1)
    assert theirs.queue.enqueue_at(LATER, add, 1, depends_on=parent).get_status().value == "scheduled"
    redis_connection.flushdb()
    parent = ours.queue.enqueue(add, 1)
    job = ours.queue.enqueue_at(LATER, add, 1, depends_on=parent)
    assert job.get_status() is JobStatus.DEFERRED
    parent.set_status(JobStatus.FINISHED)
    assert job.get_status() is JobStatus.SCHEDULED


@pytest.mark.parametrize("limit", ["1h", 2.9, True, "5", "5M", -1])
def test_time_limits(limit: Any, theirs: Both, ours: Both) -> None:
    """The same number of seconds, in the job and in its hash, by every way."""
    expected = theirs.queue.enqueue(add, 1, job_timeout=limit).timeout
    jobs = [
        ours.queue.enqueue(add, 1, job_timeout=limit),
        ours.queue.enqueue_call(add, (1,), timeout=limit),
        ours.queue.enqueue_in(timedelta(1), add, 1, job_timeout=limit),
        *ours.queue.enqueue_many([Queue.prepare_data(add, (1,), timeout=limit)]),
        ours.make("x", connection=ours.connection, default_timeout=limit).enqueue(add, 1),
        ours.queue.enqueue_job(Job.create(add, (1,), connection=ours.connection, timeout=limit)),
    ]
    assert {job.timeout for job in jobs} == {expected}
    assert {Job.fetch(job.id, ours.connection).timeout for job in jobs} == {expected}


def test_a_comma_in_the_name_of_a_queue(theirs: Both, ours: Both) -> None:
    """RQ's workers then list two queues of other names, and its scheduler moves the jobs of neither."""
    theirs.make("a,b", connection=theirs.connection).enqueue(add, 1)
    with pytest.raises(InvalidName, match="comma"):
        ours.make("a,b", connection=ours.connection)


def test_further_keywords_beside_explicit_arguments(theirs: Both, ours: Both) -> None:
    """RQ drops them."""
    assert theirs.queue.enqueue(add, args=(1,), b=2).kwargs == {}
    with pytest.raises(InvalidOption, match="'b'"):
        ours.queue.enqueue(add, args=(1,), b=2)


@pytest.mark.parametrize("options", [{"result_ttl": -7}, {"failure_ttl": -7}, {"job_timeout": -5}, {"meta": "x"},
                                     {"args": "ab"}, {"a": 1, "c": 2}])  # fmt: skip
def test_what_fails_later_in_rq_is_refused(options: dict[str, Any], theirs: Both, ours: Both) -> None:
    theirs.queue.enqueue(add, **options)
    with pytest.raises(InvalidInput):
        ours.queue.enqueue(add, **options)
