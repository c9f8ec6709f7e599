"""RQ's own readers on what we wrote: jobs of every status, registries, results, groups, workers, `rq info`."""

from __future__ import annotations

import operator
from datetime import timedelta

import pytest
import redis
import rq
import rq.exceptions
import rq.registry
from tests.contract.driving import claimed, fail, finish, settled
from tests.interop import jobs, theirs

from atomiq import Callback, Dependency, Job, Queue, Repeat, Retry
from atomiq._wire.sync import Store

STATUSES = ("queued", "started", "finished", "failed", "stopped", "scheduled", "deferred", "canceled")


def one_of_each(store: Store) -> Queue:
    """A queue with a job of each status, its id the status."""
    queue = Queue(connection=store.connection)
    for status in ("finished", "failed", "stopped", "started"):
        queue.enqueue(operator.add, 1, 2, job_id=status)
    finish(store, 3)
    fail(store, "Traceback: Boom")
    settled(store, claimed(store), "stopped", exc_string="Job stopped by user")
    claimed(store)
    queue.enqueue_in(timedelta(hours=1), operator.add, 1, 2, job_id="scheduled")
    queue.enqueue(operator.add, 1, 2, job_id="deferred", depends_on="started")
    queue.enqueue(operator.add, 1, 2, job_id="canceled").cancel()
    queue.enqueue(operator.add, 1, 2, job_id="queued")
    return queue


def test_rq_fetches_a_job_of_every_status(store: Store) -> None:
    one_of_each(store)
    for status in STATUSES:
        job = rq.job.Job.fetch(status, connection=store.connection)
        assert job.get_status() == status
        assert (job.func_name, job.args, job.kwargs, job.origin) == ("_operator.add", (1, 2), {}, "default")
        assert job.timeout == 180
        assert job.created_at is not None
        assert job.description == Job.fetch(status, connection=store.connection).description
    assert rq.job.Job.fetch("started", connection=store.connection).worker_name == "driven"


def test_rqs_registries_list_ours(store: Store) -> None:
    """Names, membership, times, and the containers that a job is not in."""
    queue = one_of_each(store)
    their_queue = rq.Queue(connection=store.connection)
    assert their_queue.get_job_ids() == ["queued"]
    for name in ("started", "finished", "failed", "deferred", "scheduled", "canceled"):
        ours, other = getattr(queue, f"{name}_job_registry"), getattr(their_queue, f"{name}_job_registry")
        assert other.get_job_ids() == ours.get_job_ids(), name
        assert other.count == ours.count
        assert name in other
        assert name in ours
    assert sorted(their_queue.failed_job_registry.get_job_ids()) == ["failed", "stopped"]
    for name in ("finished", "failed"):
        expiry = getattr(their_queue, f"{name}_job_registry").get_expiration_time(
            rq.job.Job.fetch(name, connection=store.connection)
        )
        ours = getattr(queue, f"{name}_job_registry").get_expiration_time(name)
        assert abs(expiry - ours) < timedelta(seconds=1)
    ours = queue.scheduled_job_registry.get_scheduled_time("scheduled")
    assert abs(their_queue.scheduled_job_registry.get_scheduled_time("scheduled") - ours) < timedelta(seconds=1)
    assert [each.name for each in rq.Queue.all(connection=store.connection)] == ["default"]


def test_rq_reads_our_results(store: Store) -> None:
    one_of_each(store)
    finished = rq.job.Job.fetch("finished", connection=store.connection)
    result = finished.latest_result()
    assert (result.type, result.return_value, result.worker_name) == (rq.results.Result.Type.SUCCESSFUL, 3, "driven")
    assert finished.return_value() == 3
    assert result.execution_ended_at - result.execution_started_at == timedelta(milliseconds=5)
    assert result.id == Job.fetch("finished", connection=store.connection).latest_result().id
    failed = rq.job.Job.fetch("failed", connection=store.connection).latest_result()
    assert (failed.type, failed.exc_string) == (rq.results.Result.Type.FAILED, "Traceback: Boom")


def test_rq_reads_our_executions(store: Store) -> None:
    one_of_each(store)
    (theirs_,) = rq.job.Job.fetch("started", connection=store.connection).get_executions()
    (ours,) = Job.fetch("started", connection=store.connection).get_executions()
    assert (theirs_.id, theirs_.worker_name) == (ours.id, ours.worker_name)
    assert abs(theirs_.created_at - ours.created_at) < timedelta(milliseconds=2)
    pairs = rq.Queue(connection=store.connection).started_job_registry.get_job_and_execution_ids()
    assert pairs == [("started", ours.id)]


def test_rq_reads_every_option(store: Store) -> None:
    queue = Queue(connection=store.connection)
    queue.enqueue(operator.add, 1, 2, job_id="parent")
    job = queue.enqueue(
        jobs.add, 1, y=2, job_id="j", job_timeout="1h", result_ttl=60, ttl=100, failure_ttl=70, description="text",
        depends_on=Dependency(["parent"], allow_failure=True, enqueue_at_front=True), meta={"a": 1},
        retry=Retry(3, [1, 2], enqueue_at_front=True), repeat=Repeat(2, [5, 6]), on_success=Callback(jobs.on_success),
        on_failure=Callback(jobs.on_failure, timeout=10), on_stopped=Callback(jobs.on_failure, timeout="2m"),
    )  # fmt: skip
    other = rq.job.Job.fetch("j", connection=store.connection)
    for name in (
        "id", "func_name", "args", "kwargs", "timeout", "result_ttl", "ttl", "failure_ttl", "description", "meta",
        "origin",
        "retries_left", "retry_intervals", "enqueue_at_front_on_retry", "repeats_left", "repeat_intervals",
        "success_callback", "failure_callback", "stopped_callback", "success_callback_timeout",
        "failure_callback_timeout", "stopped_callback_timeout", "allow_dependency_failures", "enqueue_at_front",
        "created_at", "enqueued_at", "started_at", "ended_at", "last_heartbeat", "worker_name", "group_id",
        "number_of_retries", "dependency_ids", "key", "dependents_key", "dependencies_key",
    ):  # fmt: skip
        assert getattr(other, name) == getattr(job, name), name
    assert other.dependency.id == "parent"
    assert rq.job.Job.fetch("parent", connection=store.connection).dependent_ids in (["j"], [b"j"])


def test_rq_changes_our_jobs(store: Store) -> None:
    """RQ's cancel, requeue, delete and save_meta on our jobs; our readers see what they did."""
    queue = one_of_each(store)
    their_queue = rq.Queue(connection=store.connection)
    rq.job.Job.fetch("queued", connection=store.connection).cancel()
    assert Job.fetch("queued", connection=store.connection).is_canceled
    assert "queued" in queue.canceled_job_registry
    their_queue.failed_job_registry.requeue("failed")
    assert queue.get_job_ids() == ["failed"]
    meta = rq.job.Job.fetch("failed", connection=store.connection)
    meta.meta["seen"] = True
    meta.save_meta()
    assert Job.fetch("failed", connection=store.connection).meta == {"seen": True}
    finish(store, 3)
    assert Job.fetch("failed", connection=store.connection).return_value() == 3
    for status in ("finished", "scheduled", "stopped"):
        rq.job.Job.fetch(status, connection=store.connection).delete()
        assert not Job.exists(status, store.connection)
    assert queue.scheduled_job_registry.count == 0
    their_queue.empty()
    their_queue.delete()
    assert [each.name for each in Queue.all(store.connection)] == []


def test_rq_refuses_a_duplicate_of_ours(store: Store) -> None:
    Queue(connection=store.connection).enqueue(operator.add, 1, 2, job_id="one", unique=True)
    with pytest.raises(rq.exceptions.DuplicateJobError):
        rq.Queue(connection=store.connection).enqueue(operator.add, 1, 2, job_id="one", unique=True)


def test_rq_info_counts_ours(store: Store, redis_url: str) -> None:
    """The command line of RQ: queue lengths and registry sizes by our data."""
    one_of_each(store)
    shown = theirs.run_command(redis_url, "info", "--raw", "--only-queues")
    assert "queue default 1" in " ".join(shown.split())
    pretty = theirs.run_command(redis_url, "info", "--only-queues")
    assert "1 queues, 1 jobs total" in pretty


def test_every_key_is_of_rqs_layout_or_our_own(redis_connection: redis.Redis, store: Store) -> None:
    """What RQ doesn't know is under rq:atomiq: alone."""
    one_of_each(store)
    known = ("queues", "queue:", "job:", "wip:", "finished:", "failed:", "deferred:", "scheduled:", "canceled:",
             "executions:", "execution:", "results:", "atomiq:", "worker")  # fmt: skip
    for key in redis_connection.scan_iter():
        assert key.decode().removeprefix("rq:").startswith(known), key
