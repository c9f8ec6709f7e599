"""Hooks are called in order, see the job, and fail as documented: from plain code and on a running loop alike."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import random
import sys
import timeit
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from atomiq import get_current_job, hooks
from atomiq.executors import hooks as running
from atomiq.job import Job

TABLES: tuple[list[Any], ...] = (hooks.CHILD_START, hooks.CHILD_STOP, hooks.JOB_START, hooks.JOB_END)
Doing = Callable[..., None]


@pytest.fixture(autouse=True)
def nobody_elses() -> Iterator[None]:
    before = [list(table) for table in TABLES]
    for table in TABLES:
        table.clear()
    yield
    for table, content in zip(TABLES, before, strict=True):
        table[:] = content


@pytest.fixture
def job(redis_connection: Any) -> Job:
    return Job("j1", connection=redis_connection)


def in_a_loop(name: str) -> Doing:
    def do(*arguments: Any) -> None:
        asyncio.run(getattr(running, f"a{name}")(*arguments))

    return do


class Actions:
    """`start_child` and the others, called from plain code or on a running loop."""

    def __init__(self, make: Callable[[str], Doing]) -> None:
        self.start_child, self.stop_child = make("start_child"), make("stop_child")
        self.start_job, self.end_job = make("start_job"), make("end_job")


@pytest.fixture(params=["plain", "on a loop"])
def act(request: pytest.FixtureRequest) -> Actions:
    return Actions((lambda name: getattr(running, name)) if request.param == "plain" else in_a_loop)


class Notes(list[Any]):
    """Makes hooks that note their name and arguments here."""

    def hook(self, name: str, later: bool = False) -> Callable[..., Any]:
        def note(*arguments: Any) -> None:
            self.append((name, *arguments))

        async def note_later(*arguments: Any) -> None:
            await asyncio.sleep(0)
            note(*arguments)

        return note_later if later else note


def test_starts_in_order_and_ends_in_the_opposite_one(act: Actions, job: Job) -> None:
    notes, error = Notes(), ValueError("boom")
    for name, later in (("first", False), ("second", True)):
        for register in (hooks.on_child_start, hooks.on_child_stop, hooks.on_job_start, hooks.on_job_end):
            register(notes.hook(f"{register.__name__} {name}", later))
    act.start_child()
    act.start_job(job)
    act.end_job(job, error)
    act.stop_child()
    assert notes == [
        ("on_child_start first",),
        ("on_child_start second",),
        ("on_job_start first", job),
        ("on_job_start second", job),
        ("on_job_end second", job, error),
        ("on_job_end first", job, error),
        ("on_child_stop second",),
        ("on_child_stop first",),
    ]


def test_the_job_is_the_current_one(act: Actions, job: Job) -> None:
    seen = []

    @hooks.on_job_start
    def before(_job: Job) -> None:
        seen.append(get_current_job())

    @hooks.on_job_end
    async def after(_job: Job, _error: BaseException | None) -> None:
        seen.append(get_current_job())

    act.start_job(job)
    act.end_job(job, None)
    assert seen == [job, job]
    assert get_current_job() is None


def boom(*_arguments: Any) -> None:
    raise ValueError("from the hook")


async def boom_later(*_arguments: Any) -> None:
    raise ValueError("from the hook")


def leave(*_arguments: Any) -> None:
    sys.exit(3)


class WorkersOwn(SystemExit):
    """As the worker's own wish to stop, which is a SystemExit too."""


def workers_own(*_arguments: Any) -> None:
    raise WorkersOwn


FAILING = pytest.mark.parametrize("failing", [boom, boom_later, leave])


@FAILING
def test_a_failing_start_of_a_child_is_raised_and_named(
    act: Actions, failing: Any, caplog: pytest.LogCaptureFixture
) -> None:
    notes = Notes()
    hooks.on_child_start(failing)
    hooks.on_child_start(notes.hook("never"))
    with pytest.raises((ValueError, SystemExit)):
        act.start_child()
    assert notes == []
    assert f"on_child_start hook {__name__}.{failing.__name__} failed: this child can't run jobs" in caplog.text
    assert "Traceback" in caplog.text


@FAILING
def test_a_failing_start_of_a_job_is_the_jobs_failure(act: Actions, job: Job, failing: Any) -> None:
    notes = Notes()
    hooks.on_job_start(failing)
    hooks.on_job_start(notes.hook("never"))
    with pytest.raises((ValueError, SystemExit)) as raised:
        act.start_job(job)
    assert notes == []
    assert raised.value.args in (("from the hook",), (3,))
    assert get_current_job() is None


@FAILING
def test_a_failing_end_is_logged_and_the_others_are_called(
    act: Actions, job: Job, failing: Any, caplog: pytest.LogCaptureFixture
) -> None:
    notes = Notes()
    for register in (hooks.on_job_end, hooks.on_child_stop):
        register(notes.hook("after"))  # type: ignore[operator]
        register(failing)  # type: ignore[operator]
    act.end_job(job, None)
    act.stop_child()
    assert notes == [("after", job, None), ("after",)]
    assert [record.getMessage() for record in caplog.records] == [
        f"Job j1: on_job_end hook {__name__}.{failing.__name__} failed",
        f"on_child_stop hook {__name__}.{failing.__name__} failed",
    ]
    assert all(record.exc_info and record.levelno == logging.ERROR for record in caplog.records)


def test_the_workers_own_stop_gets_through(act: Actions, job: Job) -> None:
    hooks.on_job_end(workers_own)
    with pytest.raises(WorkersOwn):
        act.end_job(job, None)


def test_context_variables_that_a_hook_sets_are_there_for_the_job(job: Job) -> None:
    request: contextvars.ContextVar[str] = contextvars.ContextVar("request", default="none")

    @hooks.on_job_start
    async def bind(job: Job) -> None:
        request.set(job.id)

    async def as_the_executor_does() -> str:
        await running.astart_job(job)
        return request.get()

    assert asyncio.run(as_the_executor_does()) == "j1"


def test_a_hook_that_registers_another_disturbs_nobody(act: Actions, job: Job) -> None:
    notes = Notes()

    @hooks.on_job_start
    def grow(_job: Job) -> None:
        hooks.on_job_start(notes.hook(f"hook {len(hooks.JOB_START)}"))

    act.start_job(job)
    assert notes == []
    act.start_job(job)
    assert notes == [("hook 1", job)]


def test_whether_anything_is_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "django.db", raising=False)
    assert not running.job_hooks_wanted()
    for register in (hooks.on_job_start, hooks.on_job_end):
        register(boom)  # type: ignore[operator]
        assert running.job_hooks_wanted()
        hooks.remove(boom)
    hooks.on_child_start(boom)
    assert not running.job_hooks_wanted()
    monkeypatch.setitem(sys.modules, "django.db", ModuleType("django.db"))
    assert running.job_hooks_wanted()


def test_without_hooks_nothing_is_asked_of_a_job(act: Actions) -> None:
    act.start_job(None)
    act.end_job(None, ValueError())


def test_without_hooks_the_question_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """0.1 us is the aim; ten times that is left for a busy machine."""
    monkeypatch.delitem(sys.modules, "django.db", raising=False)
    best = min(timeit.repeat(running.job_hooks_wanted, number=10_000, repeat=5)) / 10_000
    assert best < 1e-6


# --- after a fork


def first_numbers_of_two_forks(draw: Callable[[], Any]) -> list[bytes]:
    found = []
    for _ in range(2):
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            running.after_fork_in_child()
            os.write(writer, repr(draw()).encode())
            os._exit(0)
        os.close(writer)
        found.append(os.read(reader, 1000))
        os.close(reader)
        os.waitpid(pid, 0)
    return found


def test_forks_draw_different_numbers() -> None:
    random.seed(1)
    one, two = first_numbers_of_two_forks(random.random)
    assert one
    assert one != two


def test_generators_of_the_application_are_left_alone() -> None:
    one, two = first_numbers_of_two_forks(random.Random(7).random)
    assert one == two


def test_numpys_global_generator_is_seeded_where_it_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    seeded: list[str] = []
    monkeypatch.setitem(sys.modules, "numpy.random", SimpleNamespace(seed=lambda: seeded.append("anew")))  # type: ignore[arg-type]
    state = random.getstate()
    running.after_fork_in_child()
    assert seeded == ["anew"]
    assert random.getstate() != state


def test_real_numpy_draws_different_numbers() -> None:
    numpy = pytest.importorskip("numpy", reason="numpy isn't installed; the test above has a stand-in")
    numpy.random.seed(1)
    one, two = first_numbers_of_two_forks(lambda: float(numpy.random.random()))
    assert one != two
