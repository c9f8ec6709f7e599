"""`requires=` at the caller: what may be given, on which ways it goes along, and what is refused."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from tests.contract import requires_checks as checks
from tests.contract.both import Api, ask, both
from tests.contract.jobs import add
from tests.contract.requires_checks import ANSWERS, SEEN, answer

from atomiq import Job, Queue, Retry
from atomiq.backoff import Constant, Exponential
from atomiq.cron import CronJob
from atomiq.decorators import job as decorator
from atomiq.exceptions import (
    DuplicateJobError,
    InvalidArguments,
    InvalidFunction,
    InvalidInput,
    InvalidOption,
    PreconditionError,
    PreconditionNotMet,
    UnserializableArguments,
)
from atomiq.group import Group
from atomiq.requires import Precondition, Ready
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


def rule(job: Any, connection: redis.Redis) -> dict[str, Any]:
    stored = connection.hget(job.key, "requires")
    assert stored is not None, "the job requires nothing"
    found: dict[str, Any] = json.loads(stored)
    return found


# -- what may be given -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        (f"{NAME}.answer", ((), {})),
        (f"{NAME}:answer", ((), {})),
        (answer, ((), {})),
        (checks.later, ((), {})),
        (checks.Checks.by_class, ((), {})),
        (checks.Checks.static, ((), {})),
        (f"{NAME}:Checks.by_class", ((), {})),
        (Ready(answer, 7, kwargs={"key": "x"}), ((7,), {"key": "x"})),
        (Ready(f"{NAME}:order_is_there", 7), ((7,), {})),
        (Precondition(answer, (1, 2)), ((1, 2), {})),
    ],
)
def test_a_check_is_called_with_what_was_given(queue: Queue, given: Any, seen: Any) -> None:
    """The job that it is for is the current one."""
    job = queue.enqueue(add, 3, requires=given)
    work(queue)
    assert job.return_value() == 3
    expected = (seen[0], {}) if given is checks.later else seen
    assert [(job.id, *expected)] == SEEN


def test_arguments_that_only_pickle_can_carry(queue: Queue) -> None:
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    queue.enqueue(add, 3, requires=Ready(answer, moment))
    work(queue)
    assert SEEN[0][1] == (moment,)


def test_with_json(redis_connection: redis.Redis) -> None:
    queue = Queue(connection=redis_connection, serializer="json")
    job = queue.enqueue(add, 3, requires=Ready(answer, 1, kwargs={"key": [2]}))
    SimpleWorker([queue], connection=redis_connection, serializer="json").work(burst=True)
    assert job.is_finished
    assert SEEN[0][1:] == ((1,), {"key": [2]})
    with pytest.raises(UnserializableArguments):
        queue.enqueue(add, 3, requires=Ready(answer, object()))


def test_defaults(queue: Queue) -> None:
    job = queue.enqueue(add, 1, requires=Ready(answer, 7))
    stored = rule(job, queue.connection)
    assert stored == {
        "what": f"{NAME}.answer(7)",
        "waits": [500, 500, 1000, 1500],
        "errors": [500, 500, 1000, 1500, 2500],
        "timeout": 30.0,
    }
    assert job.requires == Job.fetch(job.id, queue.connection).requires == f"{NAME}.answer(7)"
    assert job.waits == []


def test_all_options(queue: Queue) -> None:
    required = Ready(
        answer, what="the order", tries=4, backoff=Exponential(1), error_retries=2, error_backoff=0.25, timeout="2m"
    )
    job = queue.enqueue(add, 1, requires=required)
    assert rule(job, queue.connection) == {
        "what": "the order",
        "waits": [1000, 2000, 4000],
        "errors": [250, 250],
        "timeout": 120.0,
    }


def test_jitter_is_drawn_for_each_job(queue: Queue) -> None:
    required = Ready(answer, backoff=Constant(60, jitter=True))
    made = [queue.enqueue(add, number, requires=required) for number in range(10)]
    assert len({tuple(rule(job, queue.connection)["waits"]) for job in made}) == 10


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: "no.such.module", InvalidFunction),
        (lambda: f"{NAME}:no_such_thing", InvalidFunction),
        (lambda: f"{NAME}:answer:more", InvalidFunction),
        (lambda: "not a name", InvalidFunction),
        (lambda: "", InvalidFunction),
        (lambda: f"{NAME}.nothing_to_call", InvalidFunction),
        (lambda: f"{NAME}.Checks", InvalidFunction),
        (lambda: checks.Checks, InvalidFunction),
        (lambda: checks.an_instance.method, InvalidFunction),
        (lambda: functools.partial(answer, 1), InvalidFunction),
        (lambda: lambda: True, InvalidFunction),
        (lambda: checks.a_lambda, InvalidFunction),
        (lambda: 5, InvalidOption),
        (lambda: True, InvalidOption),
        (lambda: [answer], InvalidOption),
        (lambda: {"check": "x"}, InvalidOption),
        (lambda: Ready(checks.order_is_there), InvalidArguments),
        (lambda: Ready(checks.order_is_there, 1, 2), InvalidArguments),
        (lambda: Ready(checks.order_is_there, kwargs={"other": 1}), InvalidArguments),
        (lambda: Ready(answer, tries=0), InvalidOption),
        (lambda: Ready(answer, tries=1001), InvalidOption),
        (lambda: Ready(answer, tries=1.5), InvalidArguments),
        (lambda: Ready(answer, error_retries=-1), InvalidOption),
        (lambda: Ready(answer, backoff="slow"), InvalidOption),
        (lambda: Ready(answer, backoff=-1), InvalidOption),
        (lambda: Ready(answer, timeout=0), InvalidOption),
        (lambda: Ready(answer, timeout=-1), InvalidOption),
        (lambda: Ready(answer, timeout="soon"), InvalidInput),
        (lambda: Ready(answer, timeout=None), InvalidArguments),
    ],
)
def test_bad_input_is_refused_at_the_caller(queue: Queue, make: Any, error: type[Exception]) -> None:
    before = queue.connection.keys()
    with pytest.raises(error) as raised:
        queue.enqueue(add, 1, requires=make())
    assert isinstance(raised.value, ValueError)
    assert str(raised.value)
    assert queue.connection.keys() == before


@pytest.mark.parametrize("wrong", ["require", "precondition", "requirs"])
def test_a_misspelt_keyword(queue: Queue, wrong: str) -> None:
    with pytest.raises((InvalidOption, InvalidArguments)):
        queue.enqueue(add, 1, **{wrong: answer})


def test_a_function_that_has_a_parameter_of_this_name_gets_it(queue: Queue) -> None:
    """RQ's users may have such functions. A precondition is nobody's but ours."""
    own = [queue.enqueue(checks.with_own_parameter, requires=value) for value in ("numpy", None, answer)]
    ours = queue.enqueue(checks.with_own_parameter, requires=Ready(answer))
    others = queue.enqueue(checks.with_all_keywords, requires=answer, more=1)
    nothing = queue.enqueue(checks.with_all_keywords, requires=None, more=1)
    work(queue)
    assert [job.requires for job in own] == [None] * 3
    assert [job.return_value() for job in own][:2] == ["numpy", None]
    assert (bool(ours.requires), ours.return_value()) == (True, None)
    assert (bool(others.requires), others.return_value()) == (True, {"more": 1})
    assert (nothing.requires, nothing.return_value()) == (None, {"more": 1})


# -- the ways it goes along --------------------------------------------------------------------------------------------


@both
async def test_every_way_to_enqueue(api: Api) -> None:
    queue, required = api.queue(), Ready(answer, 7)
    later = datetime.now(UTC) + timedelta(hours=1)
    made = [
        await ask(queue.enqueue, add, 1, requires=required),
        await ask(queue.enqueue, add, args=(1,), requires=required),
        await ask(queue.enqueue_call, add, (1,), requires=required),
        await ask(queue.enqueue_at, later, add, 1, requires=required),
        await ask(queue.enqueue_in, timedelta(hours=1), add, 1, requires=required),
        await ask(queue.enqueue_job, queue.create_job(add, (1,), requires=required)),
        await ask(queue.enqueue_job, api.Job.create(add, (1,), connection=api.connection, requires=required)),
        *await ask(queue.enqueue_many, [queue.prepare_data(add, (1,), requires=required) for _ in range(2)]),
    ]
    for job in made:
        assert rule(job, api.redis)["what"] == f"{NAME}.answer(7)"
        assert job.requires == f"{NAME}.answer(7)"


def test_by_way_of_replaced_hooks(redis_connection: redis.Redis) -> None:
    """RQ's signatures, which know nothing of it, are in between."""

    class HookedJob(Job):
        @classmethod
        def create(cls, *args: Any, webhooks: Any = None, **kwargs: Any) -> Any:
            assert "requires" not in kwargs
            return super().create(*args, **kwargs)

    class Hooked(Queue):
        @classmethod
        def parse_args(cls, f: Any, *args: Any, **kwargs: Any) -> Any:
            assert "requires" not in kwargs
            return tuple(super().parse_args(f, *args, **kwargs))

    class HookedOnce(Queue):
        job_class = HookedJob

    for kind in (Hooked, HookedOnce):
        queue = kind(connection=redis_connection)
        made = [queue.enqueue(add, 1, requires=answer), queue.enqueue_in(timedelta(hours=1), add, 1, requires=answer)]
        made += queue.enqueue_many([queue.prepare_data(add, (1,), requires=answer)])
        assert all(rule(job, redis_connection)["what"] == f"{NAME}.answer()" for job in made)


def test_the_decorator_and_cron(queue: Queue) -> None:
    connection = queue.connection
    delayed = decorator("default", connection, requires=answer, retry=Retry(2, backoff=Constant(5)))(add).delay(1)
    assert rule(delayed, connection)["what"] == f"{NAME}.answer()"
    entry = CronJob("default", add, args=(1,), interval=60, requires=Ready(answer, 7), retry=Retry(2, backoff=0.5))
    ticked = entry.enqueue(connection)
    assert rule(ticked, connection)["what"] == f"{NAME}.answer(7)"
    assert json.loads(connection.hget(ticked.key, "retry_ms")) == [500, 500]
    assert "Retry(" in entry.to_dict()["retry"]
    assert CronJob.from_dict(entry.to_dict()).name == entry.name


def test_after_a_group(queue: Queue) -> None:
    group = Group.create(queue.connection)
    follower = Queue.prepare_data(add, (2,), requires=Ready(answer, "follows"))
    (member,) = group.enqueue_many(queue, [Queue.prepare_data(add, (1,), requires=answer)], on_ended=follower)[:1]
    assert member.requires
    work(queue)
    assert [args for _, args, _ in SEEN] == [(), ("follows",)]


def test_unique_while_it_waits(queue: Queue) -> None:
    ANSWERS.append(False)
    queue.enqueue(add, 1, job_id="one", unique=True, requires=Ready(answer, backoff=60))
    work(queue)
    with pytest.raises(DuplicateJobError):
        queue.enqueue(add, 1, job_id="one", unique=True)


def test_enqueued_anew_it_is_looked_for_from_the_beginning(queue: Queue) -> None:
    required = Ready(answer, tries=2, backoff=0)
    ANSWERS.extend([False, False, False, True])
    job = queue.enqueue(add, 5, job_id="one", requires=required)
    work(queue)
    assert job.is_failed
    fetched = Job.fetch("one", queue.connection)
    assert len(fetched.waits) == 1
    queue.enqueue_job(fetched)
    work(queue)
    assert fetched.return_value() == 5
    assert len(Job.fetch("one", queue.connection).waits) == 1


def test_requeued_after_its_failure(queue: Queue) -> None:
    """The waits before are still known, the tries are all there again."""
    ANSWERS.extend([False, False, False, True])
    job = queue.enqueue(add, 5, requires=Ready(answer, tries=2, backoff=0))
    work(queue)
    job.requeue()
    work(queue)
    assert job.return_value() == 5
    assert len(Job.fetch(job.id, queue.connection).waits) == 2


def test_absences_and_errors_are_counted_apart(queue: Queue) -> None:
    ANSWERS.extend([False, OSError("gone"), False, OSError("gone\nfor good"), True])
    job = queue.enqueue(add, 5, requires=Ready(answer, tries=3, backoff=0, error_retries=2))
    work(queue)
    assert job.return_value() == 5
    job.refresh()
    assert [wait.error for wait in job.waits] == [None, "OSError: gone", None, "OSError: gone for good"]
    assert all(abs((datetime.now(UTC) - wait.at).total_seconds()) < 60 for wait in job.waits)


def test_only_the_newest_waits_are_remembered(queue: Queue) -> None:
    ANSWERS.extend([False] * 70)
    job = queue.enqueue(add, 5, requires=Ready(answer, tries=71, backoff=0))
    work(queue)
    job.refresh()
    assert (job.return_value(), len(job.waits), len(SEEN)) == (5, 50, 71)


@pytest.mark.parametrize("stored", [b"", b"x", b"[1]", b"[[1,2,3],[]]", b'[[1,2,3,4],["x"]]', b"null", b"\xff"])
def test_a_record_that_is_nonsense_counts_as_none(queue: Queue, stored: bytes) -> None:
    ANSWERS.append(False)
    job = queue.enqueue(add, 5, requires=Ready(answer, backoff=0))
    queue.connection.hset(job.key, "waits", stored)
    assert Job.fetch(job.id, queue.connection).waits == []
    work(queue)
    assert job.return_value() == 5


@pytest.mark.parametrize(("field", "stored"), [("requires", b"{}"), ("requires", b"\xff"), ("requires_call", b"no")])
def test_a_precondition_that_is_nonsense_fails_the_job(queue: Queue, field: str, stored: bytes) -> None:
    job = queue.enqueue(add, 5, requires=Ready(answer, backoff=0))
    queue.connection.hset(job.key, field, stored)
    work(queue)
    assert job.is_failed
    assert "DeserializationError" in str(job.latest_result().exc_string)
    assert SEEN == []


# -- is_async=False ----------------------------------------------------------------------------------------------------


def test_in_the_calling_thread_it_is_looked_for_once(redis_connection: redis.Redis) -> None:
    """What is not there is recorded, and raised: nobody is there to look again."""
    eager = Queue(connection=redis_connection, is_async=False)
    assert eager.enqueue(add, 3, requires=Ready(checks.later, 1)).return_value() == 3
    for said, error in ((False, PreconditionNotMet), (OSError("gone"), PreconditionError)):
        ANSWERS.append(said)
        SEEN.clear()
        with pytest.raises(error, match=r"requires_checks\.answer"):
            eager.enqueue(add, 3, job_id=error.__name__, retry=Retry(3), requires=answer)
        job = Job.fetch(error.__name__, redis_connection)
        assert (job.is_failed, job.retries_left, len(SEEN)) == (True, 3, 1)
        assert error.__name__ in str(job.latest_result().exc_string)


def test_in_the_calling_thread_only_some_exceptions_are_retried(redis_connection: redis.Redis) -> None:
    eager = Queue(connection=redis_connection, is_async=False)
    for kind, left in ((TypeError, 0), (KeyError, 3)):
        job = eager.enqueue("tests.contract.jobs.add", None, retry=Retry(3, on=kind))
        assert (job.is_failed, Job.fetch(job.id, redis_connection).retries_left) == (True, left)
