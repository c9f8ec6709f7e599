"""Our producer, RQ's worker."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import redis
import rq
from tests.interop import jobs, ours, theirs

from atomiq import Callback, Dependency, Queue, Repeat, Retry
from atomiq.group import Group
from atomiq.suspension import is_suspended, resume, suspend


def test_rqs_simple_worker_runs_our_job(redis_connection: redis.Redis) -> None:
    """The whole way: our enqueue, RQ's SimpleWorker, our reading of what it left."""
    queue = Queue(connection=redis_connection)
    job = queue.enqueue(jobs.add, 1, y=2)
    theirs.run_simple(redis_connection)
    assert job.is_finished
    result = job.latest_result()
    assert (result.type, result.return_value) == (result.Type.SUCCESSFUL, 3)
    assert job.id in queue.finished_job_registry
    job.refresh()
    assert job.started_at < job.ended_at
    assert job.worker_name == result.worker_name != ""
    assert job.get_executions() == []


def test_rqs_forking_worker_runs_our_jobs(redis_connection: redis.Redis, redis_url: str) -> None:
    """RQ's default worker as a process: success, failure with its traceback, None, a bound method."""
    queue = Queue(connection=redis_connection)
    good, bad = queue.enqueue(jobs.add, 1, 2), queue.enqueue(jobs.boom)
    none, method = queue.enqueue(jobs.nothing), queue.enqueue(jobs.Counter(40).plus, 2)
    theirs.run_forking(redis_url)
    assert [job.return_value() for job in (good, none, method)] == [3, None, 42]
    assert [job.get_status() for job in (good, bad, none, method)] == ["finished", "failed", "finished", "finished"]
    assert "RuntimeError: Boom" in (bad.latest_result().exc_string or "")
    assert queue.failed_job_registry.get_job_ids() == [bad.id]


def test_rq_runs_large_and_json_payloads(redis_connection: redis.Redis) -> None:
    """Compressed above a size, plain below; RQ reads both."""
    queue = Queue(connection=redis_connection)
    words = ["word " * 10_000, "x", "xx\x00"]
    made = [queue.enqueue(len, word) for word in words]
    theirs.run_simple(redis_connection)
    assert [job.return_value() for job in made] == [len(word) for word in words]
    in_json = Queue("j", connection=redis_connection, serializer="json")
    job = in_json.enqueue(jobs.add, 1, 2)
    theirs.run_simple(redis_connection, "j", serializer="json")
    assert job.return_value() == 3


def test_rq_honours_order_and_front(redis_connection: redis.Redis, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    queue = Queue(connection=redis_connection)
    for line in ("a", "b"):
        queue.enqueue(jobs.append, str(trace), line)
    queue.enqueue(jobs.append, str(trace), "front", at_front=True)
    theirs.run_simple(redis_connection)
    assert trace.read_text().split() == ["front", "a", "b"]


def test_rq_calls_our_callbacks(redis_connection: redis.Redis) -> None:
    queue = Queue(connection=redis_connection)
    queue.enqueue(jobs.add, 1, 2, job_id="good", on_success=Callback(jobs.on_success))
    queue.enqueue(jobs.boom, job_id="bad", on_failure=Callback(jobs.on_failure, timeout="1m"))
    theirs.run_simple(redis_connection)
    assert redis_connection.get("success:good") == b"3"
    assert redis_connection.get("failure:bad") == b"Boom"


def test_rq_retries_our_job(redis_connection: redis.Redis, tmp_path: Path) -> None:
    queue = Queue(connection=redis_connection)
    job = queue.enqueue(jobs.fail_until, str(tmp_path / "runs"), 3, retry=Retry(max=5))
    theirs.run_simple(redis_connection)
    assert job.is_finished
    job.refresh()
    assert (job.return_value(), job.retries_left) == (3, 3)


def test_rq_schedules_a_retry_with_an_interval(redis_connection: redis.Redis) -> None:
    queue = Queue(connection=redis_connection)
    job = queue.enqueue(jobs.boom, retry=Retry(max=2, interval=60))
    theirs.run_simple(redis_connection)
    assert job.is_scheduled
    due = queue.scheduled_job_registry.get_scheduled_time(job).timestamp()
    assert 0 < due - time.time() <= 61


def test_rq_repeats_our_job(redis_connection: redis.Redis) -> None:
    queue = Queue(connection=redis_connection)
    job = queue.enqueue(jobs.add, 1, 2, repeat=Repeat(times=2))
    theirs.run_simple(redis_connection)
    assert len(job.results()) == 3


def test_rqs_scheduler_moves_our_scheduled_job(redis_connection: redis.Redis) -> None:
    """Its score has a fraction, RQ's have none; it takes the one that is due and leaves the other."""
    queue = Queue(connection=redis_connection)
    soon = queue.enqueue_at(datetime.now(UTC) - timedelta(seconds=1.25), jobs.add, 1, 2)
    late = queue.enqueue_in(timedelta(hours=1), jobs.add, 1, 2)
    assert soon.is_scheduled
    theirs.run_simple(redis_connection, scheduler=True)
    assert soon.return_value() == 3
    assert late.is_scheduled
    assert queue.scheduled_job_registry.get_job_ids() == [late.id]


def test_rq_releases_our_dependents(redis_connection: redis.Redis, tmp_path: Path) -> None:
    """The parent's end in RQ's worker lets our deferred jobs go: two parents, and a failed one that may fail."""
    trace = str(tmp_path / "trace")
    queue = Queue(connection=redis_connection)
    bad = queue.enqueue(jobs.boom)
    first, second = (queue.enqueue(jobs.append, trace, line) for line in ("first", "second"))
    after = queue.enqueue(jobs.append, trace, "after both", depends_on=[first, second])
    anyway = queue.enqueue(jobs.append, trace, "anyway", depends_on=Dependency([bad], allow_failure=True))
    never = queue.enqueue(jobs.append, trace, "never", depends_on=bad)
    assert queue.deferred_job_registry.count == 3
    theirs.run_simple(redis_connection)
    assert sorted((tmp_path / "trace").read_text().splitlines()) == ["after both", "anyway", "first", "second"]
    assert after.is_finished
    assert anyway.is_finished
    assert never.is_deferred


def test_rq_runs_a_job_of_ours_that_has_run_before(redis_connection: redis.Redis) -> None:
    """Requeued by us after it failed there: its failure lifetime doesn't go on."""
    queue = Queue(connection=redis_connection)
    job = queue.enqueue(jobs.boom, failure_ttl=60)
    theirs.run_simple(redis_connection)
    assert 0 < redis_connection.ttl(job.key) <= 60
    queue.failed_job_registry.requeue(job)
    assert redis_connection.ttl(job.key) == -1
    theirs.run_simple(redis_connection)
    assert job.is_failed
    assert len(job.results()) == 2


def test_rq_runs_the_jobs_of_our_group(redis_connection: redis.Redis) -> None:
    queue = Queue(connection=redis_connection)
    group = Group.create(redis_connection, name="g")
    parent = queue.prepare_data(jobs.add, (1, 2), job_id="parent")
    child = queue.prepare_data(jobs.add, (3, 4), job_id="child", depends_on="parent")
    group.enqueue_many(queue, [parent, child])
    assert {job.id for job in rq.group.Group.fetch("g", redis_connection).get_jobs()} == {"parent", "child"}
    theirs.run_simple(redis_connection)
    assert sorted(job.return_value() for job in group.get_jobs()) == [3, 7]
    rq.job.Job.fetch("parent", connection=redis_connection).delete()
    assert [job.id for job in group.get_jobs()] == ["child"]


def test_rqs_worker_obeys_our_suspension(redis_connection: redis.Redis) -> None:
    queue = Queue(connection=redis_connection)
    queue.enqueue(jobs.add, 1, 2)
    suspend(redis_connection)
    theirs.run_simple(redis_connection)
    assert queue.count == 1
    assert resume(redis_connection) == 1
    rq.suspension.suspend(redis_connection)
    assert is_suspended(redis_connection) == 1
    rq.suspension.resume(redis_connection)
    theirs.run_simple(redis_connection)
    assert queue.count == 0


def test_an_id_that_rq_has_run_can_wait_anew(redis_connection: redis.Redis) -> None:
    """RQ frees a job of ours that waited; RQ enqueues the id once more, to wait for others; our worker frees it.

    Our list of what it waited for stays behind, because RQ doesn't know it. It was trusted, and the job waited for
    ever.
    """
    queue, their_queue = Queue(connection=redis_connection), rq.Queue(connection=redis_connection)
    queue.enqueue(jobs.add, 1, 2, job_id="kid", depends_on=[queue.enqueue(jobs.add, 1, 2) for _ in range(2)])
    theirs.run_simple(redis_connection)
    assert redis_connection.ttl("rq:atomiq:unmet:kid") != -1
    parents = [their_queue.enqueue(jobs.add, 1, 2) for _ in range(2)]
    kid = their_queue.enqueue(jobs.add, 3, 4, job_id="kid", depends_on=parents)
    ours.run_simple(redis_connection)
    assert kid.return_value(refresh=True) == 7
