"""Jobs that a station asked for and won't start: nobody forgets that they are in their queue again."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from selectors import DefaultSelector
from types import SimpleNamespace
from typing import Any

import pytest
from tests import tasks
from tests.executors.working import drive, make

from atomiq import Queue
from atomiq._commands.claim import claim
from atomiq._wire.sync import Store
from atomiq.stations.ledger import IDLE, Ledger, execution_id
from atomiq.stations.mail import mailboxes
from atomiq.stations.rules import Rules
from atomiq.worker import events as e
from atomiq.worker.crew import Crew
from atomiq.worker.give_back import GiveBack
from atomiq.worker.posts import Post
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
