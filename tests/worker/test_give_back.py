"""Jobs that a station asked for and won't start: nobody forgets that they are in their queue again."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from selectors import DefaultSelector
from types import SimpleNamespace
from typing import Any

import pytest
from tests import tasks
from tests.executors.working import drive, make
from tests.helpers import wait_until

from atomiq import Queue
from atomiq._commands.claim import claim
from atomiq._wire.sync import Store
from atomiq.stations.ledger import IDLE, Ledger, Running, execution_id
from atomiq.stations.mail import mailboxes
from atomiq.stations.rules import Rules
from atomiq.worker import events as e
from atomiq.worker.crew import Crew
from atomiq.worker.give_back import GiveBack
from atomiq.worker.posts import Post
from atomiq.worker.starved import cpu_time
from atomiq.worker.tallies import Tallies

TOKEN = "0" * 16
LOG = logging.getLogger("atomiq.worker")


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    ledger = Ledger(1)
    yield ledger
    ledger.close()


def test_a_burst_worker_does_not_end_before_what_it_gave_back_is_done(
    queue: Queue, store: Store, ledger: Ledger
) -> None:
    """A job ran for more than 10 ms, so that the one behind it was given back: after the first had ended and its
    station had found nothing more. The bell rang, but the supervisor read the ledger before the station heard it:
    idle, nothing under way. The worker went home and left the job in its queue."""
    queue.enqueue(tasks.nothing)
    name = execution_id(TOKEN, next(iter(ledger.ask(1))))
    store.run(claim(store.keys, queues=["default"], worker="w", executions=[name], lease_ms=60_000))
    told: list[e.Event] = []
    ours, theirs = mailboxes()
    member: Any = SimpleNamespace(kind="process", ledger=ledger, mailbox=ours, guests=set(), token=TOKEN)
    rules = replace(Rules(("default",)), burst=True)
    give_back = GiveBack(store, "w", LOG, rules, {}, lambda _queue, _count: [], told.append)
    with DefaultSelector() as selector:
        crew = Crew(selector, [], give_back, Tallies(store, "w", LOG), {}, told.append, lambda: iter(()), "w", LOG)
        crew._adopted.append(Post(None, member))
        give_back.take_back(member)
        ledger.heard(ledger.asked)
        ledger.skip(ledger.asked)
        ledger.be(IDLE, 7.0)
        give_back.go_on(time.monotonic())
        assert not give_back.busy
        assert len(queue) == 1
        crew._tell_state()
        assert told[-1].idle_since is None
        queue.empty()
        crew._tell_state()
        assert told[-1].idle_since == 7.0
    ours.close()
    theirs.close()


def test_a_burst_worker_ends_although_jobs_wait_in_a_paused_queue(queue: Queue) -> None:
    """One whose children had settled something for another executor looked whether anything had come to its queues
    meanwhile. What waits in a paused queue is nothing for it; the worker never ended."""
    paused = Queue("paused", connection=queue.connection)
    left = paused.enqueue(tasks.nothing)
    paused.pause()
    done = queue.enqueue(tasks.nothing)
    queue.connection.hset(done.key, "executor", "fork")
    worker = make(queue, {"process": 1, "fork": 1})
    worker.queues.append(paused)
    drive(worker, burst=True)
    assert done.is_finished
    assert left.is_queued


@pytest.fixture
def behind(store: Store, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A station whose job runs since 5.0, with another one behind it. `used`: the CPU time that its process has had,
    None if it wants none; `look(now)` says whether the job behind is given back."""
    scene = SimpleNamespace(used=None)
    monkeypatch.setattr("atomiq.worker.give_back.cpu_time", lambda pid: scene.used if pid == 7 else None)
    entry = Running(1, 5.0, "default", "id", execution_id(TOKEN, 1), None, None, 0, 5.0)
    ledger.ask(4)
    assert ledger.start(0, entry)
    child = SimpleNamespace(pid=7)
    member: Any = SimpleNamespace(ledger=ledger, token=TOKEN, child=child, quiet_since=0.0, suspect=(0.0, 0.0))
    member.waiting = (0, 0.0)
    give_back = GiveBack(store, "w", LOG, Rules(("default",)), {}, lambda _queue, _count: [], lambda _event: None)

    def look(now: float) -> bool:
        assert 0 < give_back.watch(member, now) <= 0.01
        return ledger.cut == 4

    def begin(number: int, since: float) -> None:
        ledger.end(0)
        assert ledger.start(0, entry._replace(number=number, since=since))

    scene.look, scene.begin = look, begin
    return scene


def test_a_job_that_waits_for_something_is_stuck(behind: SimpleNamespace) -> None:
    assert not behind.look(5.005)
    assert behind.look(5.011)


def test_a_job_that_keeps_a_cpu_busy_is_stuck(behind: SimpleNamespace) -> None:
    behind.used = 1.0
    assert not behind.look(5.011)
    behind.used = 1.004
    assert behind.look(5.016)


def test_a_job_that_waits_for_a_cpu_is_not_stuck(behind: SimpleNamespace) -> None:
    """With more children than CPUs each job that had to wait its turn looked stuck after 10 ms: of 8,000 jobs of half a
    millisecond for eight workers on two CPUs, 700 were given back and claimed again, 18 now. And one child, beside
    others' work, took jobs out of their order: it was held up between asking for jobs and sending that, and its claim
    came behind the return of what it held."""
    behind.used = 1.0
    for now in (5.002, 5.011, 5.016, 5.03, 5.051):
        assert not behind.look(now)
        behind.used += 0.0005
    assert behind.look(5.053), "it is given back after 50 ms, whatever holds the job up"


def test_jobs_do_not_wait_behind_many_that_wait_for_a_cpu(behind: SimpleNamespace) -> None:
    """Each of them had 100 ms: a job waited 0.4 s behind a handful, while another child was idle."""
    behind.used = 1.0
    assert not behind.look(5.011)
    behind.begin(2, 5.04)
    assert not behind.look(5.051)
    behind.begin(3, 5.055)
    assert not behind.look(5.06)
    assert behind.look(5.066)


def test_the_cpu_time_of_a_process() -> None:
    if sys.platform != "linux":
        assert cpu_time(os.getpid()) is None
        return
    code = "import sys\nsys.stdin.read(1)\nprint(flush=True)\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            wait_until(lambda: cpu_time(process.pid) is None, what="it waits for a letter")
            process.stdin.write(b"a")
            process.stdin.flush()
            process.stdout.read(1)
            wait_until(lambda: (cpu_time(process.pid) or 0) > 0)
            before = cpu_time(process.pid) or 0
            wait_until(lambda: (cpu_time(process.pid) or 0) > before + 0.01)
        finally:
            process.kill()
    assert cpu_time(process.pid) is None
