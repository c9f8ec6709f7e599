"""`atomiq worker`: its options, and exit codes that tell the truth."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any, ClassVar

import pytest
import redis
from click.testing import CliRunner
from tests import tasks
from tests.cli.conftest import Atomiq, Process
from tests.helpers import throwaway_server

from atomiq import Queue
from atomiq.cli.main import main
from atomiq.suspension import suspend
from atomiq.worker import SimpleWorker, Worker


class Recorded(SimpleWorker):
    """A worker that notes how it was made, and does nothing."""

    made: ClassVar[dict[str, Any]] = {}

    def __init__(self, queues: Any, **options: Any) -> None:
        Recorded.made = {"queues": [queue.name for queue in queues], **options}
        super().__init__(queues, **options)

    def work(self, **options: Any) -> bool:  # type: ignore[override]
        Recorded.made |= options
        return False


class Broken(SimpleWorker):
    """A worker with a bug."""

    def work(self, **options: Any) -> bool:  # type: ignore[override]
        raise RuntimeError("a bug in the loop")


RECORDED = ("-w", "tests.cli.test_worker.Recorded")
EVERY_OPTION = """
    --burst --logging_level debug --log-format %(message)s --date-format D --name W --results-ttl 1 --worker-ttl 2
    --maintenance-interval 3 --job-monitoring-interval 4 --disable-job-desc-logging -d --max-jobs 5 --max-idle-time 6
    --with-scheduler -ds random --lease 7 --max-abandoned 8 --abandoned fail --grace 9 --kill-after 10
    --exception-handler tests.tasks.handler_notes --executor inline
"""


def test_a_burst(atomiq_process: Process, redis_connection: redis.Redis) -> None:
    queue = Queue(connection=redis_connection)
    job = queue.enqueue(tasks.add, 1, 2)
    bad = queue.enqueue(tasks.boom)
    done = atomiq_process("worker", "--burst", "--name", "CLIW")
    assert done.returncode == 0, done.stderr
    assert job.return_value() == 3
    assert bad.is_failed
    out = done.stdout
    assert "Worker CLIW: started with PID" in out
    assert "*** Listening on default..." in out
    assert f"Worker CLIW: default: tests.tasks.boom() ({bad.id})" in out
    assert "Worker CLIW: done, quitting" in out


@pytest.mark.parametrize("executor", ["fork", "inline"])
def test_executors(atomiq_process: Process, redis_connection: redis.Redis, executor: str, tmp_path: Path) -> None:
    job = Queue(connection=redis_connection).enqueue(tasks.pid)
    pid_file = tmp_path / "pid"
    assert atomiq_process("worker", "-b", "--executor", executor, "--pid", str(pid_file)).returncode == 0
    same = job.return_value() == int(pid_file.read_text())
    assert same is (executor == "inline")


def test_queues_come_in_order(atomiq: Atomiq) -> None:
    atomiq("worker", *RECORDED, "high", "low")
    assert Recorded.made["queues"] == ["high", "low"]
    atomiq("worker", *RECORDED)
    assert Recorded.made["queues"] == ["default"]


def test_every_option_reaches_the_worker(atomiq: Atomiq) -> None:
    done = atomiq("worker", *RECORDED, *EVERY_OPTION.split())
    assert done.exit_code == 0, done.output
    expected = {
        "burst": True,
        "logging_level": "DEBUG",
        "log_format": "%(message)s",
        "date_format": "D",
        "name": "W",
        "default_result_ttl": 1,
        "worker_ttl": 2,
        "maintenance_interval": 3,
        "job_monitoring_interval": 4,
        "log_job_description": False,
        "disable_default_exception_handler": True,
        "max_jobs": 5,
        "max_idle_time": 6,
        "with_scheduler": True,
        "dequeue_strategy": "random",
        "lease": 7,
        "max_abandoned": 8,
        "abandoned": "fail",
        "grace": 9,
        "kill_after": 10,
        "exception_handlers": [tasks.handler_notes],
    }
    assert {name: Recorded.made.get(name) for name in expected} == expected


def test_own_options_are_only_given_when_they_are_meant(atomiq: Atomiq) -> None:
    """So that a worker class written for RQ, whose constructor doesn't know them, works."""
    atomiq("worker", *RECORDED)
    own = {"lease", "max_abandoned", "abandoned", "grace", "kill_after", "imports", "watched", "reloads"}
    assert not own & set(Recorded.made)


@pytest.mark.parametrize(("flag", "level"), [("-v", "DEBUG"), ("-q", "WARNING"), (None, None)])
def test_loudness(atomiq: Atomiq, flag: str | None, level: str | None) -> None:
    atomiq("worker", *RECORDED, *([flag] if flag else []))
    assert Recorded.made["logging_level"] == level


def test_settings_of_the_config_module(atomiq: Atomiq, tmp_path: Path) -> None:
    (tmp_path / "worker_settings.py").write_text("QUEUES = ['x', 'y']\nNAME = 'from-config'\n")
    atomiq("worker", *RECORDED, "-c", "worker_settings", "-P", str(tmp_path))
    assert (Recorded.made["queues"], Recorded.made["name"]) == (["x", "y"], "from-config")
    atomiq("worker", *RECORDED, "-c", "worker_settings", "-P", str(tmp_path), "-n", "W", "z")
    assert (Recorded.made["queues"], Recorded.made["name"]) == (["z"], "W")


def test_a_pool_is_not_called_as_the_config_module_says(atomiq: Atomiq, tmp_path: Path) -> None:
    """RQ's pools don't look at NAME, so machines share a config. Here the second pool ended: "There exists an active
    worker named 'from-config' already"."""
    (tmp_path / "pool_settings.py").write_text("QUEUES = ['x']\nNAME = 'from-config'\n")
    atomiq("worker-pool", *RECORDED, "-c", "pool_settings", "-P", str(tmp_path))
    assert (Recorded.made["queues"], Recorded.made["name"]) == (["x"], None)
    atomiq("worker-pool", *RECORDED, "-c", "pool_settings", "-P", str(tmp_path), "--name", "W")
    assert Recorded.made["name"] == "W"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["-v", "-q"], 2, "Error: Flags --verbose and --quiet are mutually exclusive."),
        (["-ds", "x"], 1, "ERROR: Dequeue Strategy can only be one of `default`, `random` or `round_robin`."),
        (["--logging_level", "LOUD"], 2, "'LOUD' is not a logging level"),
        (["--lease", "0"], 2, "--lease"),
        (["--lease", "inf"], 2, "lease must be above 0 and end"),
        (["--health-port", "somewhere"], 2, "'somewhere' is no address: give 8080"),
        (["--abandoned", "x"], 2, "--abandoned"),
        (["--exception-handler", "nowhere.handler"], 2, "Invalid value for '--exception-handler'"),
        (["-w", "os.path"], 2, "Invalid value for '--worker-class'"),
        (["-w", "atomiq.worker.SimpleWorker", "--executor", "fork"], 2, "don't go together"),
        (["a,b"], 2, "Error: queue name may not contain a comma or a control character: 'a,b'"),
    ],
)
def test_refusals(atomiq: Atomiq, arguments: list[str], code: int, message: str) -> None:
    done = atomiq("worker", "--burst", *arguments)
    assert done.exit_code == code, done.output
    assert message in done.output
    assert "Traceback" not in done.output


def test_a_suspended_server(atomiq: Atomiq, redis_connection: redis.Redis) -> None:
    suspend(redis_connection)
    done = atomiq("worker", "--burst")
    assert done.exit_code == 1
    assert 'to resume job execution run "atomiq resume"' in done.output


def test_a_name_that_is_taken(atomiq: Atomiq, redis_connection: redis.Redis) -> None:
    alive = Worker(["default"], name="W", connection=redis_connection)
    alive.register_birth()
    done = atomiq("worker", "--burst", "--name", "W")
    alive.register_death()
    assert (done.exit_code, done.output) == (1, "Error: There exists an active worker named 'W' already\n")


def test_a_server_that_throws_jobs_away(atomiq: Atomiq) -> None:
    with throwaway_server("--maxmemory-policy", "allkeys-lru") as (path, _pid):
        done = CliRunner().invoke(main, ["worker", "--url", f"unix://{path}", *RECORDED])
    assert done.exit_code == 0
    assert "WARNING: the server's maxmemory-policy is allkeys-lru" in done.output


def test_an_old_server(atomiq: Atomiq, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis.Redis, "info", lambda _self: {"redis_version": "5.0.9"})
    done = atomiq("worker", "--burst")
    assert (done.exit_code, done.output) == (1, "Error: the server is Redis 5.0.9; atomiq needs Redis 6.2 or newer\n")


def test_a_health_port_that_is_taken(atomiq_process: Process) -> None:
    """The second worker of a machine with the same port: one line, where a traceback of the worker's inside was."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = atomiq_process("worker", "--burst", "--quiet", "--health-port", address)
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: the health port {address} can't be opened: Address already in use")
    assert "Traceback" not in done.stdout + done.stderr


def test_an_unexpected_error_is_an_error(atomiq_process: Process) -> None:
    done = atomiq_process("worker", "--burst", "-w", "tests.cli.test_worker.Broken")
    assert done.returncode == 1
    assert "RuntimeError: a bug in the loop" in done.stderr


def test_the_embedded_server(atomiq_process: Process, tmp_path: Path) -> None:
    """From nothing to a result with one option; the server is gone a little later by itself."""
    url = f"embedded://{tmp_path}/q?idle=0.2"
    done = [atomiq_process(*words, ATOMIQ_URL=url) for words in (
        ("enqueue", "tests.tasks.add", "%1", "%2", "--job-id", "sum"),
        ("worker", "--burst"),
        ("info", "--job", "sum"),
    )]  # fmt: skip
    assert [each.returncode for each in done] == [0, 0, 0], done
    assert "successful 3" in done[2].stdout


@pytest.mark.parametrize("name", ["night shift", "ärger"])
def test_a_name_that_no_server_takes_for_a_connection(name: str, atomiq: Atomiq) -> None:
    """`--name 'night shift'` ended with: worker_birth failed, client names cannot contain spaces. RQ takes it."""
    done = atomiq("worker", "--burst", "--name", name)
    assert done.exit_code == 0, done.output


def test_a_pid_file_that_cant_be_written(atomiq: Atomiq) -> None:
    """A traceback."""
    done = atomiq("worker", "--burst", "--pid", "/nowhere/at/all")
    assert done.exit_code == 1
    assert "Could not open file '/nowhere/at/all': No such file" in done.output
