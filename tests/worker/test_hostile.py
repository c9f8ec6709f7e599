"""Jobs that harm the process they run in, and a server that is there but won't do: the worker goes on."""

from __future__ import annotations

import select
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
from tests import tasks
from tests.helpers import wait_until
from tests.invariants import check_invariants
from tests.worker import hostile, override_jobs
from tests.worker.conftest import StartWorker
from tests.worker.processes import own_server

from atomiq import Callback, Job, Queue
from atomiq._core.errors import ServerUnavailable
from atomiq._lua import compose
from atomiq._wire import wait
from atomiq._wire.sync import Store
from atomiq._wire.wait import CommandChannel
from atomiq.command import send_kill_horse_command
from atomiq.executors.fork import Call, Child, ForkExecutor
from atomiq.worker import SimpleWorker, Worker
from atomiq.worker.own_store import LONGEST_PATIENCE, own_store


def consumes(queue: Queue) -> None:
    job = queue.enqueue(tasks.add, 1)
    wait_until(lambda: job.is_finished)


def cause(job: Job) -> str:
    result = job.latest_result()
    assert result is not None
    return str(result.exc_string)


def test_junk_in_the_childs_pipe_ends_nobody_but_the_call(queue: Queue, start_worker: StartWorker) -> None:
    """A job closed its files and wrote to their numbers, which meanwhile were the worker's pipe. The supervisor died of
    what it read, gave the job back, and so did the next one, and the next."""
    worker = start_worker(executor="fork")
    job = queue.enqueue(hostile.write_into_every_pipe)
    wait_until(lambda: job.is_failed)
    assert "Work-horse terminated unexpectedly" in cause(job)
    consumes(queue)
    assert worker.process.poll() is None


@pytest.mark.parametrize("executor", ["process", "spawn", "thread", "async"])
def test_junk_in_a_stations_pipe_ends_nobody(queue: Queue, start_worker: StartWorker, executor: str) -> None:
    """It settles its jobs itself: nothing of them goes through a pipe."""
    worker = start_worker(executor=executor)
    job = queue.enqueue(hostile.write_into_every_pipe)
    wait_until(lambda: job.is_finished)
    consumes(queue)
    assert worker.process.poll() is None


def test_a_report_goes_nowhere_but_to_the_worker(queue: Queue, start_worker: StartWorker, tmp_path: Path) -> None:
    """A job made a daemon of its process and opened its own file, which got the number of the worker's pipe: the
    report, result and all, was appended to the user's file."""
    path = tmp_path / "precious"
    start_worker()
    job = queue.enqueue(hostile.close_all_and_open, str(path))
    wait_until(lambda: job.is_failed)
    assert path.read_bytes() == b""
    consumes(queue)


def test_a_child_that_left_its_group_can_be_killed(queue: Queue, start_worker: StartWorker, tmp_path: Path) -> None:
    """A job moved itself to another process group. Signals went to the group that was made for it, where nobody was:
    neither a time limit nor a command nor a shutdown could end it."""
    notes = tmp_path / "notes"
    worker = start_worker()
    job = queue.enqueue(hostile.leave_the_group, str(notes))
    wait_until(notes.exists)
    send_kill_horse_command(queue.connection, worker.name)
    wait_until(lambda: job.is_failed, within=5)
    consumes(queue)


def test_a_call_in_place_takes_no_signals_away(queue: Queue, start_worker: StartWorker) -> None:
    """asyncio.run with a signal handler, in an inline worker: afterwards SIGTERM had its default effect, and a shutdown
    killed the worker in the middle of whatever it ran."""
    worker = start_worker(executor="inline")
    job = queue.enqueue(hostile.take_signals_by_asyncio)
    wait_until(lambda: job.is_finished)
    worker.signal(signal.SIGTERM)
    assert worker.exits() == 0


@pytest.mark.parametrize("executor", ["process", "fork", "inline"])
def test_an_exception_that_can_not_be_shown(queue: Queue, start_worker: StartWorker, executor: str) -> None:
    """An exception whose attributes raise broke the text that was to be recorded: a forked child seemed to have
    crashed, and an inline worker did, with the job given back to kill the next one."""
    worker = start_worker(executor=executor)
    job = queue.enqueue(hostile.raise_unshowable)
    wait_until(lambda: job.is_failed)
    assert "in raise_unshowable" in cause(job)
    assert "UnshowableError" in cause(job)
    consumes(queue)
    assert worker.process.poll() is None


def test_a_wait_that_the_server_breaks_off(queue: Queue, start_worker: StartWorker) -> None:
    """A primary that becomes a replica answers all who wait with UNBLOCKED: every idle worker of the fleet took that
    for a fault of its script and ended."""
    worker = start_worker()

    def bells() -> list[str]:
        mine = [row for row in queue.connection.client_list() if row["name"] == worker.name]
        return [row["id"] for row in mine if row["cmd"] == "bzpopmin"]

    (bell,) = wait_until(bells)
    queue.connection.execute_command("CLIENT", "UNBLOCK", bell, "ERROR")
    worker.says("can't be reached")
    consumes(queue)


def test_a_replica_that_has_lost_its_primary(start_worker: StartWorker) -> None:
    """With `replica-serve-stale-data no` it answers MASTERDOWN, as does a primary that is told to follow another one
    and can't reach that yet: every worker took it for a fault of its script, killed what it ran and ended."""
    with own_server() as server, redis.Redis.from_url(server.url) as connection:
        connection.config_set("replica-serve-stale-data", "no")
        queue = Queue("default", connection=connection)
        worker = start_worker(url=server.url, options={"lease": 3})
        consumes(queue)
        connection.replicaof("127.0.0.1", "1")
        worker.says("Link with MASTER is down")
        connection.replicaof("no", "one")
        consumes(queue)
        worker.signal(signal.SIGTERM)
        assert worker.exits() == 0


@pytest.mark.parametrize("wish", [{}, {"kind": "tests.worker.override_jobs.Loop"}], ids=["stations", "RQ's loop"])
def test_an_outcome_that_the_server_does_not_take(start_worker: StartWorker, wish: dict[str, Any]) -> None:
    """A result was larger than the server's proto-max-bulk-len, so the server broke the connection off, the worker took
    that for an outage, waited, sent it again, and so on for ever: one job had stopped the worker. One that runs RQ's
    loop (HerokuWorker, a class with an `execute_job` of its own) went on doing so."""
    with own_server() as server:
        connection = redis.Redis.from_url(server.url)
        connection.config_set("proto-max-bulk-len", 2**20)
        queue = Queue("default", connection=connection)
        worker = start_worker(url=server.url, **wish)
        job = queue.enqueue(hostile.answer_bytes, 2 * 2**20)
        wait_until(lambda: job.is_failed)
        assert "could not be stored" in cause(job)
        consumes(queue)
        worker.signal(signal.SIGTERM)
        assert worker.exits() == 0
        connection.close()


@pytest.mark.parametrize("executor", ["process", "async", "inline", "RQ's loop"])
def test_a_registry_that_is_somebody_elses(queue: Queue, executor: str) -> None:
    """The server can't take the outcomes as they are: no job is lost, run twice or left started, and the worker goes
    on."""
    key = queue.finished_job_registry.key
    jobs = [queue.enqueue(hostile.take_a_key, key), queue.enqueue(tasks.boom), queue.enqueue(tasks.add, 1)]
    kind = override_jobs.Simple if executor == "RQ's loop" else Worker
    kind([queue], executor=None if executor == "RQ's loop" else executor).work(burst=True)
    assert all(job.get_status() in ("finished", "failed") for job in jobs)
    assert jobs[1].is_failed
    assert [queue.connection.hget(job.key, "attempts") for job in jobs] == [b"1"] * 3
    assert (queue.job_ids, queue.connection.zcard(queue.started_job_registry.key)) == ([], 0)


@pytest.mark.parametrize("field", ["result_ttl", "failure_ttl", "timeout", "stopped_callback_timeout"])
def test_numbers_that_no_clock_can_count(queue: Queue, start_worker: StartWorker, field: str) -> None:
    """A ttl of 10**18 seconds broke the script that settles off half way: the job was finished, or still started, and
    in no registry. A timeout of 400 digits is no float."""
    job = queue.enqueue(tasks.boom if field == "failure_ttl" else tasks.add, 1)
    queue.connection.hset(job.key, mapping={field: "9" * (30 if field.endswith("ttl") else 400)})
    queue.connection.hset(job.key, "stopped_callback_name", "tests.tasks.on_stopped")
    start_worker()
    wait_until(lambda: queue.connection.hget(job.key, "status") in (b"finished", b"failed"))
    assert check_invariants(queue.connection) == []
    consumes(queue)


@pytest.mark.parametrize("executor", ["process", "thread", "async", "process,thread"])
def test_a_name_that_is_too_long_to_be_noted(queue: Queue, start_worker: StartWorker, executor: str) -> None:
    """An id of 4,000 letters ended each child that claimed its job, and so the worker, and the next worker."""
    named = {"executor": executor.rpartition(",")[2]}
    long = queue.enqueue_job(queue.create_job(tasks.add, args=(1,), job_id="x" * 4000, **named))
    behind = [queue.enqueue(tasks.add, 1) for _ in range(5)]
    worker = start_worker(executor=executor)
    wait_until(lambda: all(job.is_finished for job in behind))
    wait_until(lambda: long.is_failed)
    assert "(4000 characters) and its queue" in cause(long)
    consumes(queue)
    assert worker.process.poll() is None
    assert "child failed" not in worker.log
    assert check_invariants(queue.connection) == []


@pytest.mark.parametrize("kind", [SimpleWorker, override_jobs.Simple])
def test_a_name_that_is_too_long_for_the_keeper(queue: Queue, kind: Any) -> None:
    """An id of 70,000 letters ended every worker that ran jobs in its own process, one after the other."""
    long, behind = queue.enqueue(tasks.add, 1, job_id="x" * 70_000), queue.enqueue(tasks.add, 1)
    kind([queue]).work(burst=True)
    assert "too long" in cause(long)
    assert behind.is_finished
    assert check_invariants(queue.connection) == []


@pytest.mark.parametrize("executor", ["fork", "inline"])
def test_an_executor_that_is_no_text(queue: Queue, start_worker: StartWorker, executor: str) -> None:
    """The supervisor ended with a UnicodeDecodeError at such a hash, and so did whoever got the job next."""
    job = queue.enqueue(tasks.add, 1)
    queue.connection.hset(job.key, mapping={"executor": b"\xff", "on_abandoned": b"\xff"})
    worker = start_worker(executor=executor)
    wait_until(lambda: job.is_finished)
    assert worker.process.poll() is None


@pytest.mark.parametrize("executor", ["fork", "inline", "process", "thread"])
def test_an_id_that_is_no_text(queue: Queue, start_worker: StartWorker, executor: str) -> None:
    """It had a whole hash, so it was claimed; then every worker, one after the other, ended with a UnicodeDecodeError,
    and another one in its farewell. Now it fails, as any job whose id is none, and the next one is done."""
    jobs = queue.connection
    jobs.hset(b"rq:job:\xffbad", mapping={**jobs.hgetall(queue.enqueue(tasks.add, 1, job_id="good").key)})
    jobs.lpush(queue.key, b"\xffbad")
    worker = start_worker(executor=executor)
    consumes(queue)
    wait_until(lambda: jobs.hget(b"rq:job:\xffbad", "status") == b"failed")
    assert queue.failed_job_registry.get_job_ids() == ["\udcffbad"]
    assert queue.get_job_ids() == []
    assert worker.process.poll() is None
    jobs.delete(*jobs.keys(b"*\xffbad"))
    jobs.zrem(queue.failed_job_registry.key, b"\xffbad")
    assert check_invariants(jobs) == []


def test_a_policy_that_is_no_text(queue: Queue, start_worker: StartWorker) -> None:
    """The same when the child of such a job was killed."""
    job = queue.enqueue(tasks.kill_self)
    queue.connection.hset(job.key, "on_abandoned", b"\xff")
    worker = start_worker()
    wait_until(lambda: job.is_failed)
    consumes(queue)
    assert worker.process.poll() is None


def test_patience_has_an_end_however_long_the_lease(redis_connection: Any) -> None:
    """With a lease of an hour the loop would have waited twenty minutes for a server that says nothing, deaf to signals
    meanwhile."""
    store = own_store(redis_connection, "w", lease=3600)
    options = store.connection.connection_pool.connection_kwargs
    assert options["socket_timeout"] == options["socket_connect_timeout"] == LONGEST_PATIENCE


def test_a_machine_without_room_for_a_process(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """fork said EAGAIN: the worker ended with a traceback, and so did those that were started in its place. Now the job
    is given back, its attempt not counted, and the worker tries again after a moment."""
    start, refusals = ForkExecutor.start, iter([BlockingIOError(11, "Resource temporarily unavailable")])

    def refuse(executor: ForkExecutor, call: Call) -> Child:
        for refusal in refusals:
            raise refusal
        return start(executor, call)

    monkeypatch.setattr(ForkExecutor, "start", refuse)
    job = queue.enqueue(tasks.add, 1)
    Worker([queue], connection=queue.connection).work(max_jobs=1)
    assert job.is_finished
    assert queue.connection.hget(job.key, "attempts") == b"1"
    assert "no process can be started" in caplog.text
    assert check_invariants(queue.connection) == []


def test_files_that_an_upgrade_has_removed(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scripts were read when they were first used. After an upgrade under a running worker that was another version's
    script, or no file at all: the worker died at its first reap, or could not take leave."""

    class Moved(SimpleWorker):
        def register_birth(self) -> None:
            super().register_birth()
            monkeypatch.setattr(compose, "_read", Path("/removed").joinpath)

    compose.script.cache_clear()
    job = queue.enqueue(tasks.add, 1)
    compose.script.cache_clear()
    Moved([queue], connection=queue.connection).work(burst=True)
    assert job.is_finished
    assert compose.script.cache_info().currsize == len(compose.script_names())


def test_whoever_started_us_ignores_the_death_of_children(queue: Queue) -> None:
    """SIGCHLD was inherited as ignored. The kernel then reaps children by itself and nobody learns how they died: a job
    whose child was killed counted as failed by its own fault and was not run again."""
    job = queue.enqueue(tasks.kill_self)
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        Worker([queue], connection=queue.connection, max_abandoned=1).work(burst=True)
        assert signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert "PoisonJobError" in cause(job)
    assert queue.connection.hget(job.key, "attempts") == b"2"


def test_a_channel_whose_connection_was_forgotten(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A firewall forgot the idle connection of the command channel. Nobody sends on it, so nobody noticed, and commands
    to this worker went nowhere for the rest of its life."""
    channel = CommandChannel(store, store.keys.pubsub("w"))
    for _ in range(2):
        channel.check()
        wait_until(lambda: select.select([channel], [], [], 0)[0])
        assert channel.read() == []
    monkeypatch.setattr(channel._connection, "send_command", lambda *_words: None)
    channel.check()
    channel.check()
    monkeypatch.setattr(wait, "ANSWER_MARGIN", 0.0)
    with pytest.raises(ServerUnavailable, match="dead"):
        channel.check()


FORKS = [
    (hostile.fork_that_exits, 3),
    (hostile.fork_that_comes_back, 0),
    (hostile.fork_that_raises, 1),
    (hostile.coroutine_that_forks, 3),
]


@pytest.mark.parametrize("executor", ["process", "fork", "thread", "async", "inline"])
def test_a_fork_of_a_job_ends_with_the_call(queue: Queue, start_worker: StartWorker, executor: str) -> None:
    """A job forked, as RQ's users do who want something apart, and its fork called sys.exit. It had the callbacks of
    the job called a second time (with a failure), told the supervisor of a callback's time limit, so that the job that
    had forked was killed two minutes later, and whoever waited for the fork was told 0."""
    worker = start_worker(executor=executor)
    for function, code in FORKS:
        job = queue.enqueue(function, on_success=Callback(tasks.on_success), on_failure=Callback(tasks.on_failure))
        wait_until(job.latest_result)
        consumes(queue)
        assert job.return_value() == code
        assert queue.connection.lrange(f"calls:{job.id}", 0, -1) == [f"success {code} finished".encode()]
    assert worker.process.poll() is None


@pytest.mark.parametrize("executor", ["process", "spawn", "fork", "thread", "async", "inline"])
def test_what_a_job_has_forked_can_be_terminated(queue: Queue, start_worker: StartWorker, executor: str) -> None:
    """A warm child is deaf to SIGTERM, and what its jobs forked was deaf as well: `Process.terminate` of
    multiprocessing did nothing, and leaving a Pool that was still busy waited for ever. With a fork for
    each job, a SIGTERM was lost that came as soon as the process had been started. What a job of a SimpleWorker forked
    took it for the worker's own wish to shut down: it said so in the log, and went on."""
    start_worker(executor=executor)
    job = queue.enqueue(hostile.end_a_child)
    wait_until(lambda: job.is_finished or job.is_failed)
    assert job.return_value() == -signal.SIGTERM
    consumes(queue)


@pytest.mark.parametrize("executor", ["process", "spawn", "fork", "thread", "async", "inline"])
def test_what_multiprocessing_leaves_is_tidied_up(
    queue: Queue, start_worker: StartWorker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, executor: str
) -> None:
    """Since Python 3.14 a process that uses multiprocessing makes a folder in /tmp for its fork server, and removes it
    when it ends in an orderly way. Our children end by `os._exit`: a worker that forks left one for each such job."""
    folder = tmp_path / "t"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    worker = start_worker(executor=executor)
    exits, pool = queue.enqueue(hostile.use_a_fork_server), queue.enqueue(hostile.leave_a_pool_open)
    wait_until(lambda: exits.is_finished and pool.is_finished)
    assert exits.return_value() == 3
    consumes(queue)
    worker.signal(signal.SIGTERM)
    assert worker.exits() == 0
    assert list(folder.glob("pymp-*")) == []
    wait_until(lambda: not psutil.pid_exists(pool.return_value()))
