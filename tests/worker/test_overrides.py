"""Methods of RQ that a subclass overrides or somebody patches: called where RQ calls them, and the job always ends."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import redis
from tests import tasks
from tests.contract.driving import claimed
from tests.helpers import alive, wait_until
from tests.worker import override_jobs as classes
from tests.worker.conftest import StartWorker
from tests.worker.processes import own_server

from atomiq import Callback, Job, Queue, Retry, Worker
from atomiq._wire.sync import Store
from atomiq.job import JobStatus
from atomiq.requires import Ready
from atomiq.worker import HerokuWorker
from atomiq.worker.overrides import CALL, LOOP, overridden


def notes(queue: Queue) -> list[str]:
    return [line.decode() for line in queue.connection.lrange("notes", 0, -1)]


def work(kind: Any, queue: Queue, **options: Any) -> Any:
    worker = kind([queue], connection=queue.connection, **options)
    worker.work(burst=True)
    return worker


def test_ours_are_nobodys_overrides(queue: Queue) -> None:
    for kind in (Worker, HerokuWorker):
        assert overridden(kind([queue]), *LOOP, *CALL) == []
    worker = Worker([queue])
    worker.heartbeat = lambda *_: None  # type: ignore[method-assign]
    assert overridden(worker, *LOOP) == ["heartbeat"]


def test_a_patched_class_counts_as_changed(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """As error trackers do it."""
    before, handled = Worker.perform_job, Worker.handle_exception

    def perform_job(self: Worker, job: Any, *args: Any, **kwargs: Any) -> bool:
        queue.connection.rpush("notes", f"perform {job.func_name}")
        return before(self, job, *args, **kwargs)

    def handle_exception(self: Worker, job: Any, *exc_info: Any, **kwargs: Any) -> None:
        queue.connection.rpush("notes", f"handle {job.is_failed} {exc_info[0].__name__}")
        handled(self, job, *exc_info, **kwargs)

    monkeypatch.setattr(Worker, "perform_job", perform_job)
    monkeypatch.setattr(Worker, "handle_exception", handle_exception)
    queue.enqueue(tasks.nothing)
    queue.enqueue(tasks.boom)
    worker = work(Worker, queue)
    assert worker.engine.executors == {"process": 1}
    assert notes(queue) == ["perform tests.tasks.nothing", "perform tests.tasks.boom", "handle False ValueError"]


def test_the_loop(queue: Queue) -> None:
    good, bad = queue.enqueue(tasks.add, 1, 2, job_id="good"), queue.enqueue(tasks.hard_exit, 3, job_id="bad")
    assert work(classes.Loop, queue).engine.executors == {"fork": 1}
    assert (good.return_value(), bad.get_status()) == (3, JobStatus.FAILED)
    assert notes(queue) == [
        *("dequeue None None", "execute good default", "fork True", "monitored finished"),
        *("dequeue None None", "execute bad default", "fork True", "monitored failed"),
        "dequeue None None",
    ]


@pytest.mark.parametrize("kind", [classes.Prepares, classes.PreparesHere])
def test_an_execution_begins_once(kind: Any, queue: Queue) -> None:
    """Whoever counts executions so counted three for each: every method around the call asked for it again."""
    good = queue.enqueue(tasks.add, 1, 2, job_id="good")
    queue.enqueue(tasks.boom, job_id="bad", retry=Retry(max=1))
    work(kind, queue)
    assert good.return_value() == 3
    assert notes(queue) == ["prepare good", "prepare bad", "prepare bad"]


def test_a_fork_of_its_own(queue: Queue) -> None:
    jobs = [queue.enqueue(tasks.add, 1), queue.enqueue(tasks.boom), queue.enqueue(tasks.hard_exit, 0)]
    work(classes.OwnFork, queue)
    assert [job.get_status() for job in jobs] == [JobStatus.FINISHED, JobStatus.FAILED, JobStatus.FAILED]
    assert "did not perform the job" in jobs[2].latest_result().exc_string
    assert len(queue.started_job_registry) == 0


@pytest.mark.parametrize("executor", ["process", "fork", "inline", "thread"])
def test_the_ends_of_a_call(queue: Queue, executor: str) -> None:
    good = queue.enqueue(tasks.add, 1, 2)
    bad = queue.enqueue(tasks.boom)
    again = queue.enqueue(tasks.ask_again, 1)
    worker = work(classes.Ends, queue, executor=executor)
    assert good.return_value() == 3
    assert bad.latest_result().exc_string.endswith("and ours")
    assert again.get_status() is JobStatus.FAILED
    registry = queue.started_job_registry.key
    wanted = [f"success started finished 3 {registry}", "failure default", "retry 1", "retry 1"]
    assert sorted(notes(queue)) == sorted(wanted)
    assert queue.connection.hmget(worker.key, "successful_job_count", "failed_job_count") == [b"1", b"3"]


def test_a_horse_that_dies_is_a_failure_to_be_handled(queue: Queue) -> None:
    job = queue.enqueue(tasks.hard_exit, 3)
    work(classes.Ends, queue)
    assert job.get_status() is JobStatus.FAILED
    assert notes(queue) == ["failure default"]


@pytest.mark.parametrize("executor", ["process", "fork", "inline"])
def test_who_forgets_to_settle(queue: Queue, executor: str) -> None:
    good, bad = queue.enqueue(tasks.add, 1, 2), queue.enqueue(tasks.boom, retry=Retry(max=1))
    work(classes.Careless, queue, executor=executor)
    assert (good.get_status(), good.return_value()) == (JobStatus.FINISHED, 3)
    assert bad.get_status() is JobStatus.FAILED
    assert sorted(notes(queue)) == ["failure", "failure", "success"]


@pytest.mark.parametrize("executor", ["process", "inline"])
def test_who_breaks_a_success(queue: Queue, executor: str) -> None:
    job = queue.enqueue(tasks.add, 1)
    work(classes.BreaksSuccess, queue, executor=executor)
    assert job.get_status() is JobStatus.FAILED
    assert "no room for results" in job.latest_result().exc_string
    assert len(queue.finished_job_registry) == 0


@pytest.mark.parametrize("executor", ["process", "inline"])
def test_who_breaks_after_the_job_has_ended(queue: Queue, executor: str) -> None:
    """With RQ it is finished and failed, and counted twice (C10)."""
    job = queue.enqueue(tasks.add, 1)
    work(classes.BreaksLater, queue, executor=executor)
    assert job.get_status() is JobStatus.FINISHED
    assert len(queue.failed_job_registry) == 0
    assert len(job.results()) == 1


def test_who_forgets_the_job(queue: Queue) -> None:
    job = queue.enqueue(tasks.add, 1)
    work(classes.DoesNothing, queue)
    assert job.get_status() is JobStatus.FAILED
    assert "DoesNothing.execute_job did not perform the job" in job.latest_result().exc_string


def test_a_broken_worker_says_so(queue: Queue) -> None:
    """RQ's quits as if all were well, and its job stays started (D8)."""
    job = queue.enqueue(tasks.add, 1)
    with pytest.raises(RuntimeError, match="broken worker"):
        work(classes.Breaks, queue)
    assert job.get_status() is JobStatus.FAILED
    assert "broken worker" in job.latest_result().exc_string


def test_maintenance(queue: Queue) -> None:
    job = queue.enqueue(tasks.add, 1)
    worker = work(classes.Maintains, queue)
    assert worker.engine.executors == {"process": 1}
    assert job.get_status() is JobStatus.FINISHED
    assert notes(queue) == ["maintenance"]
    assert worker.last_cleaned_at is not None


def test_a_job_that_was_taken_in_another_way(queue: Queue) -> None:
    """Nobody extended its lease where it ran in the worker's own process: a job of more than 30 s was run again."""
    job = queue.enqueue(tasks.add, 1, on_success=Callback(tasks.on_success_kept, timeout=30))
    work(classes.Dequeues, queue, lease=1)
    assert job.is_finished, job.latest_result().exc_string


def test_a_job_that_was_taken_in_another_way_overruns(queue: Queue) -> None:
    job = queue.enqueue(tasks.ignore_limit, 30, job_timeout=1)
    work(classes.DequeuesAndForks, queue, lease=1, kill_after=0.2, job_monitoring_interval=1)
    assert "It went on for another 0.2 seconds and was killed" in job.latest_result().exc_string


@pytest.mark.parametrize("by_command", [False, True], ids=["signal", "command"])
def test_the_first_wish_to_stop(queue: Queue, start_worker: StartWorker, by_command: bool) -> None:
    worker = start_worker(kind="tests.worker.override_jobs.Warned")
    worker.says("Listening")
    if by_command:
        wait_until(lambda: queue.connection.publish(f"rq:pubsub:{worker.name}", '{"command": "shutdown"}'))
    else:
        worker.signal(signal.SIGTERM)
    assert worker.exits() == 0
    assert notes(queue) == ["warned True"]


class TestTheLoopOfRQ:
    """A whole worker that is run by RQ's loop."""

    KIND = "tests.worker.override_jobs.Loop"

    def test_it_waits_for_work_and_ends_when_asked(
        self, queue: Queue, start_worker: StartWorker, tmp_path: Path
    ) -> None:
        worker = start_worker(kind=self.KIND, options={"reloads": True})
        worker.says("Listening")
        worker.signal(signal.SIGHUP)
        worker.says("SIGHUP is ignored")  # it was, and nobody said so
        first = queue.enqueue(tasks.add, 1)
        wait_until(lambda: first.get_status() is JobStatus.FINISHED)
        path = tmp_path / "began"
        last = queue.enqueue(tasks.note_and_wait, str(path), str(tmp_path / "gate"))
        wait_until(path.exists)
        worker.signal(signal.SIGTERM)
        worker.says("warm shut down")
        (tmp_path / "gate").touch()
        assert worker.exits() == 0
        assert last.get_status() is JobStatus.FINISHED

    def test_asked_twice_it_breaks_off_what_runs(self, queue: Queue, start_worker: StartWorker, tmp_path: Path) -> None:
        """RQ leaves the job started (B6)."""
        worker = start_worker(kind=self.KIND)
        path = tmp_path / "began"
        job = queue.enqueue(tasks.note_and_wait, str(path), str(tmp_path / "gate"))
        wait_until(path.exists)
        worker.signal_until_gone(signal.SIGTERM)
        assert job.get_status() is JobStatus.QUEUED
        assert len(queue.started_job_registry) == 0

    def test_asked_twice_it_ends_a_fork_of_the_classs_own(
        self, queue: Queue, start_worker: StartWorker, tmp_path: Path
    ) -> None:
        """Its pid was forgotten before it was to be killed: it ran on, while the job, given back, was run once more."""
        worker = start_worker(kind="tests.worker.override_jobs.OwnFork")
        path = tmp_path / "began"
        job = queue.enqueue(tasks.note_and_wait, str(path), str(tmp_path / "gate"))
        wait_until(path.exists)
        children = worker.children()
        worker.signal_until_gone(signal.SIGTERM)
        assert job.get_status() is JobStatus.QUEUED
        wait_until(lambda: not any(map(alive, children)), within=5, what="the work horse is dead")

    @pytest.mark.parametrize("command", ["stop-job", "kill-horse"])
    def test_commands(self, queue: Queue, start_worker: StartWorker, tmp_path: Path, command: str) -> None:
        worker = start_worker(kind=self.KIND, options={"abandoned": "fail"})
        path = tmp_path / "began"
        job = queue.enqueue(tasks.note_and_wait, str(path), str(tmp_path / "gate"))
        wait_until(path.exists)
        queue.connection.publish(f"rq:pubsub:{worker.name}", "rubbish")
        queue.connection.publish(f"rq:pubsub:{worker.name}", f'{{"command": "{command}", "job_id": "{job.id}"}}')
        wanted = JobStatus.STOPPED if command == "stop-job" else JobStatus.FAILED
        wait_until(lambda: job.get_status() is wanted)
        after = queue.enqueue(tasks.add, 1)
        wait_until(lambda: after.get_status() is JobStatus.FINISHED)

    def test_a_worker_that_is_killed(self, queue: Queue, start_worker: StartWorker, tmp_path: Path) -> None:
        worker = start_worker(kind=self.KIND, options={"lease": 1})
        path = tmp_path / "began"
        job = queue.enqueue(tasks.note_and_wait, str(path), str(tmp_path / "gate"))
        wait_until(path.exists)
        worker.kill()
        (tmp_path / "gate").touch()
        start_worker(kind=self.KIND, options={"lease": 1})
        wait_until(lambda: job.get_status() is JobStatus.FINISHED, within=30)

    def test_one_that_overruns_its_limit(self, queue: Queue, start_worker: StartWorker) -> None:
        start_worker(kind=self.KIND, options={"kill_after": 0.5})
        job = queue.enqueue(tasks.ignore_limit, job_timeout=1)
        wait_until(lambda: job.get_status() is JobStatus.FAILED, within=30)
        said = job.latest_result().exc_string
        assert "Task exceeded maximum timeout value (1 seconds)" in said
        assert "waitpid returned 9 (signal 9)" in said, "nobody could say how it ended, who had killed it a moment ago"

    def test_one_that_outlives_its_lease(self, queue: Queue, start_worker: StartWorker, tmp_path: Path) -> None:
        """The lease is extended as long as the work horse lives; nobody else is given the job meanwhile."""
        start_worker(kind=self.KIND, options={"lease": 1.5})
        start_worker(options={"lease": 1.5})
        path = tmp_path / "began"
        job = queue.enqueue(tasks.note_and_wait, str(path), str(tmp_path / "gate"))
        wait_until(path.exists)
        ((_, first),) = queue.connection.zrange("rq:wip:default", 0, -1, withscores=True)
        wait_until(lambda: queue.connection.zrange("rq:wip:default", 0, -1, withscores=True)[0][1] > first + 3)
        (tmp_path / "gate").touch()
        wait_until(lambda: job.get_status() is JobStatus.FINISHED)
        assert queue.connection.hget(job.key, "attempts") == b"1"


@pytest.mark.parametrize("kind", ["Loop", "Simple"])
def test_the_server_goes_and_comes_back_while_a_job_runs(start_worker: StartWorker, tmp_path: Path, kind: str) -> None:
    """RQ's worker quits; the job is run to its end, once."""
    with own_server() as server:
        connection = redis.Redis.from_url(server.url)
        queue = Queue("default", connection=connection)
        began, gate = tmp_path / "began", tmp_path / "gate"
        job = queue.enqueue(tasks.note_and_wait, str(began), str(gate))
        options = {"lease": 3, "job_monitoring_interval": 1}
        worker = start_worker(url=server.url, kind=f"tests.worker.override_jobs.{kind}", options=options)
        wait_until(began.exists, within=30)
        if kind == "Loop":  # its own code talks to the server, and would break off when that is gone
            wait_until(lambda: b"fork True" in connection.lrange("notes", 0, -1))
        server.stop()
        gate.touch()
        worker.says("can't be reached", within=30)
        server.start()
        wait_until(lambda: job.get_status() is JobStatus.FINISHED, within=60)
        after = queue.enqueue(tasks.add, 1)
        wait_until(lambda: after.get_status() is JobStatus.FINISHED, within=60)
        assert began.read_text().count("start") == 1
        worker.signal(signal.SIGTERM)
        assert worker.exits(30) == 0


@pytest.mark.parametrize("kind", [classes.Loop, classes.OwnFork, classes.Simple, HerokuWorker])
def test_a_job_that_waits_for_what_it_requires_is_not_one_of_max_jobs(queue: Queue, kind: Any) -> None:
    """A worker with one job to do looked, found nothing, and ended; any other worker goes on to the next job."""
    waits = queue.enqueue(tasks.add, 1, requires=Ready("tests.worker.override_jobs.never", backoff=60))
    job, other = queue.enqueue(tasks.add, 2), queue.enqueue(tasks.add, 3)
    kind([queue], connection=queue.connection).work(burst=True, max_jobs=1)
    assert [one.get_status() for one in (waits, job, other)] == ["scheduled", "finished", "queued"]


@pytest.mark.parametrize("kind", ["TakesLonger", "TakesLongerInSteps", "TakesLongerInAChild"])
def test_a_limit_that_a_method_raises_holds_for_the_lease(queue: Queue, start_worker: StartWorker, kind: str) -> None:
    """The lease was extended for as long as the stored limit said: a SimpleWorker made the call four times, each
    time to its end, and then failed it as poison. In a child the call was killed."""
    job = queue.enqueue(tasks.wait, 4, job_timeout=1)
    options = {"lease": 1, "kill_after": 0.5}
    workers = [start_worker(kind=f"tests.worker.override_jobs.{kind}", options=options) for _ in range(2)]
    wait_until(lambda: job.get_status() in ("finished", "failed"))
    assert (job.get_status(), Job.fetch(job.id, queue.connection).attempts) == ("finished", 1)
    assert not any("overran" in worker.log or "lost its worker" in worker.log for worker in workers)


def test_a_limit_that_is_no_number_ends_no_worker(queue: Queue) -> None:
    jobs = [queue.enqueue(tasks.nothing) for _ in range(2)]
    work(classes.SaysItInWords, queue)
    assert [job.get_status() for job in jobs] == ["failed", "failed"]
    assert "TypeError" in jobs[0].latest_result().exc_string


def test_a_broken_callback_of_an_abandoned_job(queue: Queue, store: Store) -> None:
    """RQ's worker dies of it (D1)."""
    job = queue.enqueue(tasks.nothing, on_failure=Callback(tasks.on_failure_boom))
    claimed(store, lease_ms=1)
    behind = queue.enqueue(tasks.add, 1)
    wait_until(lambda: store.connection.zcount("rq:wip:default", "-inf", store.connection.time()[0] - 1))
    worker = classes.Loop([queue], abandoned="fail", lease=1, exception_handlers=[tasks.handler_raises])
    worker.work(max_idle_time=3)
    assert (job.get_status(), behind.return_value()) == (JobStatus.FAILED, 1)


def test_the_exception_of_heroku(queue: Queue, start_worker: StartWorker, tmp_path: Path) -> None:
    worker = start_worker(kind="tests.worker.heroku_jobs.AtOnce")
    path = tmp_path / "began"
    job = queue.enqueue(tasks.note_and_wait, str(path), str(tmp_path / "gate"))
    wait_until(path.exists)
    os.killpg(worker.pid, signal.SIGTERM)
    assert worker.exits() == 0
    assert job.get_status() is JobStatus.FAILED
    assert "ShutDownImminentException" in job.latest_result().exc_string


def test_a_work_horse_that_was_just_forked_is_warned(queue: Queue, start_worker: StartWorker, tmp_path: Path) -> None:
    """The worker was asked to end before it had noted the pid of the process that it was forking: nobody warned that,
    and the worker waited for its job until the machine stopped."""
    worker = start_worker(kind="tests.worker.heroku_jobs.AskedAsItForks")
    job = queue.enqueue(tasks.note_and_wait, str(tmp_path / "began"), str(tmp_path / "gate"))
    assert worker.exits() == 0
    assert job.get_status() is JobStatus.FAILED
    assert "ShutDownImminentException" in job.latest_result().exc_string
