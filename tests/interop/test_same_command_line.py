"""`atomiq X` is `rq X`: the same text, exit code and effect. Where RQ ends with a traceback, ours says it in a line."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import click
import pytest
import redis
import rq
import rq.cli
from click.testing import CliRunner
from tests.helpers import throwaway_server
from tests.interop.side_by_side import Sides

from atomiq.cli.main import main

ADD = "tests.interop.jobs.add"
GONE = "redis://127.0.0.1:1/0"
NO_TRACEBACK = 2
"""Our exit code for a call that makes no sense, where RQ's is 1 and a traceback."""


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    folder = tmp_path_factory.mktemp("folder")
    (folder / "object.json").write_text('{"a": 1}')
    (folder / "pair.txt").write_text("(1, 2)")
    (folder / "here.py").write_text(
        "import os\nREDIS_URL = os.environ['HERE']\nQUEUES = ['low']\nNAME = 'configured'\n"
    )
    with throwaway_server() as (socket, _):
        yield Sides(socket, folder)


def failed_jobs(server: redis.Redis) -> None:
    """j0, j1, j2 have failed; `waiting` waits."""
    queue = rq.Queue(connection=server)
    for number in range(3):
        job = queue.enqueue(ADD, number, job_id=f"j{number}")
        queue.remove(job)
        job.set_status(rq.job.JobStatus.FAILED)
        rq.registry.FailedJobRegistry(queue=queue).add(job, ttl=500)
    queue.enqueue(ADD, 1, job_id="waiting")


def three_to_do(server: redis.Redis) -> None:
    """One that finishes and one that fails, and one in another queue."""
    queue = rq.Queue(connection=server)
    queue.enqueue(ADD, 1, job_id="good")
    queue.enqueue("tests.interop.jobs.boom", job_id="bad")
    rq.Queue("low", connection=server).enqueue(ADD, 2, y=3, job_id="low")


def queues_and_workers(server: redis.Redis) -> None:
    """Queues of 25, 3 and no jobs; a busy worker, an idle one, a suspended one."""
    for name, length in (("bulk", 25), ("a-very-long-queue-name", 3), ("default", 0)):
        server.sadd("rq:queues", f"rq:queue:{name}")
        for number in range(length):
            server.rpush(f"rq:queue:{name}", f"{name}{number}")
    server.zadd("rq:finished:bulk", {"f": time.time() + 500})
    server.zadd("rq:failed:default", {"g": time.time() + 500})
    now = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime())
    for name, state, queues in (("WA", "busy", "default,bulk2"), ("WB", "idle", "bulk"), ("WC", "suspended", "bulk")):
        server.sadd("rq:workers", f"rq:worker:{name}")
        for queue in queues.split(","):
            server.sadd(f"rq:workers:{queue}", f"rq:worker:{name}")
        about = {"birth": now, "last_heartbeat": now, "queues": queues, "pid": "7", "hostname": "h", "state": state,
                 "ip_address": "127.0.0.1:1", "successful_job_count": "3", "failed_job_count": "1"}  # fmt: skip
        server.hset(f"rq:worker:{name}", mapping=about)
        server.expire(f"rq:worker:{name}", 400)


def help_of(*command: str) -> str:
    """What `rq command --help` prints."""
    done = CliRunner().invoke(rq.cli.main, [*command, "--help"], prog_name="rq")
    assert done.exit_code == 0
    return done.output


def test_every_command_and_option_of_rq_is_there() -> None:
    commands = re.findall(r"(?m)^  ([a-z][a-z-]+) ", help_of().partition("Commands:")[2])
    assert len(commands) >= 9
    helps = {name: help_of(name) for name in commands}
    lacking = []
    for name, text in helps.items():
        spelt = set(re.findall(r"(?m)^  (-\w+), ", text)) | set(re.findall(r"(?m)^  (?:-\w+, )?(--[\w-]+)", text))
        assert len(spelt) > 5, text
        command = main.get_command(click.Context(main), name)
        if isinstance(command, click.Group):
            command = command.commands["start"]
        with click.Context(command) as context:
            known = {spelling for option in command.get_params(context) for spelling in option.opts}
        lacking += [f"{name} {spelling}" for spelling in sorted(spelt - known)]
    assert lacking == []


SAME_ENQUEUE = [
    [ADD, "5", "y=3"],
    [ADD, ":3", "y:=4", "%(1,2)", "k%=None", "a:b=1", "=x", "a=b=c", " :x", "k::=3", "x:y%=7"],
    [ADD, "@object.json", ":@object.json", "k2:=@object.json", "%@pair.txt", "k3%=@pair.txt", "k=@pair.txt"],
    [ADD, "timeout=5", "job_id=6", "f=7", "self=8", "--", "-5"],
    ["no.such.function", "--timeout", "1H", "--result-ttl", "0", "--ttl", "5m", "--failure-ttl", "-1", "-q", "low"],
    [
        ADD,
        "1",
        "--description",
        "hi there",
        "--depends-on",
        "p1",
        "--depends-on",
        "p2",
        "--retry-max",
        "3",
        "--retry-interval",
        "10",
        "--retry-interval",
        "20",
        "--at-front",
        "--quiet",
    ],
    [ADD, "1", "--schedule-at", "2035-05-27T21:45:00", "--depends-on", "p1"],
    [ADD, "1", "-S", "json", ':{"a": 1}'],
]


@pytest.mark.parametrize("arguments", SAME_ENQUEUE, ids=lambda words: " ".join(words[1:])[:60])
def test_enqueue(sides: Sides, arguments: list[str]) -> None:
    theirs, ours = sides.run(["enqueue", "--job-id", "j1", *arguments])
    assert theirs.code == 0, theirs.err
    assert ours == theirs


MISTAKES = [
    ["enqueue", ADD, "a", ":{"],
    ["enqueue", ADD, "k%=x y"],
    ["enqueue", ADD, "k=1", "k:=2"],
    ["enqueue", ADD, "k=@missing"],
    ["enqueue", ADD, "--schedule-in", "5", "--schedule-at", "2035-05-27T21:45:00"],
    ["suspend", "--duration", "0"],
    ["worker", "--dequeue-strategy", "nosuch"],
    ["wrker"],
]


@pytest.mark.parametrize("arguments", MISTAKES, ids=" ".join)
def test_mistakes(sides: Sides, arguments: list[str]) -> None:
    theirs, ours = sides.run(arguments)
    assert theirs.code in (1, 2)
    assert ours == theirs


TRACEBACKS = [
    (["enqueue", "--timeout", "abc", ADD], NO_TRACEBACK, "'--timeout'"),
    (["enqueue", "--schedule-at", "tomorrow", ADD], NO_TRACEBACK, "'--schedule-at'"),
    (["enqueue", "-w", "no.such", ADD], NO_TRACEBACK, "'--worker-class'"),
    (["enqueue", "-c", "nosuch", "-P", ".", ADD], NO_TRACEBACK, "'--config'"),
    (["requeue", "--queue", "default", "nosuch"], 1, "Unable to requeue 1 jobs from failed job registry"),
]


@pytest.mark.parametrize(("arguments", "code", "message"), TRACEBACKS, ids=lambda part: str(part)[:60])
def test_a_line_instead_of_a_traceback(sides: Sides, arguments: list[str], code: int, message: str) -> None:
    by_config = {"RQ_REDIS_URL": ""} if "-c" in arguments else None
    theirs, ours = sides.run(arguments, environment=by_config)
    assert (theirs.code, "Traceback" in theirs.err) == (1, True), theirs
    assert (ours.code, "Traceback" in ours.err) == (code, False), ours
    (line,) = (line for line in ours.err.splitlines() if line.startswith("Error: "))
    assert message in line
    assert ours.data == theirs.data == {}


@pytest.mark.parametrize(
    "options",
    ["", "-r bulk", "-Q -W -i 0 bulk default", "-W -R bulk a-very-long-queue-name", "-r -R bulk default"],
)
def test_info(sides: Sides, options: str) -> None:
    """RQ shows what sets hold in no order, ours sorted."""
    theirs, ours = sides.run(["info", *options.split()], queues_and_workers)
    assert theirs.code == ours.code == 0
    assert sorted(ours.out.splitlines()) == sorted(theirs.out.splitlines())
    assert len(theirs.out.splitlines()) > 1


@pytest.mark.parametrize(
    "arguments",
    [
        "requeue --queue default --all",
        "requeue --queue default j2 j1",
        "empty default nosuch",
        "empty --all",
        "suspend --duration 100",
        "resume",
    ],
)
def test_management(sides: Sides, arguments: str) -> None:
    theirs, ours = sides.run(arguments.split(), failed_jobs)
    assert theirs.code == 0
    assert ours == theirs


PLACES = [
    ({"RQ_REDIS_URL": "{URL}", "REDIS_URL": GONE}, []),
    ({"RQ_REDIS_URL": GONE}, ["-u", "{URL}"]),
    ({"RQ_CONFIG": "here", "HERE": "{URL}", "REDIS_URL": GONE}, []),
    ({"REDIS_URL": "{URL}", "REDIS_HOST": "nowhere.invalid"}, []),
]


@pytest.mark.parametrize(("environment", "options"), PLACES)
def test_which_server_is_meant(sides: Sides, environment: dict[str, str], options: list[str]) -> None:
    theirs, ours = sides.run(["enqueue", "--job-id", "j1", *options, ADD], environment=environment)
    assert (ours.code, ours.data) == (theirs.code, theirs.data)
    assert "rq:job:j1" in theirs.data


@pytest.mark.parametrize(
    "options",
    [
        "-n W default low",
        "-n W --disable-job-desc-logging --results-ttl 0 low",
        "-n W --log-format %(levelname)s:%(message)s --date-format %Y --max-jobs 1",
        "-q --exception-handler tests.interop.jobs.told --with-scheduler",
        "-c here -ds round_robin",
    ],
)
def test_worker(sides: Sides, options: str) -> None:
    """The whole log, and what became of the jobs; tracebacks differ in the frames of the two libraries."""
    theirs, ours = sides.run(
        ["worker", "--burst", *options.split()], three_to_do, {"RQ_REDIS_URL": "{URL}", "HERE": "{URL}"}
    )
    assert (ours.code, ours.out, ours.data) == (theirs.code, theirs.out, theirs.data)
    assert theirs.code == 0
    assert ("RuntimeError: Boom" in ours.err) == ("RuntimeError: Boom" in theirs.err)
