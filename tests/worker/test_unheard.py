"""What a station had ended when it was killed, without the server's having heard of it."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest
from tests import tasks
from tests.contract.driving import WORKER

from atomiq import Queue
from atomiq._commands.claim import Claimed, claim
from atomiq._wire.sync import Store
from atomiq.job import JobStatus
from atomiq.stations.ledger import execution_id
from atomiq.worker import events as e
from atomiq.worker.unheard import PAUSE, Unheard
from atomiq.worker.upkeep import Upkeep

TOKEN = "0" * 16
LOG = logging.getLogger("atomiq.worker")


class Scene:
    """A worker's supervisor whose station was killed as it had started one job and claimed another."""

    def __init__(self, store: Store, queue: Queue, **policy: Any) -> None:
        self.told: list[e.Event] = []
        self.started, self.other = (queue.enqueue(tasks.nothing, job_id=name) for name in ("started", "other"))
        executions = [execution_id(TOKEN, number) for number in (1, 2)]
        command = claim(store.keys, queues=["default"], worker=WORKER, executions=executions, lease_ms=60_000)
        self.claimed: list[Claimed] = store.run(command).jobs
        self.ours: set[str] = set()
        upkeep = Upkeep(store, WORKER, ["default"], LOG, 1, policy.get("policy", "retry"), lambda: None)
        self.unheard = Unheard(store, WORKER, LOG, self.ours, upkeep.reap_first, self.told.append)
        member: Any = SimpleNamespace(token=TOKEN, ledger=SimpleNamespace(started=1))
        self.unheard.bury(member, 0.0)

    def look(self) -> tuple[JobStatus, JobStatus]:
        """How the job that had been started is then, and the other one."""
        self.unheard.go_on(PAUSE)
        assert self.unheard.due_at() is None
        return self.started.get_status(), self.other.get_status()


@pytest.fixture
def scene(store: Store, queue: Queue) -> Scene:
    return Scene(store, queue)


def test_it_is_run_again(scene: Scene) -> None:
    """And nothing is done about the number that the station has not started: that is the giving back's."""
    assert scene.look() == (JobStatus.QUEUED, JobStatus.STARTED)
    assert scene.told == []


def test_it_is_looked_at_when_the_server_has_read_what_it_will_read(scene: Scene) -> None:
    scene.unheard.go_on(PAUSE / 2)
    assert scene.unheard.due_at() == PAUSE
    assert scene.started.get_status() is JobStatus.STARTED


def test_who_has_an_end_here_is_left_alone(scene: Scene) -> None:
    """The supervisor knows how it died, and settles it."""
    scene.ours.add(execution_id(TOKEN, 1))
    assert scene.look() == (JobStatus.STARTED, JobStatus.STARTED)


def test_one_that_fails_of_it_is_owed_its_callback(store: Store, queue: Queue) -> None:
    """The worker has to be told: it makes the call that the station can't make any more."""
    scene = Scene(store, queue, policy="fail")
    assert scene.look() == (JobStatus.FAILED, JobStatus.STARTED)
    assert scene.told == [e.Failed(("started",))]


def test_one_that_was_deleted_meanwhile(scene: Scene) -> None:
    """The others of the dead station are looked after all the same."""
    scene.started.connection.delete(scene.started.key)
    scene.unheard.go_on(PAUSE)
    assert scene.unheard.due_at() is None
    assert scene.told == []
