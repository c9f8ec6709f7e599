"""RQ's methods of a worker, called from outside as tools and tests for RQ do: each has its documented effect."""

from __future__ import annotations

import signal
from datetime import timedelta
from typing import Any

import pytest
from tests import tasks
from tests.contract.driving import claimed
from tests.helpers import wait_until
from tests.worker import override_jobs

from atomiq import Callback, Job, Queue, Retry, SimpleWorker, Worker
from atomiq._wire.sync import Store
from atomiq.exceptions import JobIsRunning, NoSuchJobError, StopRequested
from atomiq.job import JobStatus
from atomiq.registry import StartedJobRegistry
from atomiq.results import Result
from atomiq.worker import HerokuWorker, RandomWorker, RoundRobinWorker, SpawnWorker, WorkerStatus, between
from atomiq.worker.base import PUBSUB_CHANNEL_TEMPLATE, VERSION

KINDS = [Worker, SimpleWorker]


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def worker(request: pytest.FixtureRequest, queue: Queue) -> Worker:
    return request.param([queue], connection=queue.connection)


@pytest.fixture
def registry(queue: Queue) -> StartedJobRegistry:
    return queue.started_job_registry


class TestAJobIsRun:
    def test_perform_job_takes_it_out_of_its_queue(self, worker: Worker, queue: Queue) -> None:
        """RQ leaves its id in the queue, and it is run a second time."""
        job = queue.enqueue(tasks.add, 1, 2)
        assert worker.perform_job(job, queue) is True
        assert (job.get_status(), job.return_value(), queue.job_ids) == (JobStatus.FINISHED, 3, [])
        assert worker.execution is None
        assert len(queue.started_job_registry) == 0

    def test_perform_job_records_a_failure(self, worker: Worker, queue: Queue) -> None:
        job = queue.enqueue(tasks.boom, "bang")
        assert worker.perform_job(job, queue) is False
        assert job.get_status() is JobStatus.FAILED
        assert "ValueError: bang" in job.latest_result().exc_string
        assert queue.failed_job_registry.get_job_ids() == [job.id]

    def test_perform_job_of_one_that_was_never_stored(self, worker: Worker, queue: Queue) -> None:
        job = Job.create(tasks.add, (1, 2), connection=queue.connection, origin=queue.name)
        assert worker.perform_job(job, queue)
        assert job.return_value() == 3

    def test_execute_job(self, worker: Worker, queue: Queue) -> None:
        good, bad = queue.enqueue(tasks.add, 1, 2), queue.enqueue(tasks.boom)
        worker.execute_job(good, queue)
        worker.execute_job(bad, queue)
        assert (good.get_status(), bad.get_status()) == (JobStatus.FINISHED, JobStatus.FAILED)
        worker.refresh()
        assert (worker.successful_job_count, worker.failed_job_count) == (1, 1)

    def test_a_retry_that_the_function_returns(self, worker: Worker, queue: Queue) -> None:
        job = queue.enqueue(tasks.ask_again, 1)
        worker.perform_job(job, queue)
        assert job.get_status() is JobStatus.QUEUED
        assert job.latest_result().type is Result.Type.RETRIED
        job.refresh()
        worker.perform_job(job, queue)
        assert job.get_status() is JobStatus.FAILED
        assert job.latest_result().type is Result.Type.MAX_RETRIES_EXCEEDED

    def test_dequeue_then_execute(self, worker: Worker, queue: Queue) -> None:
        enqueued = queue.enqueue(tasks.add, 1, 2)
        job, source = worker.dequeue_job_and_maintain_ttl(None)
        assert (job, source) == (enqueued, queue)
        assert job.get_status() is JobStatus.STARTED
        assert worker.dequeue_job_and_maintain_ttl(None) is None
        worker.execute_job(job, source)
        assert job.return_value() == 3

    def test_dequeue_waits_no_longer_than_it_may_be_idle(self, worker: Worker) -> None:
        assert worker.dequeue_job_and_maintain_ttl(1, max_idle_time=0.05) is None

    def test_a_job_that_is_gone(self, worker: Worker, queue: Queue) -> None:
        job = queue.enqueue(tasks.nothing)
        job.delete()
        with pytest.raises(NoSuchJobError):
            worker.perform_job(job, queue)
        assert not Job.exists(job.id, queue.connection)

    def test_a_job_that_another_runs(self, queue: Queue) -> None:
        job = queue.enqueue(tasks.nothing)
        Worker([queue]).prepare_execution(job)
        with pytest.raises(JobIsRunning):
            SimpleWorker([queue]).execute_job(job, queue)
        assert job.get_status() is JobStatus.STARTED

    def test_a_horse_that_dies(self, queue: Queue) -> None:
        """The job ends, whatever becomes of its process; an exit is a failure, a signal is not the job's fault."""
        worker = Worker([queue], max_abandoned=0)
        left, killed = queue.enqueue(tasks.hard_exit, 3), queue.enqueue(tasks.kill_self)
        for job in (left, killed):
            worker.execute_job(job, queue)
            assert job.get_status() is JobStatus.FAILED
            assert "Work-horse terminated unexpectedly" in job.latest_result().exc_string
        assert worker.horse_pid == 0


class TestSteps:
    def test_prepare_execution(self, worker: Worker, queue: Queue, registry: StartedJobRegistry) -> None:
        job = queue.enqueue(tasks.nothing)
        execution = worker.prepare_execution(job)
        assert worker.prepare_execution(job) == execution == worker.execution
        assert [found.id for found in job.get_executions()] == [execution.id]
        assert registry.get_job_ids() == [job.id]
        worker.prepare_job_execution(job, remove_from_intermediate_queue=True)
        assert worker.get_current_job_id() == job.id
        assert job.worker_name == worker.name
        assert job.started_at is not None
        worker.cleanup_execution(job, queue.connection.pipeline())
        worker.maintain_heartbeats(job)
        assert registry.get_job_ids() == [job.id]

    def test_success(self, worker: Worker, queue: Queue, registry: StartedJobRegistry) -> None:
        job = queue.enqueue(tasks.nothing)
        worker.prepare_execution(job)
        job._result = "so"
        worker.handle_job_success(job, queue, registry)
        assert (job.get_status(), job.return_value()) == (JobStatus.FINISHED, "so")
        assert registry.get_job_ids() == []
        worker.handle_job_success(job, queue, registry)  # with RQ it is counted again
        worker.handle_job_failure(job, queue, registry, exc_string="no")  # and is finished and failed
        assert job.get_status() is JobStatus.FINISHED
        assert len(job.results()) == 1

    def test_failure(self, worker: Worker, queue: Queue, registry: StartedJobRegistry) -> None:
        job = queue.enqueue(tasks.nothing, retry=Retry(max=1))
        worker.prepare_execution(job)
        worker.handle_job_failure(job, queue, registry, exc_string="once")
        assert job.get_status() is JobStatus.QUEUED
        job.refresh()
        worker.prepare_execution(job)
        worker.handle_job_failure(job, queue, exc_string="twice")
        assert job.get_status() is JobStatus.FAILED
        assert job.latest_result().exc_string == "twice"
        assert queue.failed_job_registry.get_job_ids() == [job.id]

    def test_failure_without_a_further_try(self, worker: Worker, queue: Queue, registry: StartedJobRegistry) -> None:
        job = queue.enqueue(tasks.nothing, retry=Retry(max=5))
        worker.prepare_execution(job)
        job.retries_left = 0
        worker.handle_job_failure(job, queue, registry, exc_string="never again")
        assert job.get_status() is JobStatus.FAILED

    def test_failure_of_a_job_that_nobody_has_prepared(self, worker: Worker, queue: Queue) -> None:
        job = queue.enqueue(tasks.nothing)
        worker.handle_job_failure(job, queue, exc_string="said from outside")
        assert (job.get_status(), queue.job_ids) == (JobStatus.FAILED, [])

    def test_retry(self, worker: Worker, queue: Queue, registry: StartedJobRegistry) -> None:
        job = queue.enqueue(tasks.nothing)
        execution = worker.prepare_execution(job)
        worker.handle_job_retry(job, queue, Retry(max=1, interval=60), registry, execution)
        assert job.get_status() is JobStatus.SCHEDULED
        assert queue.scheduled_job_registry.get_job_ids() == [job.id]

    def test_the_end_of_a_call(self, worker: Worker, queue: Queue) -> None:
        job = queue.enqueue(tasks.nothing)
        worker.handle_execution_ended(job, queue, 60)
        assert job.ended_at is not None
        job.refresh()
        assert job.last_heartbeat is not None

    def test_handlers(self, queue: Queue) -> None:
        called: list[str] = []
        worker = SimpleWorker([queue], exception_handlers=[lambda *_: called.append("first")])
        worker.push_exc_handler(lambda *_: called.append("second") or False)
        worker.push_exc_handler(lambda *_: called.append("third"))
        worker.perform_job(queue.enqueue(tasks.boom), queue)
        assert called == ["first", "second"]
        worker.pop_exc_handler()
        worker.pop_exc_handler()
        worker.perform_job(queue.enqueue(tasks.boom), queue)
        assert called == ["first", "second", "first"]


class TestItsHash:
    def test_counters_and_setters(self, worker: Worker) -> None:
        worker.register_birth()
        worker.increment_failed_job_count()
        worker.increment_successful_job_count()
        worker.increment_successful_job_count()
        worker.increment_total_working_time(timedelta(seconds=1.5), None)
        worker.set_current_job_id("a")
        worker.set_current_job_working_time(2.5)
        worker.set_state(WorkerStatus.SUSPENDED)
        worker.set_shutdown_requested_date()
        assert worker.get_current_job_id() == "a"
        assert worker.shutdown_requested_date is not None
        worker.refresh()
        found = (worker.failed_job_count, worker.successful_job_count, worker.total_working_time)
        assert found == (1, 2, 1.5)
        assert (worker.current_job_working_time, worker.get_state()) == (2.5, "suspended")
        worker.set_current_job_id(None)
        assert worker.get_current_job_id() is None

    def test_in_a_pipeline(self, worker: Worker, queue: Queue) -> None:
        pipeline = queue.connection.pipeline()
        worker.increment_failed_job_count(pipeline)
        worker.increment_total_working_time(timedelta(seconds=1), pipeline)
        worker.set_state("busy", pipeline)
        worker.refresh()
        assert worker.failed_job_count == 0
        pipeline.execute()
        worker.refresh()
        assert (worker.failed_job_count, worker.total_working_time, worker.get_state()) == (1, 1, "busy")

    def test_the_property_state_is_deprecated(self, worker: Worker) -> None:
        with pytest.warns(DeprecationWarning, match="get_state"):
            assert worker.state == "starting"

    def test_finding_workers(self, worker: Worker, queue: Queue) -> None:
        kind = type(worker)
        worker.register_birth()
        assert kind.all(connection=queue.connection) == [worker]
        assert kind.all(queue=queue) == [worker]
        assert (kind.count(connection=queue.connection), kind.all_keys(queue=queue)) == (1, [worker.key])
        found = kind.find_by_key(worker.key, connection=queue.connection)
        assert isinstance(found, kind)
        assert found.queue_names() == [queue.name]
        with pytest.raises(ValueError, match="Not a valid RQ worker key"):
            kind.find_by_key("rq:queue:a", connection=queue.connection)
        worker.register_death()
        assert worker.death_date is not None
        assert kind.count(connection=queue.connection) == 0

    def test_compared_with_another_class(self, queue: Queue) -> None:
        assert Worker([queue], name="a") == Worker([queue], name="a")
        with pytest.raises(TypeError, match="Cannot compare workers"):
            assert Worker([queue], name="a") == SimpleWorker([queue], name="a")


class TestTheRest:
    def test_numbers_and_names(self, worker: Worker, queue: Queue) -> None:
        assert (worker.dequeue_timeout, worker.connection_timeout) == (405, 415)
        assert type(worker)([queue], worker_ttl=10).dequeue_timeout == 1
        assert worker.get_redis_server_version() >= (6, 0, 0)
        assert (worker.exponential_backoff_factor, worker.max_connection_wait_time) == (2.0, 60.0)
        assert (worker.horse_pid, worker.is_horse, worker.scheduler) == (0, False, None)
        assert worker.pubsub_channel_name == PUBSUB_CHANNEL_TEMPLATE % worker.name
        assert worker.version == VERSION

    def test_the_life_of_an_execution_without_a_sign_of_life(self, queue: Queue) -> None:
        job = queue.enqueue(tasks.nothing, job_timeout=20)
        forever = queue.enqueue(tasks.nothing, job_timeout=-1)
        assert (Worker([queue]).get_heartbeat_ttl(job), Worker([queue]).get_heartbeat_ttl(forever)) == (80, 90)
        simple = SimpleWorker([queue])
        assert (simple.get_heartbeat_ttl(job), simple.get_heartbeat_ttl(forever)) == (80, 420)

    def test_maintenance(self, worker: Worker, queue: Queue) -> None:
        assert worker.should_run_maintenance_tasks
        job = queue.enqueue(tasks.nothing, result_ttl=1)
        worker.perform_job(job, queue)
        queue.connection.zadd(queue.finished_job_registry.key, {job.id: 1})
        worker.run_maintenance_tasks()
        assert queue.connection.zcard(queue.finished_job_registry.key) == 0
        assert not worker.should_run_maintenance_tasks
        queue.connection.zadd(queue.finished_job_registry.key, {job.id: 1})
        worker.clean_registries()
        assert queue.connection.zcard(queue.finished_job_registry.key) == 0

    @pytest.mark.parametrize("own_limit", [1, 30])
    def test_the_callback_of_an_abandoned_job_has_its_own_limit(
        self, queue: Queue, store: Store, monkeypatch: pytest.MonkeyPatch, own_limit: int
    ) -> None:
        """It was killed after a minute and a bit (here: half a second), whatever its limit was."""
        monkeypatch.setattr(between, "CALLBACK_TIMEOUT", 0.5)
        queue.enqueue(tasks.nothing, on_failure=Callback(override_jobs.on_failure_long, timeout=own_limit))
        claimed(store, now_ms=1)
        Worker([queue], max_abandoned=0, kill_after=0.1).run_maintenance_tasks()
        notes = queue.connection.lrange("notes", 0, -1)
        assert notes == [b"callback begins", *([b"callback ends"] if own_limit > 2 else [])]

    def test_a_machine_without_room_for_the_callbacks_of_an_abandoned_job(
        self, queue: Queue, store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """It ended a worker that runs RQ's loop, over a job that was none of its own."""

        def no_room() -> int:
            raise BlockingIOError(11, "no room")

        job = queue.enqueue(tasks.nothing)
        claimed(store, now_ms=1)
        monkeypatch.setattr("os.fork", no_room)
        Worker([queue], max_abandoned=0).run_maintenance_tasks()
        assert job.is_failed
        assert f"no room for the process of a callback (abandoned, {job.id}), it is left out" in caplog.text

    def test_suspension(self, worker: Worker, queue: Queue) -> None:
        worker.check_for_suspension(burst=True)
        queue.connection.set("rq:suspended", 1, ex=1)
        with pytest.raises(StopRequested):
            worker.check_for_suspension(burst=True)
        worker.check_for_suspension(burst=False)
        assert not queue.connection.exists("rq:suspended")

    def test_a_wish_to_stop_while_it_is_not_at_work(self, worker: Worker) -> None:
        with pytest.raises(StopRequested):
            worker.request_stop(signal.SIGTERM, None)

    def test_killing_a_horse_that_there_is_not(self, worker: Worker) -> None:
        """RQ's worker kills its own process group."""
        worker.kill_horse()
        assert worker.wait_for_horse() == (None, None, None)

    def test_commands_heard_by_a_thread(self, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
        heard: list[Any] = []

        class Curious(SimpleWorker):
            def handle_payload(self, message: Any) -> None:
                heard.append(message)
                if len(heard) == 1:
                    raise ValueError("no JSON")

        worker = Curious([queue])
        worker.subscribe()
        try:
            for word in ("rubbish", "more"):
                queue.connection.publish(worker.pubsub_channel_name, word)
            wait_until(lambda: heard == [b"rubbish", b"more"])
        finally:
            worker.unsubscribe()
        assert worker.pubsub_thread is None

    def test_classes(self, queue: Queue) -> None:
        assert SpawnWorker([queue]).engine.executors == {"spawn": 1}
        assert HerokuWorker([queue]).engine.executors == {"fork": 1}
        assert HerokuWorker.imminent_shutdown_delay == 6
        other = Queue("other", connection=queue.connection)
        worker = RoundRobinWorker([queue, other])
        worker.reorder_queues(queue)
        assert worker._ordered_queues == [other, queue]
        assert issubclass(RandomWorker, Worker)
