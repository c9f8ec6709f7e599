"""The same command line for RQ's command and for ours, each on a database of its own, and what came of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
import rq
import rq.serializers

ROOT = Path(__file__).parents[2]
COMMANDS = {"rq": [str(Path(sys.executable).with_name("rq"))], "atomiq": [sys.executable, "-m", "atomiq"]}
FOREIGN = ("ATOMIQ_", "RQ_", "REDIS_")
CHANGING = (
    (r"(?m)^\d\d:\d\d:\d\d ", ""),
    (r"\d:\d\d:\d\d\.\d+", "TOOK"),
    (r"PID \d+, version \S+", "PID and version"),
    (r"Updated: .*", "Updated"),
    (r"atomiq", "rq"),
)
SAME_FIELDS = ("description", "origin", "status", "timeout", "result_ttl", "ttl", "failure_ttl", "retries_left",
               "retry_intervals", "dependency_ids")  # fmt: skip

Seed = Callable[[redis.Redis], None]


@dataclass(frozen=True)
class Outcome:
    """How a command ended: its exit code, what it printed without what differs by nature, what is on the server now."""

    code: int
    out: str
    err: str
    data: dict[str, Any]


class Sides:
    """Runs both in `folder` on the databases 0 and 1 of the server at `socket`."""

    def __init__(self, socket: str, folder: Path) -> None:
        self.folder = folder
        self.urls = {name: f"unix://{socket}?db={number}" for number, name in enumerate(COMMANDS)}
        self.servers = {name: redis.Redis.from_url(url) for name, url in self.urls.items()}

    def run(
        self, arguments: Sequence[str], seed: Seed | None = None, environment: dict[str, str] | None = None
    ) -> tuple[Outcome, Outcome]:
        """RQ's outcome and ours. `{URL}` in arguments and environment is the server; without it, it is given as RQ's
        environment variable."""
        said = {"RQ_REDIS_URL": "{URL}"} if environment is None else environment
        started = {}
        for name, server in self.servers.items():
            server.flushdb()
            if seed is not None:
                seed(server)
            started[name] = self.start(name, arguments, said)
        theirs, ours = (self.outcome(name, process) for name, process in started.items())
        return theirs, ours

    def start(self, name: str, arguments: Sequence[str], said: dict[str, str]) -> subprocess.Popen[str]:
        url = self.urls[name]
        environment = {key: value for key, value in os.environ.items() if not key.startswith(FOREIGN)}
        environment |= {key: value.replace("{URL}", url) for key, value in said.items()}
        environment |= {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")]), "COLUMNS": "100"}
        command = [*COMMANDS[name], *(argument.replace("{URL}", url) for argument in arguments)]
        return subprocess.Popen(
            command, cwd=self.folder, env=environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def outcome(self, name: str, process: subprocess.Popen[str]) -> Outcome:
        try:
            out, err = process.communicate(timeout=120)
        finally:
            process.kill()
        return Outcome(process.returncode, constant(out), constant(err), data(self.servers[name]))


def constant(text: str) -> str:
    """A text without times, ids of processes and the command's name."""
    for pattern, instead in CHANGING:
        text = re.sub(pattern, instead, text)
    return text


def data(server: redis.Redis) -> dict[str, Any]:
    """What RQ's layout says about queues, registries and jobs."""
    found: dict[str, Any] = {}
    for key in sorted(key.decode() for key in server.scan_iter("rq:*")):
        if key.startswith(("rq:queue:", "rq:intermediate:")):
            found[key] = server.lrange(key, 0, -1)
        elif key.startswith(("rq:failed:", "rq:finished:", "rq:scheduled:", "rq:deferred:")):
            found[key] = server.zrange(key, 0, -1)
        elif key in ("rq:queues", "rq:suspended"):
            found[key] = server.smembers(key) if key == "rq:queues" else server.ttl(key) > 0
        elif key.startswith("rq:job:") and server.type(key) == b"hash":
            fields = dict(zip(SAME_FIELDS, server.hmget(key, SAME_FIELDS), strict=True))
            found[key] = fields | {"call": call_of(key.removeprefix("rq:job:"), server)}
    return found


def call_of(job_id: str, server: redis.Redis) -> tuple[Any, ...]:
    """Function and arguments of a job, as RQ reads them."""
    for serializer in (rq.serializers.DefaultSerializer, rq.serializers.JSONSerializer):
        job = rq.job.Job.fetch(job_id, connection=server, serializer=serializer)
        try:
            return (job.func_name, list(job.args), job.kwargs)
        except rq.exceptions.DeserializationError:
            continue
    raise AssertionError(f"{job_id} can't be read")
