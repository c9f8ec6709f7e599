"""`import rq` means atomiq: in a process, in its children, and whatever is started under it."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import pytest
from redis import Redis
from tests.helpers import wait_until
from tests.tools.programs import LAUNCHER, Programs

from atomiq import JobStatus, Queue
from atomiq.contrib.rq_alias.__main__ import program

BY_NAME = ("-w", "rq.worker.SimpleWorker", "--job-class", "rq.job.Job", "--queue-class", "rq.Queue")
MISSING = ["rq.no_such_module", "rq._core", "rq.job.no_such_module"]


def test_every_module_is_atomiqs_own(programs: Programs) -> None:
    """Not copies: `isinstance` and monkeypatching work across the two names."""
    programs.python("""
        import rq, rq.job, rq.queue, rq.worker, rq.registry, rq.cli
        import atomiq, atomiq.job, atomiq.queue, atomiq.worker, atomiq.registry, atomiq.cli
        from rq.serializers import JSONSerializer

        for name in ("job", "queue", "worker", "registry", "cli"):
            assert getattr(rq, name) is getattr(atomiq, name), name
        assert rq.Queue is atomiq.Queue is rq.queue.Queue
        assert JSONSerializer is atomiq.serializers.JSONSerializer

        class Mine: ...
        rq.Queue = Mine
        assert atomiq.Queue is Mine
    """)


def test_the_version_is_that_of_the_rq_it_stands_for(programs: Programs) -> None:
    """Tools compare it; `importlib.metadata` says it too, whatever is installed."""
    said = programs.python("""
        import importlib.metadata, rq, rq.version, atomiq
        print(rq.VERSION, rq.__version__, rq.version.VERSION, importlib.metadata.version("rq"))
        assert atomiq.VERSION == atomiq.__version__ != rq.VERSION
    """)
    assert said.split() == ["2.12.0"] * 4


def test_its_commands_are_in_the_module_of_their_name(programs: Programs) -> None:
    """`from rq.cli import cli`, with which Flask-RQ2 begins: it couldn't be imported."""
    programs.python("""
        from rq.cli import cli, main
        import atomiq.cli.cli

        assert cli is atomiq.cli.cli
        assert cli.main is main
        for name in ("empty", "enqueue", "info", "requeue", "resume", "suspend"):
            assert getattr(cli, name) is main.get_command(None, name), name
        assert not hasattr(cli, "nothing")
        for command in (cli.empty, cli.requeue):  # invoked by Flask-RQ2 with RQ's names of their parameters
            assert "all" in {option.name for option in command.params}
    """)


def test_its_commands_are_found_by_name(programs: Programs) -> None:
    """`rq.cli:worker`, as the installed scripts say and as Flask-RQ takes the options of its own from it; it was a
    module of ours, or nothing. Also after the command line has imported its parts.
    """
    said = programs.python("""
        import importlib.metadata
        from rq import cli
        from atomiq.cli.main import COMMANDS

        def check():
            entries = importlib.metadata.distribution("rq").entry_points
            print(*(f"{entry.name}:{type(entry.load()).__name__}" for entry in entries))
            assert {"burst", "queues", "max_jobs"} <= {option.name for option in cli.worker.params}
            assert cli.cron.name == "cron" and cli.info.name == "info"

        check()
        for name in COMMANDS:
            cli.main.get_command(None, name)
        check()
    """)
    assert said.split() == ["rq:Commands", "rqinfo:Command", "rqworker:WorkerCommand"] * 2


def test_a_module_that_is_not_there_is_not_looked_for_elsewhere(programs: Programs) -> None:
    """The installed rq has files of its own; half of each would be worse than an error."""
    said = programs.python(f"""
        import importlib

        for name in {MISSING}:
            try:
                importlib.import_module(name)
            except ModuleNotFoundError as error:
                print(error.name, "|", error)
    """).splitlines()
    for name, line in zip(MISSING, said, strict=True):
        assert line.startswith(f"{name} | No module named"), line
        assert "rq is atomiq here" in line


def test_classes_by_dotted_name_and_in_pickles(programs: Programs) -> None:
    programs.python("""
        import pickle, atomiq
        from atomiq.utils import import_attribute, import_job_class, import_queue_class, import_worker_class
        from atomiq.serializers import JSONSerializer, resolve_serializer

        assert import_worker_class("rq.Worker") is import_worker_class("rq.worker.Worker") is atomiq.Worker
        assert import_job_class("rq.job.Job") is atomiq.Job
        assert import_queue_class("rq.Queue") is import_queue_class("rq.queue.Queue") is atomiq.Queue
        assert resolve_serializer("rq.serializers.JSONSerializer") is JSONSerializer
        assert pickle.loads(b"crq.job\\nRetry\\n.") is atomiq.Retry
        assert pickle.loads(b"crq.repeat\\nRepeat\\n.") is atomiq.Repeat
    """)


def test_it_refuses_to_come_too_late(programs: Programs) -> None:
    said = programs.run(
        "-c",
        "import rq.job; from atomiq.contrib import rq_alias; rq_alias.install()",
        plain=True,
        code=1,
    )
    assert "RealRQImported" in said
    assert "before anything imports rq" in said


def test_install_in_a_program_and_uninstall(programs: Programs) -> None:
    """Called twice it does nothing more; taken away, the installed rq is back."""
    programs.run(
        "-c",
        "import os, sys, logging\n"
        "path = list(sys.path)\n"
        "from atomiq.contrib import rq_alias\n"
        "rq_alias.install(); rq_alias.install()\n"
        "import atomiq, rq.job\n"
        "assert rq.Queue is atomiq.Queue and rq_alias.installed()\n"
        "rq_alias.uninstall(); rq_alias.uninstall()\n"
        "assert not rq_alias.installed() and sys.path == path and 'rq' not in sys.modules\n"
        "import rq.job\n"
        "assert rq.Queue is not atomiq.Queue\n"
        "assert atomiq.Worker(['a'], connection=atomiq.connect('redis://x')).log.name == 'atomiq.worker'\n",
        plain=True,
    )


def test_child_programs_get_it(programs: Programs) -> None:
    """Through the environment: a Python started by a program under the alias, and the children of that one."""
    said = programs.python("""
        import subprocess, sys
        inner = "import rq, rq.job; print(rq.job.Job.__module__, rq.VERSION)"
        outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}], check=True)"
        subprocess.run([sys.executable, "-c", outer], check=True)
    """)
    assert said.split() == ["atomiq.job.job", "2.12.0"]


def test_install_gives_it_to_child_programs_only_if_asked(programs: Programs) -> None:
    child = "subprocess.run([sys.executable, '-c', 'import rq.job; print(rq.job.Job.__module__)'], check=True)"
    text = "import subprocess, sys; from atomiq.contrib import rq_alias; rq_alias.install(children={}); " + child
    assert programs.run("-c", text.format(True), plain=True).strip() == "atomiq.job.job"
    assert programs.run("-c", text.format(False), plain=True).strip() == "rq.job"


def test_a_child_program_of_an_environment_without_atomiq_gets_its_own_rq(programs: Programs) -> None:
    """A build tool or another service, started by a program under the alias."""
    programs.write("elsewhere/rq/__init__.py", "VERSION = 'their own'\n")
    programs.write("elsewhere/rq/job.py", "")
    elsewhere = str(programs.folder / "elsewhere")
    said = programs.python(f"""
        import os, subprocess, sys
        shim = os.environ["PYTHONPATH"].split(os.pathsep)[0]
        path = os.pathsep.join([shim, {elsewhere!r}])
        subprocess.run([sys.executable, "-S", "-c", "import rq.job; print(rq.VERSION)"], check=True,
                       env={{**os.environ, "PYTHONPATH": path}})
    """)
    assert said.strip() == "their own"


def test_loggers_configured_by_rqs_names_count(programs: Programs) -> None:
    """As in a Django LOGGING setting; the default of dictConfig, to disable other loggers, spares them."""
    said = programs.python("""
        import logging, logging.config
        early = logging.getLogger("rq.worker")
        logging.config.dictConfig({
            "version": 1,
            "formatters": {"plain": {"format": "%(name)s|%(levelname)s|%(message)s"}},
            "handlers": {"out": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "plain"}},
            "loggers": {"rq.worker": {"handlers": ["out"], "level": "WARNING"}},
        })
        import redis, os, rq
        worker = rq.SimpleWorker(["a"], connection=redis.Redis.from_url(os.environ["RQ_REDIS_URL"]))
        worker.log.info("not this")
        worker.log.warning("this")
        rq.Queue("a", connection=worker.connection).enqueue("tool_jobs.boom")
        worker.work(burst=True, logging_level="WARNING")
        assert worker.log is logging.getLogger("rq.worker")
        assert early is worker.log or early.handlers == worker.log.handlers
    """)
    lines = said.splitlines()
    assert lines[0] == "rq.worker|WARNING|this"
    assert lines[1].startswith("rq.worker|ERROR|")
    assert "not this" not in said


def test_handlers_set_before_the_alias_count_as_well(programs: Programs) -> None:
    """Logging is often configured before anything else; who holds the logger of that name goes on using it."""
    said = programs.run(
        "-c",
        "import logging, sys\n"
        "early = logging.getLogger('rq.worker')\n"
        "early.addHandler(logging.StreamHandler(sys.stdout))\n"
        "from atomiq.contrib import rq_alias\n"
        "rq_alias.install()\n"
        "import atomiq, redis\n"
        "worker = atomiq.Worker(['a'], connection=redis.Redis())\n"
        "worker.log.warning('through the early handler')\n"
        "early.setLevel('ERROR')\n"
        "worker.log.warning('not this')\n",
        plain=True,
    )
    assert said.splitlines() == ["through the early handler"]


def test_workers_follow_rq_where_the_defaults_differ(programs: Programs) -> None:
    """What lost its worker is failed, and each job has a process of its own; an environment variable undoes it."""
    text = """
        import redis, rq
        worker = rq.Worker(["a"], connection=redis.Redis())
        simple = rq.SimpleWorker(["a"], connection=redis.Redis())
        print(worker.abandoned, worker.engine.first, simple.engine.first)
    """
    assert programs.python(text).split() == ["fail", "fork", "inline"]
    assert programs.python(text, ATOMIQ_ABANDONED="retry", ATOMIQ_EXECUTOR="process").split() == [
        "retry", "process", "inline"
    ]  # fmt: skip
    own = "import redis, atomiq; w = atomiq.Worker(['a'], connection=redis.Redis()); print(w.abandoned, w.engine.first)"
    assert programs.run("-c", own, plain=True).split()[0] == "retry"


def test_a_killed_job_is_failed_as_with_rq(programs: Programs, connection: Redis) -> None:
    """Not run again, which is atomiq's way."""
    job = Queue("mail", connection=connection).enqueue("tool_jobs.die")
    programs.run("rqworker", "--burst", "mail")
    assert job.get_status() is JobStatus.FAILED
    (result,) = job.results()
    assert "Work-horse terminated unexpectedly" in str(result.exc_string)


def test_a_program_is_the_one_of_this_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`/app/venv/bin/python -m atomiq.contrib.rq_alias gunicorn ...`, as a service is started, without activating
    anything: another Python's gunicorn on the PATH was started, which has no atomiq, and ran on its own rq."""
    other, own = tmp_path / "other", tmp_path / "venv"
    for folder, names in ((other, ("gunicorn", "elsewhere")), (own, ("gunicorn",))):
        folder.mkdir()
        for name in names:
            (folder / name).touch(0o755)
    monkeypatch.setenv("PATH", str(other))
    monkeypatch.setattr(sys, "executable", str(own / "python"))
    assert program(["gunicorn", "shop.wsgi"]) == [str(own / "gunicorn"), "shop.wsgi"]
    assert program(["elsewhere"]) == [str(other / "elsewhere")]
    assert program(["nowhere"]) == []


@pytest.mark.parametrize("command", [("rqworker",), ("rq", "worker", *BY_NAME), ("-m", "rq.cli", "worker")])
def test_rqs_commands_run_jobs(programs: Programs, connection: Redis, command: tuple[str, ...]) -> None:
    """Code that imports rq, in a job."""
    job = Queue("mail", connection=connection).enqueue("tool_jobs.who")
    said = programs.launch(*command, "--burst", "mail")
    assert "Job OK" in said
    facts = job.return_value()
    assert facts["job"] == job.id
    assert facts["class"] == "atomiq.job.job.Job"


def test_spawned_children_of_a_worker_get_it(programs: Programs, connection: Redis) -> None:
    """Also where a program has installed the alias for itself: they are interpreters of their own."""
    programs.write(
        "own_worker.py",
        """
        from atomiq.contrib import rq_alias
        rq_alias.install()
        import os, redis, rq
        from rq.worker import SpawnWorker
        if __name__ == "__main__":
            queue = rq.Queue("a", connection=redis.Redis.from_url(os.environ["RQ_REDIS_URL"]))
            job = queue.enqueue("tool_jobs.who")
            SpawnWorker([queue], connection=queue.connection).work(burst=True)
            print(job.return_value()["class"], job.return_value()["pid"] != os.getpid())
        """,
    )
    assert programs.run("own_worker.py", plain=True).split()[-2:] == ["atomiq.job.job.Job", "True"]


def test_what_the_launcher_says_about_itself(programs: Programs) -> None:
    assert "rqworker" in programs.launch("--help")
    assert "rqworker" in programs.launch(code=2)
    assert "no program 'no-such-program'" in programs.launch("no-such-program", code=127)


def test_exit_code_arguments_and_signals_are_the_programs_own(programs: Programs) -> None:
    """It becomes the program: the same process, so supervisors see what they know."""
    programs.write("answer.py", "import sys, json\nprint(json.dumps([__name__, sys.argv]))\nsys.exit(7)\n")
    assert json.loads(programs.launch("answer.py", "-x", "y z", code=7)) == ["__main__", ["answer.py", "-x", "y z"]]
    process = programs.start(
        sys.executable, *LAUNCHER, "-c", "import os, rq, signal; print(os.getpid(), flush=True); signal.pause()"
    )
    log = process.log  # type: ignore[attr-defined]
    pid = wait_until(lambda: log.read_text().strip(), within=40, what="the program says its process id")
    assert int(pid) == process.pid
    assert programs.stop(process) == -signal.SIGTERM
