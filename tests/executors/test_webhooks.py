"""Webhooks are sent once a job's end is stored, by whoever settles it, and are in nobody's way."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from tests import tasks
from tests.contract.driving import claimed
from tests.contract.jobs import fail
from tests.executors import contract_jobs as jobs
from tests.executors.receiver import Receiver, receiver
from tests.executors.working import CHILDREN, KINDS, on, run
from tests.helpers import wait_until

from atomiq import Callback, Job, Queue, Repeat, Retry, SimpleWorker, Webhook
from atomiq._commands.claim import Claimed
from atomiq._commands.settle import Settled, Settlement
from atomiq._wire.sync import Store
from atomiq.executors.webhooks import MOST_THREADS, MOST_WAITING, ThreadSender
from atomiq.worker.fork_sender import MOST_EACH, ForkSender

LOG = logging.getLogger("atomiq.worker")


@pytest.fixture
def queue(redis_connection: redis.Redis) -> Queue:
    return Queue(connection=redis_connection)


@pytest.fixture
def there() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


@pytest.fixture
def said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """What atomiq has logged by now, in whichever process."""
    file = tmp_path / "log"
    handler = logging.FileHandler(file)
    logger = logging.getLogger("atomiq")
    logger.addHandler(handler)
    yield lambda: file.read_text() + capfd.readouterr().err
    logger.removeHandler(handler)
    handler.close()


def hooks(there: Receiver, name: str) -> list[Webhook]:
    """One for each end; both say what they are of."""
    return [
        Webhook(f"{there.url}/{name}/finished", "finished", method="POST"),
        Webhook(f"{there.url}/{name}/failed", "failed", method="POST"),
    ]


@on(*KINDS)
def test_each_final_end_is_told_once(executor: str, queue: Queue, there: Receiver, tmp_path: Path) -> None:
    good = queue.enqueue(tasks.add, 1, 2, webhooks=hooks(there, "good"))
    bad = queue.enqueue(fail, "why", webhooks=hooks(there, "bad"))
    queue.enqueue(fail, webhooks=hooks(there, "retried"), retry=Retry(2))
    queue.enqueue(tasks.fail_until, str(tmp_path / "n"), 2, webhooks=hooks(there, "saved"), retry=Retry(2))
    queue.enqueue(tasks.add, 1, webhooks=hooks(there, "repeated"), repeat=Repeat(1))
    queue.enqueue(tasks.add, 1, webhooks=hooks(there, "dropped"), result_ttl=0)
    queue.enqueue(fail, webhooks=hooks(there, "forgotten"), failure_ttl=0)
    queue.enqueue(tasks.ask_again, 1, webhooks=hooks(there, "asked"))
    queue.enqueue("no_such_module.f", webhooks=hooks(there, "missing"))
    get = Webhook(f"{there.url}/get", "finished", headers={"X-Mine": "yes"})
    queue.enqueue(tasks.add, 1, webhooks=[get])
    while len(queue):
        run(queue, executor)
    assert there.paths() == sorted(
        [
            "/good/finished", "/bad/failed", "/retried/failed", "/saved/finished", "/repeated/finished",
            "/repeated/finished", "/dropped/finished", "/forgotten/failed", "/asked/failed", "/missing/failed", "/get",
        ]
    )  # fmt: skip
    (told,) = there.of("/good/finished")
    stored = Job.fetch(good.id, queue.connection)
    assert stored.enqueued_at is not None
    assert stored.ended_at is not None
    assert told.said == {
        "job_id": good.id,
        "func_name": "tests.tasks.add",
        "status": "finished",
        "enqueued_at": stored.enqueued_at.isoformat(),
        "ended_at": stored.ended_at.isoformat(),
    }
    assert (told.method, told.headers["Content-Type"]) == ("POST", "application/json")
    (told,) = there.of("/bad/failed")
    result = bad.latest_result()
    assert result is not None
    assert told.said["status"] == "failed"
    assert told.said["exc_info"] == result.exc_string
    (told,) = there.of("/missing/failed")
    assert told.said["func_name"] == "no_such_module.f"
    (told,) = there.of("/get")
    assert (told.method, told.said, told.headers["X-Mine"]) == ("GET", None, "yes")


@on(*KINDS)
def test_what_goes_wrong_changes_nothing(executor: str, queue: Queue, there: Receiver, said: Callable[[], str]) -> None:
    """Nobody listens, the receiver has an error, the webhooks are no webhooks."""
    refused = queue.enqueue(tasks.add, 1, webhooks=[Webhook("http://127.0.0.1:9/", "finished")])
    error = queue.enqueue(tasks.add, 1, webhooks=[Webhook(f"{there.url}/error", "finished")])
    rubbish = queue.enqueue(tasks.add, 1, webhooks=[Webhook(f"{there.url}/x", "finished")])
    queue.connection.hset(rubbish.key, "webhooks", '[{"url": 5}]')
    run(queue, executor)
    assert [job.is_finished for job in (refused, error, rubbish)] == [True] * 3
    assert there.paths() == ["/error"]
    log = said()
    assert f"Job {refused.id}: the webhook to http://127.0.0.1:9/ could not be sent" in log
    assert f"Job {error.id}: the webhook to {there.url}/error could not be sent: HTTPError" in log
    assert f"Job {rubbish.id}: its webhooks can't be read" in log


@on(*KINDS)
def test_a_slow_receiver_holds_up_no_job(executor: str, queue: Queue, there: Receiver) -> None:
    """The next jobs run while the first one's webhook is unanswered; the last of them has it answered."""
    slow = Webhook(f"{there.url}/hold", "finished", timeout=20)
    queue.enqueue(tasks.add, 1, webhooks=[slow])
    for _ in range(3):
        queue.enqueue(tasks.add, 1)
    last = queue.enqueue(tasks.add, 1, on_success=Callback(tasks.on_success), job_id="last")

    def all_ran() -> bool:
        return last.is_finished and there.paths() == ["/hold"]

    with released_when(all_ran, there):
        run(queue, executor)
    assert last.is_finished


class released_when:  # noqa: N801  used like a function
    """Have the receiver answer once something holds; without it the block fails."""

    def __init__(self, holds: Callable[[], bool], there: Receiver) -> None:
        self._thread = threading.Thread(target=self._watch, args=(holds, there))
        self._seen = False

    def _watch(self, holds: Callable[[], bool], there: Receiver) -> None:
        try:
            wait_until(holds, within=10, what="the jobs behind have run")
            self._seen = True
        finally:
            there.release()

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        assert self._seen


@on(*CHILDREN)
def test_a_job_that_was_killed_and_one_that_was_stopped(executor: str, queue: Queue, there: Receiver) -> None:
    """The supervisor settles a killed job: a child of its own sends the webhooks. A stopped job's are not sent (RQ)."""
    killed = queue.enqueue(tasks.kill_self, webhooks=hooks(there, "killed"))
    run(queue, executor, abandoned="fail")
    stopped = queue.enqueue(jobs.stop_me, webhooks=hooks(there, "stopped"))
    run(queue, executor)
    assert stopped.is_stopped
    assert killed.is_failed
    assert there.paths() == ["/killed/failed"]
    (told,) = there.got
    result = killed.latest_result()
    assert result is not None
    assert told.said["exc_info"] == result.exc_string
    assert told.said["func_name"] == "tests.tasks.kill_self"


class Telling(Job):
    """Sends its webhooks in its own way."""

    def send_webhooks(self, status: Any, *, exc_string: str | None = None) -> None:
        self.connection.rpush("told", f"{self.id} {status.value} {bool(exc_string)}")
        super().send_webhooks(status, exc_string=exc_string)


@on("process", "fork", "spawn", "thread", "inline")
def test_a_job_class_that_sends_in_its_own_way(executor: str, queue: Queue, there: Receiver) -> None:
    """It is asked for jobs without webhooks, too, as in RQ."""
    queue.enqueue(tasks.add, 1, job_id="plain")
    queue.enqueue(fail, job_id="bad", webhooks=hooks(there, "bad"))
    run(queue, executor, job_class="tests.executors.test_webhooks.Telling")
    assert sorted(queue.connection.lrange("told", 0, -1)) == [b"bad failed True", b"plain finished False"]
    assert there.paths() == ["/bad/failed"]


def test_an_abandoned_job(queue: Queue, there: Receiver) -> None:
    """Its worker is gone; the one that finds it tells of its failure, once. RQ tells nobody."""
    job = queue.enqueue(tasks.add, 1, webhooks=hooks(there, "lost"))
    claimed(Store.of(queue.connection), lease_ms=1)
    run(queue, "process", work={"max_idle_time": 2}, abandoned="fail", lease=0.3)
    assert job.is_failed
    assert there.paths() == ["/lost/failed"]
    assert "AbandonedJobError" in there.got[0].said["exc_info"]


def test_by_hand(queue: Queue, there: Receiver) -> None:
    """RQ's methods of a worker, called without its loop: sent before they return."""
    worker = SimpleWorker([queue], connection=queue.connection)
    good, bad = queue.enqueue(tasks.add, 1, webhooks=hooks(there, "good")), queue.enqueue(fail)
    bad.webhooks = hooks(there, "bad")
    bad.save()
    assert worker.perform_job(good, queue) is True
    assert there.paths() == ["/good/finished"]
    assert worker.perform_job(bad, queue) is False
    assert there.paths() == ["/bad/failed", "/good/finished"]
    repeated = queue.enqueue(tasks.add, 1, webhooks=hooks(there, "repeated"), repeat=Repeat(1))
    worker.perform_job(repeated, queue)
    assert there.paths()[-1] == "/repeated/finished"
    assert repeated.get_status(refresh=False) == "queued"


def test_here(redis_connection: redis.Redis, there: Receiver) -> None:
    """is_async=False: sent before enqueue returns."""
    queue = Queue(connection=redis_connection, is_async=False)
    queue.enqueue(tasks.add, 1, webhooks=hooks(there, "good"))
    assert there.paths() == ["/good/finished"]
    job = queue.enqueue(fail, webhooks=hooks(there, "bad"))
    assert job.is_failed
    assert there.paths() == ["/bad/failed", "/good/finished"]


def test_more_than_can_wait_are_left_out(queue: Queue, there: Receiver, said: Callable[[], str]) -> None:
    """A receiver that doesn't answer costs a bounded number of threads and of waiting webhooks, and no job."""
    sender = ThreadSender(lambda claimed: Job.from_hash(claimed.job_id, claimed.fields, queue.connection), Job, LOG)
    job = queue.enqueue(tasks.add, 1, webhooks=[Webhook(f"{there.url}/hold", "finished")])
    found = claimed(Store.of(queue.connection))
    end = Settlement(job.id, "default", found.execution_id, "w", "finished", started_ms=1, ended_ms=2)
    for _ in range(MOST_WAITING + MOST_THREADS + 3):
        sender.ended(found, end, Settled("ok", "finished", 0, False))
    assert len([thread for thread in threading.enumerate() if thread.name == "atomiq-webhooks"]) == MOST_THREADS
    assert said().count("are not sent") in range(3, 4 + MOST_THREADS)  # some threads may not have begun
    sender.patience = 0.01
    sender.close()
    assert "were not sent within" in said()
    there.release()


def test_a_machine_without_room_for_a_thread(
    queue: Queue, there: Receiver, said: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ended the warm child, in the middle of an answer of the server, and would have had it wait for a thread that
    was never there. The webhook goes with the next."""

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    sender = ThreadSender(lambda claimed: Job.from_hash(claimed.job_id, claimed.fields, queue.connection), Job, LOG)
    job = queue.enqueue(tasks.add, 1, webhooks=[Webhook(f"{there.url}/late", "finished")])
    found = claimed(Store.of(queue.connection))
    end = Settlement(job.id, "default", found.execution_id, "w", "finished", started_ms=1, ended_ms=2)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        sender.ended(found, end, Settled("ok", "finished", 0, False))
    assert "no thread can be started" in said()
    sender.ended(found, end, Settled("ok", "finished", 0, False))
    sender.close()
    assert there.paths() == ["/late", "/late"]


def test_a_supervisor_that_ends_waits_for_no_receiver_for_ever(
    queue: Queue, there: Receiver, said: Callable[[], str]
) -> None:
    """And says what was left out; the children that were sending are gone."""

    def restore(claimed: Claimed) -> Job:
        return Job.from_hash(claimed.job_id, claimed.fields, queue.connection)

    sender = ForkSender(restore, Job, LOG, lambda: iter(()))
    job = queue.enqueue(tasks.add, 1, webhooks=[Webhook(f"{there.url}/hold", "finished")])
    found = claimed(Store.of(queue.connection))
    end = Settlement(job.id, "default", found.execution_id, "w", "finished", started_ms=1, ended_ms=2)
    count = 2 * MOST_EACH + 1
    for _ in range(count):
        sender.ended(found, end, Settled("ok", "finished", 0, False))
    sender.check()
    assert len(sender.pids()) == 3
    wait_until(lambda: len(there.got) == 3, what="each child has sent its first")
    sender.patience = 0.05
    sender.close()
    assert f"The webhooks of {count} jobs were not sent within 0.1 s" in said()


def test_a_child_that_dies_is_no_harm(queue: Queue, there: Receiver, said: Callable[[], str]) -> None:
    """The next goes on with what waits."""

    def restore(claimed: Claimed) -> Job:
        if claimed.attempt == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return Job.from_hash(claimed.job_id, claimed.fields, queue.connection)

    sender = ForkSender(restore, Job, LOG, lambda: iter(()))
    job = queue.enqueue(tasks.add, 1, webhooks=hooks(there, "good"))
    found = claimed(Store.of(queue.connection))
    end = Settlement(job.id, "default", found.execution_id, "w", "finished", started_ms=1, ended_ms=2)
    sender.ended(found, end, Settled("ok", "finished", 0, False))
    sender.check()
    again = Claimed(found.queue, found.job_id, found.execution_id, 2, found.fields)
    sender.ended(again, end, Settled("ok", "finished", 0, False))
    sender.close()
    assert there.paths() == ["/good/finished"]
    assert f"has died; perhaps not all are sent, of jobs {job.id}" in said()
