"""What a supervisor wishes of a job that shares its process is raised in that job, sooner or later, and in no other."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from tests.helpers import wait_until

from atomiq._commands.claim import Claimed
from atomiq._core.errors import JobStopped
from atomiq.executors.limits import ThreadGuard
from atomiq.executors.report import Report
from atomiq.stations.base import Recycling
from atomiq.stations.ledger import STOP, Ledger
from atomiq.stations.loop import AsyncStation
from atomiq.stations.mail import mailboxes
from atomiq.stations.task import Task
from atomiq.stations.thread import ThreadStation


class Stage:
    """A station with one slot, without a server: `jobs` is what it holds, `ended` how they ended."""

    def __init__(self, kind: type[Any]) -> None:
        self.ledger = Ledger(1)
        self.theirs, ours = mailboxes()
        self.jobs: dict[str, Callable[[], Any]] = {}
        self.ended: list[tuple[str, str]] = []
        self.pump: Any = SimpleNamespace(
            held=deque(), line=(), leaving=False, start=self._start, settle=self._settle, take=lambda _now: False
        )
        self.pump.lookout = SimpleNamespace(bell=SimpleNamespace(listening=False))
        self.pump.release_held = lambda: None
        log = logging.getLogger("atomiq.worker")
        host = SimpleNamespace(name="w", log=log, hands_over=False, perform_claimed=self._perform)
        self.station = kind(host, self.pump, self.ledger, ours, Recycling(), None, slots=1)

    def hold(self, name: str, function: Callable[[], Any]) -> int:
        self.jobs[name] = function
        (number,) = self.ledger.ask(1)
        self.pump.held.append(Task(Claimed("q", name, f"{name}-execution", 1, {}), number, 0.0, 0))
        return number

    def _start(self, slot: int, task: Task) -> bool:
        return self.ledger.start(slot, task.entry(0.0, None))

    def _settle(self, slot: int, task: Task, report: Report) -> None:
        self.ended.append((task.claimed.job_id, report.outcome))
        self.ledger.end(slot)

    def _perform(self, claimed: Claimed, _announce: object, guard: ThreadGuard) -> Report:
        guard.begin(claimed.job_id)
        try:
            guard.call(None, self.jobs[claimed.job_id])
        except JobStopped:
            return Report("stopped", 0.0, 0.0)
        finally:
            guard.end()
        return Report("finished", 0.0, 0.0)

    def close(self) -> None:
        self.theirs.close()
        self.station.mailbox.close()
        self.ledger.close()


@pytest.fixture
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    stage = Stage(request.param)
    yield stage
    stage.close()


@pytest.mark.parametrize("stage", [ThreadStation], indirect=True)
def test_a_wish_does_not_strike_the_next_job(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job ended, and its thread began with the next one, between the look at the wish and its fulfilment: a job was
    stopped that nobody wanted stopped."""
    began, may_end, next_began, over = (threading.Event() for _ in range(4))

    def first() -> None:
        began.set()
        may_end.wait(30)

    def second() -> None:
        next_began.set()
        wait_until(over.is_set)

    station, number = stage.station, stage.hold("first", first)
    stage.hold("second", second)
    found = stage.ledger.wish

    def wish(slot: int) -> int:
        wished = found(slot)
        may_end.set()
        next_began.wait(0.5)  # as far as it gets meanwhile
        return wished

    thread = threading.Thread(target=station._serve, args=(0,))
    thread.start()
    assert began.wait(30)
    stage.ledger.want(0, STOP, number)
    monkeypatch.setattr(stage.ledger, "wish", wish)
    station._see(set())
    over.set()
    wait_until(lambda: len(stage.ended) == 2)
    with station._lock:
        station._over = True
        station._lock.notify_all()
    thread.join()
    assert stage.ended == [("first", "finished"), ("second", "finished")]


@pytest.mark.parametrize("stage", [ThreadStation, AsyncStation], indirect=True)
def test_a_wish_that_comes_between_two_calls_of_a_job_is_fulfilled_later(stage: Stage) -> None:
    """It was forgotten if the job's function had not begun: the process was killed for it, with all that it ran."""
    number = stage.hold("job", lambda: None)
    assert stage.pump.start(0, stage.pump.held.popleft())
    runs = [False, False, True]
    asked: list[object] = []

    def interrupt(exception: object) -> bool:
        asked.append(exception)
        return runs.pop(0)

    guard: Any = SimpleNamespace(interrupt=interrupt)
    stage.station._guards, stage.station._running = [guard], {0: guard}
    stage.ledger.want(0, STOP, number)
    for _ in range(5):
        stage.station._obey()
    assert asked == [JobStopped] * 3
