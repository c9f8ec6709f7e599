"""A station's conversation with the server, one step at a time."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests import tasks

from atomiq import Queue, Retry
from atomiq._wire.sync import Store
from atomiq.executors.job_log import JobLog
from atomiq.executors.report import Report
from atomiq.stations.ahead import QUICK
from atomiq.stations.ledger import BUSY, Ledger
from atomiq.stations.pump import Pump
from atomiq.stations.rules import Rules
from atomiq.stations.task import Identity, Outcome
from atomiq.suspension import resume, suspend

SLOTS = 2
LOG = logging.getLogger("atomiq.worker")


@pytest.fixture
def pump(store: Store) -> Iterator[Pump]:
    identity = Identity("w", "0" * 16, 60_000, Rules(("default",)), None, LOG, JobLog(LOG, "w", False, False))
    ledger = Ledger(SLOTS)
    pump = Pump(identity, store, ledger, SLOTS)
    yield pump
    pump.lookout.bell.close()
    pump.line.close()
    ledger.close()


def go_on(pump: Pump) -> None:
    """Until something is sent, and all of it is answered."""
    while not len(pump.line):
        pump.go_on(time.monotonic())
    while len(pump.line):
        assert pump.line.wait(10)
        pump.take(time.monotonic())


def done(pump: Pump, slot: int, task: Any) -> None:
    """It took no time at all, so that others are asked for in advance."""
    task.started_at = now = time.monotonic() + 1
    pump.settle(slot, task, Report("finished", now, now))


def test_suspension_while_claims_are_under_way(pump: Pump, queue: Queue) -> None:
    """The first answer says that work is suspended. The numbers of the others were then heard of twice, and from there
    on the station seemed to have heard of claims that the server hadn't seen yet: what the supervisor gave back of
    these it asked about once, and not again."""
    queue.enqueue_many([Queue.prepare_data(tasks.nothing) for _ in range(3)])
    go_on(pump)
    running = list(pump.held)
    pump.held.clear()
    for slot, task in enumerate(running):
        assert pump.start(slot, task)
    suspend(queue.connection)
    for slot, task in enumerate(running):
        done(pump, slot, task)
    assert len(pump.line) == len(running) == SLOTS
    go_on(pump)
    ledger = pump.ledger
    assert ledger.read == ledger.started == ledger.asked > SLOTS
    resume(queue.connection)
    pump.lookout.rest_until = 0.0
    go_on(pump)
    assert ledger.read == ledger.asked
    assert len(pump.held) == 1


def test_a_station_is_not_idle_while_an_outcome_is_on_its_way(pump: Pump, queue: Queue) -> None:
    """The bell's time was over just as the last job's failure had been sent: the station waited for the next bell and
    called itself idle. A burst worker that looked at that moment went home before the job came back for its retry."""
    queue.enqueue(tasks.boom, retry=Retry(1))
    go_on(pump)
    task = pump.held.popleft()
    assert pump.start(0, task)
    while not pump.lookout.bell.listening:
        go_on(pump)
        pump.go_on(time.monotonic())
    now = time.monotonic()
    pump.settle(0, task, Report("failed", now, now, exc_string="E"))
    pump.lookout.bell.cancel()
    pump.go_on(now)
    assert pump.lookout.bell.listening
    assert pump.ledger.state == BUSY
    while pump.ledger.state == BUSY and not pump.held:
        go_on(pump)
    assert pump.held


def test_jobs_of_several_slots_make_quick_claims_though_each_is_longer(pump: Pump, queue: Queue) -> None:
    """A worker of a hundred coroutines of 20 ms made 31 commands a job, as each of its claims was a full one."""
    queue.enqueue_many([Queue.prepare_data(tasks.nothing) for _ in range(4)])
    go_on(pump)
    running = [pump.held.popleft(), pump.held.popleft()]
    for slot, task in enumerate(running):
        assert pump.start(slot, task)
    pump._ahead.full_at = float("inf")  # the last full claim is not 50 ms ago, however slow this machine is
    for slot, task in enumerate(running):
        now = time.monotonic()
        task.started_at = now - QUICK * 1.5
        pump.settle(slot, task, Report("finished", task.started_at, now))
    assert [outcome.full for outcome in pump.line.contexts() if isinstance(outcome, Outcome)] == [False, False]
    go_on(pump)


@pytest.mark.parametrize("why", ["it runs what is handed to it", "others have no room", "the worker ends"])
def test_who_asks_for_nothing_does_not_seem_to_hear_nothing(pump: Pump, why: str) -> None:
    """A child that ran only what others had claimed never hears the server. It was taken for one whose connection is
    dead: killed and replaced every 30 s, its hooks and all that it kept warm with it, and from the 23rd second on the
    worker told probes to start it anew."""
    pump._identity.claims = why != "it runs what is handed to it"
    pump.ledger.hold(why == "others have no room")
    if why == "the worker ends":
        pump.ledger.drain()
    while not pump.line.open:
        pump.go_on(time.monotonic())
    for now in (1000.0, 2000.0):
        pump.go_on(now)
        assert pump.ledger.answered == now
    assert not len(pump.line)
