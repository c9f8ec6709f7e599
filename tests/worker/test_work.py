"""What a worker takes, when it wakes, and what that costs the server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from tests import tasks
from tests.helpers import wait_until
from tests.worker.conftest import StartWorker

from atomiq import Dependency, JobStatus, Queue
from atomiq._commands.queues import pause_queue
from atomiq._core.errors import InvalidName, InvalidOption, WorkerFailed
from atomiq._wire.sync import Store
from atomiq.suspension import resume, suspend
from atomiq.worker import BaseWorker, SimpleWorker, Worker, WorkerStatus

EXECUTORS = pytest.mark.parametrize("executor", ["process", "fork", "inline"])


def state(queue: Queue, name: str) -> str:
    found = queue.connection.hget(f"rq:worker:{name}", "state")
    return found.decode() if found else ""


def commands_sent(connection: Any) -> dict[str, int]:
    """Calls of each command by clients. What a script calls inside is counted by the server too: those are left out
    by name."""
    stats = connection.info("commandstats")
    return {name.removeprefix("cmdstat_"): numbers["calls"] for name, numbers in stats.items()}


class TestWakingUp:
    @EXECUTORS
    def test_within_milliseconds(self, queue: Queue, start_worker: StartWorker, executor: str) -> None:
        """By the bell. The machine may be busy with something else for a moment: then five more are looked at."""
        worker = start_worker(executor=executor)
        for _ in range(5):
            delays = self.five_delays(queue, worker.name)
            if sorted(delays)[2] < 0.05:
                break
        assert sorted(delays)[2] < 0.05, delays

    def five_delays(self, queue: Queue, worker: str) -> list[float]:
        """Seconds from an enqueue to its start, five times."""
        delays = []
        for _ in range(5):
            wait_until(lambda: state(queue, worker) == "idle")
            job = queue.enqueue(tasks.nothing)
            result = job.latest_result(timeout=5)
            assert result is not None
            job.refresh()
            assert job.started_at is not None
            assert job.enqueued_at is not None
            delays.append((job.started_at - job.enqueued_at).total_seconds())
        return delays

    @EXECUTORS
    def test_an_idle_worker_does_not_poll(self, queue: Queue, start_worker: StartWorker, executor: str) -> None:
        """The first round of upkeep goes on beside the first wait for jobs; after it there is silence. One poll a
        second would show in each of these seconds."""
        worker = start_worker(executor=executor)
        wait_until(lambda: state(queue, worker.name) == "idle")
        wait_until(lambda: queue.connection.info("clients")["blocked_clients"] >= 1)
        sent: dict[str, int] = {}
        for _ in range(5):
            sent = self.sent_in_a_second(queue.connection)
            if not sent:
                break
        assert not sent

    def sent_in_a_second(self, connection: Any) -> dict[str, int]:
        connection.config_resetstat()
        end = time.monotonic() + 1
        wait_until(lambda: time.monotonic() > end)
        sent = commands_sent(connection)
        return {name: calls for name, calls in sent.items() if name not in ("info", "config", "config|resetstat")}

    def test_a_producer_that_does_not_ring_is_found(self, queue: Queue, start_worker: StartWorker) -> None:
        worker = start_worker()
        wait_until(lambda: state(queue, worker.name) == "idle")
        first = queue.enqueue(tasks.nothing)
        wait_until(lambda: first.is_finished and state(queue, worker.name) == "idle")
        self.push_as_rq_does(queue, first)
        wait_until(lambda: first.is_finished)
        for _ in range(3):  # from now on it looks more often than every seven seconds
            wait_until(lambda: state(queue, worker.name) == "idle")
            self.push_as_rq_does(queue, first)
            wait_until(lambda: first.is_finished, within=4)

    def push_as_rq_does(self, queue: Queue, job: Any) -> None:
        with queue.connection.pipeline() as pipeline:
            pipeline.zrem(f"rq:finished:{queue.name}", job.id)
            pipeline.hset(job.key, "status", "queued")
            pipeline.rpush(f"rq:queue:{queue.name}", job.id)
            pipeline.execute()

    def test_a_scheduled_job_runs_when_it_is_due(self, queue: Queue, start_worker: StartWorker) -> None:
        worker = start_worker()
        wait_until(lambda: state(queue, worker.name) == "idle")
        job = queue.enqueue_in(timedelta(seconds=1), tasks.nothing)
        asked = time.monotonic()
        wait_until(lambda: job.is_finished)
        assert 0.5 < time.monotonic() - asked < 5


@EXECUTORS
def test_a_busy_worker_makes_one_script_call_for_a_job(queue: Queue, start_worker: StartWorker, executor: str) -> None:
    jobs = 200
    for _ in range(jobs):
        queue.enqueue(tasks.nothing)
    queue.connection.config_resetstat()
    assert start_worker(executor=executor, work={"burst": True}).exits() == 0
    sent = commands_sent(queue.connection)
    unknown = queue.connection.info("commandstats")["cmdstat_evalsha"]["failed_calls"]  # and sent again, whole
    scripts = sent["evalsha"] - unknown + sent.get("eval", 0)
    # Birth, death, two turns of upkeep and their work, and the first claim are not about any job; nor is what is given
    # back when the machine is so busy that a job takes 10 ms.
    assert jobs <= scripts <= jobs * 1.1, sent


class TestOrder:
    def names(self, connection: Any, worker: str, strategy: str) -> list[str]:
        queues = {name: Queue(name, connection=connection) for name in ("a", "b")}
        for name, queue in queues.items():
            for number in range(3):
                queue.enqueue(tasks.note, worker, f"{name}{number}")
        SimpleWorker(list(queues.values()), connection=connection).work(burst=True, dequeue_strategy=strategy)
        return Path(worker).read_text().split()

    def test_default(self, redis_connection: Any, tmp_path: Path) -> None:
        assert self.names(redis_connection, str(tmp_path / "n"), "default") == ["a0", "a1", "a2", "b0", "b1", "b2"]

    def test_round_robin(self, redis_connection: Any, tmp_path: Path) -> None:
        assert self.names(redis_connection, str(tmp_path / "n"), "round_robin") == ["a0", "b0", "a1", "b1", "a2", "b2"]

    def test_random(self, redis_connection: Any, tmp_path: Path) -> None:
        found = self.names(redis_connection, str(tmp_path / "n"), "random")
        assert sorted(found) == ["a0", "a1", "a2", "b0", "b1", "b2"]

    def test_an_unknown_strategy_claims_nothing(self, queue: Queue) -> None:
        job = queue.enqueue(tasks.nothing)
        with pytest.raises(ValueError, match="nearest"):
            SimpleWorker([queue]).work(burst=True, dequeue_strategy="nearest")
        assert job.is_queued
        assert queue.count == 1

    def test_reorder_queues_can_be_overridden(self, redis_connection: Any, tmp_path: Path) -> None:
        class Last(SimpleWorker):
            def reorder_queues(self, reference_queue: Any) -> None:
                self._ordered_queues = [queue for queue in self.queues if queue.name == "b"]

        notes = str(tmp_path / "n")
        queues = [Queue(name, connection=redis_connection) for name in ("a", "b")]
        for queue in queues:
            for number in range(2):
                queue.enqueue(tasks.note, notes, f"{queue.name}{number}")
        Last(queues).work(burst=True)
        assert Path(notes).read_text().split() == ["a0", "b0", "b1"]


class TestSuspension:
    def test_a_suspended_worker_waits(self, queue: Queue, start_worker: StartWorker) -> None:
        suspend(queue.connection)
        job = queue.enqueue(tasks.nothing)
        worker = start_worker()
        wait_until(lambda: state(queue, worker.name) == WorkerStatus.SUSPENDED.value)
        assert job.is_queued
        resume(queue.connection)
        wait_until(lambda: job.is_finished)
        wait_until(lambda: state(queue, worker.name) == "idle")

    @pytest.mark.parametrize("executor", ["process", "thread", "async", "fork", "inline"])
    def test_a_burst_runs_all_dependants(self, queue: Queue, start_worker: StartWorker, executor: str) -> None:
        """One step frees 100 of them. A station did not say that there were more: a burst worker went home, and any
        other left them to its upkeep, half a minute or more later."""
        queue.enqueue(tasks.nothing, job_id="parent")
        queue.enqueue_many([Queue.prepare_data(tasks.nothing, depends_on="parent") for _ in range(350)])
        assert start_worker(executor=executor, work={"burst": True}).exits() == 0
        assert len(queue.deferred_job_registry) == 0
        assert len(queue.finished_job_registry) == 351

    @pytest.mark.parametrize("executor", ["process", "thread", "async", "fork", "inline"])
    def test_a_burst_frees_all_that_waited_for_an_expired_job(
        self, queue: Queue, start_worker: StartWorker, executor: str
    ) -> None:
        """A claim that meets an id whose hash has expired frees 100 of those that waited for it, and has no word for
        more: a burst worker ran these and went home; 250 were left to whoever looks at leases next."""
        queue.enqueue(tasks.nothing, job_id="parent")
        waits = Dependency("parent", allow_failure=True)
        queue.enqueue_many([Queue.prepare_data(tasks.nothing, depends_on=waits) for _ in range(350)])
        queue.connection.delete("rq:job:parent")  # as Redis does when a ttl is over
        assert start_worker(executor=executor, work={"burst": True}).exits() == 0
        assert len(queue.deferred_job_registry) == 0
        assert len(queue.finished_job_registry) == 350

    def test_dependants_need_not_wait_for_upkeep(self, queue: Queue, start_worker: StartWorker) -> None:
        start_worker()
        gone_through = queue.enqueue(tasks.wait, 0.5, job_id="parent")
        queue.enqueue_many([Queue.prepare_data(tasks.nothing, depends_on="parent") for _ in range(350)])
        wait_until(lambda: gone_through.is_finished)
        wait_until(lambda: len(queue.finished_job_registry) == 351, within=9)

    def test_a_burst_ends(self, queue: Queue, start_worker: StartWorker) -> None:
        suspend(queue.connection)
        job = queue.enqueue(tasks.nothing)
        assert start_worker(work={"burst": True}).exits() == 0
        assert job.is_queued

    def test_a_paused_queue_is_passed_over(self, queue: Queue) -> None:
        store = Store.of(queue.connection)
        other = Queue("other", connection=queue.connection)
        job, taken = queue.enqueue(tasks.nothing), other.enqueue(tasks.nothing)
        store.run(pause_queue(store.keys, queue="default"))
        Worker([queue, other]).work(burst=True)
        assert job.is_queued
        assert taken.is_finished
        store.run(pause_queue(store.keys, queue="default", paused=False))
        Worker([queue, other]).work(burst=True)
        assert job.is_finished


class TestEntry:
    def test_hash(self, queue: Queue, start_worker: StartWorker, tmp_path: Path) -> None:
        notes, gate = tmp_path / "notes", tmp_path / "gate"
        job = queue.enqueue(tasks.note_and_wait, str(notes), str(gate))
        process = start_worker("default", "low", options={"name": "W1"})
        wait_until(notes.exists)
        fields = {name.decode(): value.decode() for name, value in queue.connection.hgetall("rq:worker:W1").items()}
        for name in ("birth", "last_heartbeat", "hostname", "ip_address", "version", "python_version"):
            assert fields[name]
        assert fields["queues"] == "default,low"
        assert fields["pid"] == str(process.pid)
        assert fields["state"] == "busy"
        assert fields["current_job"] == job.id
        (worker,) = Worker.all(connection=queue.connection)
        assert worker.name == "W1"
        assert worker.queue_names() == ["default", "low"]
        assert worker.get_state() == "busy"
        assert worker.get_current_job() == job
        assert worker.pid == process.pid
        assert Worker.count(queue=Queue("low", connection=queue.connection)) == 1
        assert Worker.all_keys(connection=queue.connection) == ["rq:worker:W1"]
        gate.touch()
        wait_until(lambda: job.is_finished)
        worker.refresh()
        assert worker.successful_job_count == 1
        assert worker.total_working_time > 0
        assert worker.get_current_job_id() is None
        wait_until(lambda: state(queue, "W1") == "idle")

    def test_a_name_is_taken_once(self, queue: Queue, start_worker: StartWorker) -> None:
        start_worker(options={"name": "W1"})
        wait_until(lambda: Worker.count(connection=queue.connection) == 1)
        second = start_worker(options={"name": "W1"})
        assert second.exits() == 1
        assert "active worker named" in second.log
        assert Worker.count(connection=queue.connection) == 1

    def test_find_by_key(self, queue: Queue) -> None:
        assert Worker.find_by_key("rq:worker:nobody", queue.connection) is None
        with pytest.raises(ValueError, match="Not a valid RQ worker key"):
            Worker.find_by_key("rq:job:x", queue.connection)


class TestConstructor:
    def test_queues(self, redis_connection: Any) -> None:
        queue = Queue("a", connection=redis_connection)
        assert Worker(["b", queue], connection=redis_connection).queue_names() == ["b", "a"]
        assert Worker(queue).queue_names() == ["a"]
        assert Worker("c", connection=redis_connection).queue_keys() == ["rq:queue:c"]
        with pytest.raises(TypeError):
            Worker([queue, 1], connection=redis_connection)
        with pytest.raises(AssertionError):
            Worker("a")

    def test_a_connection_of_another_kind(self, redis_url: str) -> None:
        """A URL was taken, and `work` ended with an AttributeError about connection_pool."""
        with pytest.raises(TypeError, match="the connection must be a redis"):
            Worker("a", connection=redis_url)

    def test_classes(self, redis_connection: Any) -> None:
        assert Worker("a", connection=redis_connection, job_class="atomiq.job.Job").job_class.__name__ == "Job"
        with pytest.raises(ValueError, match="Invalid job class"):
            Worker("a", connection=redis_connection, job_class="atomiq.queue.Queue")

    @pytest.mark.parametrize("name", ["a\x00b", "a\udc80b"])
    def test_names(self, redis_connection: Any, name: str) -> None:
        """It was a traceback of what shows the name in the list of processes, behind the worker's birth."""
        with pytest.raises(InvalidName, match="worker name"):
            Worker("a", name, connection=redis_connection)

    @pytest.mark.parametrize("options", [{"lease": 0}, {"max_abandoned": -1}, {"abandoned": "perhaps"}])
    def test_numbers(self, redis_connection: Any, options: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match="lease must be above 0"):
            Worker("a", connection=redis_connection, **options)

    def test_equality(self, redis_connection: Any) -> None:
        one, same = (Worker("a", "n", connection=redis_connection) for _ in range(2))
        assert one == same
        assert one != Worker("a", "m", connection=redis_connection)
        with pytest.raises(TypeError):
            assert one == "n"

    def test_handlers(self, redis_connection: Any) -> None:
        worker = Worker("a", connection=redis_connection, exception_handlers=tasks.handler_notes)
        worker.push_exc_handler(tasks.handler_ends)
        assert worker.pop_exc_handler() is tasks.handler_ends


@pytest.mark.parametrize("worker_class", [Worker, SimpleWorker])
def test_work_says_whether_it_did_any(queue: Queue, worker_class: type[BaseWorker]) -> None:
    assert worker_class([queue]).work(burst=True) is False
    job = queue.enqueue(tasks.nothing)
    assert worker_class([queue]).work(burst=True) is True
    assert job.get_status() is JobStatus.FINISHED


@pytest.mark.parametrize("worker_class", [Worker, SimpleWorker])
def test_a_worker_without_queues_is_refused(redis_connection: Any, worker_class: type[BaseWorker]) -> None:
    """A list of queues that a program has computed may be empty: five children ended with a traceback each, and the
    worker gave up seconds later."""
    worker = worker_class([], connection=redis_connection)
    with pytest.raises(InvalidOption, match="has no queue to work on"):
        worker.work(burst=True)
    assert worker_class.all(connection=redis_connection) == []


class TestFakeredis:
    """A server in the process's own memory, as in the tests of many an application. What a connection to it calls its
    socket has a number that is some other file's, so nobody may wait for it, and a fork has a server of its own.
    """

    @pytest.fixture
    def fake(self, redis_connection: Any) -> Iterator[Queue]:
        """A connection that looks like fakeredis's, with a real server behind it."""
        pool = redis_connection.connection_pool
        kind = type("FakeConnection", (pool.connection_class,), {"__module__": "fakeredis._clients._sync"})
        connection = redis.Redis(connection_pool=redis.ConnectionPool(connection_class=kind, **pool.connection_kwargs))
        yield Queue("default", connection=connection)
        connection.connection_pool.disconnect()

    class InSteps(SimpleWorker):
        """One that RQ's loop runs."""

        def execute_job(self, job: Any, queue: Any) -> None:
            super().execute_job(job, queue)

    @pytest.mark.parametrize("worker_class", [SimpleWorker, InSteps])
    def test_a_simple_worker_starts_no_process(self, fake: Queue, worker_class: type[BaseWorker]) -> None:
        """The keeper of its lease was forked for each job and died of EBADF with a traceback, or span at full speed
        where that number was a file that always has something to say."""
        job = fake.enqueue(tasks.children)
        assert worker_class([fake]).work(burst=True)
        assert job.return_value() == tasks.children()

    def test_what_would_wait_or_fork_is_refused(self, fake: Queue) -> None:
        """Warm children failed five times, for want of `setblocking`; waiting registered the wrong file."""
        job = fake.enqueue(tasks.nothing)
        with pytest.raises(WorkerFailed, match="SimpleWorker"):
            Worker([fake]).work(burst=True)
        with pytest.raises(WorkerFailed, match="burst=True"):
            SimpleWorker([fake]).work(max_jobs=1)
        assert job.get_status() is JobStatus.QUEUED
