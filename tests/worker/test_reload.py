"""SIGHUP: changed code is used from the next job on, what runs is finished by those who run it, and nothing is lost."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.helpers import wait_until
from tests.tasks import note_and_wait

from atomiq import Job, Queue
from atomiq.suspension import resume, suspend
from atomiq.worker.rehearsal import Rehearsal
from atomiq.worker.reload import VARIABLE, found

ROOT = Path(__file__).resolve().parents[2]
OLD, NEW = "def answer():\n    return 'old'\n", "def answer():\n    return 'new code'\n"

WAITS = """
import pathlib
pathlib.Path("here").touch()
pathlib.Path("gate").read_text()
"""


class CommandLine:
    """`atomiq worker` in a folder of its own, where the jobs' modules are."""

    def __init__(self, folder: Path, url: str, *options: str) -> None:
        self.folder = folder
        command = [sys.executable, "-m", "atomiq", "worker", "default", "--url", url, "--lease", "5", *options]
        environ = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "PYTHONUNBUFFERED": "1"}
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=folder, env=environ, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def says(self, text: str, times: int = 1, within: float = 40.0) -> None:
        wait_until(lambda: self.log.count(text) >= times or self.process.poll() is not None, within, text)
        assert self.log.count(text) >= times, self.log

    def children(self) -> set[int]:
        return {child.pid for child in psutil.Process(self.process.pid).children()}


@pytest.fixture
def start(tmp_path: Path, redis_url: str) -> Iterator[Callable[..., CommandLine]]:
    (tmp_path / "own_jobs.py").write_text(OLD)
    started: list[CommandLine] = []

    def begin(*options: str) -> CommandLine:
        started.append(CommandLine(tmp_path, redis_url, *options))
        started[-1].says("Listening on default")
        return started[-1]

    yield begin
    for one in started:
        one.process.kill()
        one.process.wait()
        print(one.log)


@pytest.fixture
def importing(tmp_path: Path, redis_url: str) -> Iterator[CommandLine]:
    """It is told to import a module, and that waits until somebody has written to the pipe `gate`."""
    os.mkfifo(tmp_path / "gate")
    (tmp_path / "own_jobs.py").write_text(OLD + WAITS)
    begun = CommandLine(tmp_path, redis_url, "--import", "own_jobs")
    wait_until((tmp_path / "here").exists, what="it imports")
    yield begun
    begun.process.kill()
    begun.process.wait()
    print(begun.log)


@pytest.fixture
def queue(redis_connection: Any) -> Queue:
    return Queue("default", connection=redis_connection)


def ended(job: Job) -> Any:
    wait_until(lambda: job.get_status() in ("finished", "failed"), 40, f"{job.id} has ended")
    return job.return_value()


@pytest.mark.parametrize("executor", ["process", "thread", "async", "spawn", "fork"])
def test_changed_code_is_used_and_a_running_job_is_finished(
    queue: Queue, start: Callable[..., CommandLine], tmp_path: Path, executor: str
) -> None:
    worker = start("--executor", executor, "--import", "own_jobs")
    assert ended(queue.enqueue("own_jobs.answer")) == "old"
    running = queue.enqueue(note_and_wait, str(tmp_path / "gate.in"), str(tmp_path / "gate"), "done")
    wait_until((tmp_path / "gate.in").exists, what="the job runs")
    before = worker.children()
    (tmp_path / "own_jobs.py").write_text(NEW)
    os.kill(worker.process.pid, signal.SIGHUP)
    worker.says("reload requested")
    if executor == "fork":  # its children report to the program that has started them: that one waits for them
        (tmp_path / "gate").touch()
        assert ended(running) == "done"
    worker.says("Listening on default", times=2)
    assert ended(queue.enqueue("own_jobs.answer")) == "new code"
    if executor != "fork":
        assert before & worker.children(), "the running job's child lives on"
        (tmp_path / "gate").touch()
        assert ended(running) == "done"
        wait_until(lambda: not before & worker.children(), 15, "the old children are gone")
    running.refresh()
    assert running.attempts == 1
    os.kill(worker.process.pid, signal.SIGTERM)
    assert worker.process.wait(15) == 0
    assert not any(psutil.pid_exists(pid) for pid in before)


@pytest.mark.slow
def test_imports_that_take_most_of_a_lease(queue: Queue, start: Callable[..., CommandLine], tmp_path: Path) -> None:
    """The job that ran meanwhile was taken for abandoned by its own worker: its lease was not extended right before the
    new program was executed, and there only after another third."""
    worker = start("--lease", "10", "--import", "own_jobs")
    running = queue.enqueue(note_and_wait, str(tmp_path / "gate.in"), str(tmp_path / "gate"), "done")
    wait_until((tmp_path / "gate.in").exists, what="the job runs")
    (tmp_path / "own_jobs.py").write_text(f"import time\ntime.sleep(6.5)\n{NEW}")
    os.kill(worker.process.pid, signal.SIGHUP)
    worker.says("Listening on default", times=2)
    assert ended(queue.enqueue("own_jobs.answer")) == "new code"
    begun = time.monotonic()
    wait_until(lambda: time.monotonic() > begun + 4, what="the lease would be over")
    (tmp_path / "gate").touch()
    assert ended(running) == "done"
    running.refresh()
    assert running.attempts == 1


def test_a_job_of_an_adopted_child_that_is_killed_runs_again(
    queue: Queue, start: Callable[..., CommandLine], tmp_path: Path
) -> None:
    """The new program has to know from the ledger alone what the old program's child was running."""
    worker = start()
    running = queue.enqueue(note_and_wait, str(tmp_path / "gate.in"), str(tmp_path / "gate"), "done")
    wait_until((tmp_path / "gate.in").exists, what="the job runs")
    (child,) = worker.children()
    os.kill(worker.process.pid, signal.SIGHUP)
    worker.says("Listening on default", times=2)
    (tmp_path / "gate").touch()
    os.kill(child, signal.SIGKILL)
    assert ended(running) == "done"


@pytest.mark.parametrize("executor", ["process", "thread", "fork"])
def test_max_jobs_is_of_all_programs_together(
    queue: Queue, start: Callable[..., CommandLine], tmp_path: Path, executor: str
) -> None:
    """Each reload gave the worker all of its --max-jobs anew: one that is reloaded often never ended."""
    worker = start("--executor", executor, "--import", "own_jobs", "--max-jobs", "3")
    for times in (2, 3):
        assert ended(queue.enqueue("own_jobs.answer")) == "old"
        os.kill(worker.process.pid, signal.SIGHUP)
        worker.says("Listening on default", times)
    jobs = [queue.enqueue("own_jobs.answer") for _ in range(3)]
    assert worker.process.wait(30) == 0
    assert [job.get_status() for job in jobs] == ["finished", "queued", "queued"]


def test_reloads_leave_no_descriptor_open(queue: Queue, start: Callable[..., CommandLine], tmp_path: Path) -> None:
    """Each program kept the life lines of all programs before it, so that a worker that was reloaded at each deploy, or
    with `--reload` at each save of a file, came to the limit of open files."""
    worker = start("--import", "own_jobs")
    process, opened = psutil.Process(worker.process.pid), []
    running = queue.enqueue(note_and_wait, str(tmp_path / "gate.in"), str(tmp_path / "gate"), "done")
    wait_until((tmp_path / "gate.in").exists, what="the job runs")
    (first,) = worker.children()
    for times in (2, 3):
        os.kill(process.pid, signal.SIGHUP)
        worker.says("Listening on default", times)
        assert first in worker.children(), "its life line is passed on as long as it lives"
    (tmp_path / "gate").touch()
    assert ended(running) == "done"
    for times in (4, 5):
        wait_until(lambda: len(worker.children()) == 1, 20, "what older programs left is gone")
        os.kill(process.pid, signal.SIGHUP)
        worker.says("Listening on default", times)
        wait_until(lambda: len(worker.children()) == 1, 20, "the child of this program is there alone")
        assert ended(queue.enqueue("own_jobs.answer")) == "old"
        opened.append(process.num_fds())
    assert opened[-1] <= opened[0], opened


def test_a_reload_that_is_asked_for_while_the_worker_starts(
    queue: Queue, importing: CommandLine, tmp_path: Path
) -> None:
    """It ended the worker; and as systemd takes SIGHUP for an orderly end, nobody started another."""
    os.kill(importing.process.pid, signal.SIGHUP)
    (tmp_path / "own_jobs.py").write_text(NEW)
    (tmp_path / "gate").write_text("go on")
    importing.says("reload requested")
    importing.says("Listening on default", times=2)
    assert ended(queue.enqueue("own_jobs.answer")) == "new code"


def test_a_worker_that_runs_its_jobs_itself(queue: Queue, start: Callable[..., CommandLine], tmp_path: Path) -> None:
    """The process that extends its leases saw the old program go, failed to tell anybody, with a traceback in the log,
    and stayed a zombie of the new one."""
    worker = start("--executor", "inline", "--import", "own_jobs")
    assert ended(queue.enqueue("own_jobs.answer")) == "old"
    (tmp_path / "own_jobs.py").write_text(NEW)
    os.kill(worker.process.pid, signal.SIGHUP)
    worker.says("Listening on default", times=2)
    assert ended(queue.enqueue("own_jobs.answer")) == "new code"
    assert len(worker.children()) == 1
    assert "Traceback" not in worker.log


def test_reload_on_its_own_when_a_file_changes(queue: Queue, start: Callable[..., CommandLine], tmp_path: Path) -> None:
    worker = start("--reload", "--import", "own_jobs")
    assert ended(queue.enqueue("own_jobs.answer")) == "old"
    (tmp_path / "own_jobs.py").write_text(NEW)
    worker.says("Listening on default", times=2)
    assert ended(queue.enqueue("own_jobs.answer")) == "new code"


def test_code_that_cannot_be_imported_changes_nothing(
    queue: Queue, start: Callable[..., CommandLine], tmp_path: Path
) -> None:
    """Executing it would have ended the worker, and the old children with it."""
    worker = start("--import", "own_jobs")
    wait_until(lambda: len(worker.children()) == 1, what="the child has come")
    before = worker.children()
    (tmp_path / "own_jobs.py").write_text("def answer(:\n")
    os.kill(worker.process.pid, signal.SIGHUP)
    worker.says("no reload")
    assert "SyntaxError" in worker.log
    assert worker.children() == before
    assert ended(queue.enqueue("own_jobs.answer")) == "old"
    (tmp_path / "own_jobs.py").write_text(NEW)
    os.kill(worker.process.pid, signal.SIGHUP)
    worker.says("Listening on default", times=2)
    assert ended(queue.enqueue("own_jobs.answer")) == "new code"


SLOW_TO_IMPORT = """
import os, pathlib
from tests.helpers import wait_until
if "ATOMIQ_HANDED_ON" in os.environ:
    pathlib.Path("importing").touch()
    wait_until(pathlib.Path("imported").exists)
"""


@pytest.fixture
def between(queue: Queue, start: Callable[..., CommandLine], tmp_path: Path) -> tuple[CommandLine, Job]:
    """A worker between its two programs, and the job that it runs meanwhile: until the file `imported` is there the
    new one imports."""
    (tmp_path / "own_jobs.py").write_text(SLOW_TO_IMPORT + OLD)
    worker = start("--import", "own_jobs", "--lease", "30")
    running = queue.enqueue(note_and_wait, str(tmp_path / "gate.in"), str(tmp_path / "gate"), "done")
    wait_until((tmp_path / "gate.in").exists, what="the job runs")
    os.kill(worker.process.pid, signal.SIGHUP)
    wait_until((tmp_path / "importing").exists, what="the new program starts")
    return worker, running


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
def test_a_signal_between_two_programs_is_heard_by_the_second(
    between: tuple[CommandLine, Job], tmp_path: Path, number: signal.Signals
) -> None:
    """A second SIGHUP, or a SIGTERM, that came before the new program had its handlers killed it (exit code -1, -15),
    and with it the children: what they ran began again when its lease was over. Heard later, but before it had looked
    at the children that it was left, SIGTERM had it end as if it had none."""
    worker, running = between
    os.kill(worker.process.pid, number)
    (tmp_path / "imported").touch()
    if number == signal.SIGHUP:
        worker.says("Listening on default", times=3)
    else:
        worker.says("warm shut down requested")
    (tmp_path / "gate").touch()
    assert ended(running) == "done"
    running.refresh()
    assert running.attempts == 1
    if number == signal.SIGHUP:
        os.kill(worker.process.pid, signal.SIGTERM)
    assert worker.process.wait(15) == 0


def test_a_server_that_is_away_between_two_programs_is_waited_for(
    between: tuple[CommandLine, Job], tmp_path: Path, redis_url: str
) -> None:
    """The new program ended with exit code 1, as any worker does that starts without a server, and took the jobs of the
    old children along."""
    worker, running = between
    socket = Path(redis_url.removeprefix("unix://").partition("?")[0])
    with away(socket):
        (tmp_path / "imported").touch()
        worker.says("next try in 1 s")
    worker.says("Listening on default", times=2)
    (tmp_path / "gate").touch()
    assert ended(running) == "done"
    running.refresh()
    assert running.attempts == 1


def test_a_worker_that_waits_for_a_server_between_two_programs_can_be_stopped(
    between: tuple[CommandLine, Job], tmp_path: Path, redis_url: str
) -> None:
    worker, _ = between
    with away(Path(redis_url.removeprefix("unix://").partition("?")[0])):
        (tmp_path / "imported").touch()
        worker.says("next try in 1 s")
        os.kill(worker.process.pid, signal.SIGTERM)
        assert worker.process.wait(15) == 1


@contextmanager
def away(socket: Path) -> Iterator[None]:
    """Nobody finds the server of this socket; who is connected stays so."""
    elsewhere = socket.with_name("elsewhere")
    socket.rename(elsewhere)
    yield
    elsewhere.rename(socket)


def test_a_reload_while_work_is_suspended(
    queue: Queue, start: Callable[..., CommandLine], tmp_path: Path, redis_connection: Any
) -> None:
    """A new worker is refused then, and so was the rehearsal: after `atomiq suspend`, a deploy, SIGHUP and `atomiq
    resume` the worker went on with the old code."""
    worker = start("--import", "own_jobs")
    assert ended(queue.enqueue("own_jobs.answer")) == "old"
    suspend(redis_connection)
    (tmp_path / "own_jobs.py").write_text(NEW)
    os.kill(worker.process.pid, signal.SIGHUP)
    worker.says("Listening on default", times=2)
    job = queue.enqueue("own_jobs.answer")
    resume(redis_connection)
    assert ended(job) == "new code"


def test_a_machine_without_room_to_try_the_command_ends_no_worker(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """SIGHUP ended the worker, and killed what it ran."""

    def no_room(*_args: Any, **_options: Any) -> None:
        raise BlockingIOError(11, "no room")

    passed: list[bool] = []
    rehearsal = Rehearsal("w", lambda: passed.append(True), logging.getLogger("atomiq.worker"))
    monkeypatch.setattr("subprocess.Popen", no_room)
    rehearsal.start()
    assert "no reload" in caplog.text
    rehearsal.check()
    assert (rehearsal.wake_at(), rehearsal.fds(), passed) == (None, (), [])


class TestHandedOn:
    def test_nothing_was_left(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv(VARIABLE, raising=False)
        assert found() is None

    def test_what_another_process_has_left_is_not_ours(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A job that starts a worker of its own inherits the environment, but not the children."""
        monkeypatch.setenv(VARIABLE, f"{os.getpid() + 1}:0")
        assert found() is None
        assert VARIABLE not in os.environ
