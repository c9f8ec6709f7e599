"""`atomiq health`: for Docker's HEALTHCHECK and for exec probes. Exit code 0 when workers are well, else 1."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import click

from atomiq._commands.views import view_time_ms, view_worker, view_workers
from atomiq._core.addresses import LOOPBACK, Address, parse_address
from atomiq._core.errors import ServerError
from atomiq._core.timestamp import to_ms, utcparse
from atomiq._wire.sync import Store
from atomiq.cli.options import Command, Settings, shared_options
from atomiq.defaults import DEFAULT_WORKER_TTL

PORT_VARIABLE: Final = "ATOMIQ_HEALTH_PORT"
LONGEST_WAIT: Final = 5.0
"""Seconds that a port may take to answer."""


@click.command(cls=Command)
@click.option("--name", "-n", help="This worker, wherever it runs. Default: all workers of this host.")
@click.option(
    "--port",
    metavar="ADDRESS",
    help="Ask the worker's health port, not the server: 8080, host:8080, [::1]:8080, unix:/path. "
    f"Env: {PORT_VARIABLE}, unless --name or a server is given.",
)
@click.option("--live", is_flag=True, help="Alive is enough, even if it takes no jobs just now.")
@click.option(
    "--max-age",
    type=click.FloatRange(min=0, min_open=True),
    help="Seconds since a worker's last sign of life. Default: its lease; an idle one gives it every 5/6 of that.",
)
@click.option("--quiet", "-q", is_flag=True, help="Print nothing.")
@shared_options
def health(
    settings: Settings, name: str | None, port: str | None, live: bool, max_age: float | None, quiet: bool
) -> None:
    """Are the workers of this host alive and do they take jobs? One line says what is wrong.

    Exit code 0 if they are well, 1 if one isn't, if there is none, or if nobody can tell; 2 for a wrong call.
    """
    if port is not None and (name is not None or max_age is not None):
        raise click.UsageError("--port asks one worker itself; --name and --max-age are for asking the server")
    if port is None and name is None and max_age is None and settings.url is None and settings.embedded is None:
        port = os.environ.get(PORT_VARIABLE) or None
    if port is not None:
        verdict = ask(address_of(port), "/live" if live else "/ready")
    else:
        verdict = look(settings, name, max_age, live)
    if not quiet:
        click.echo(verdict.text)
    if not verdict.well:
        raise click.exceptions.Exit(1)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether all is well, and a line that says what is or isn't."""

    well: bool
    text: str


# --- asking a port


def address_of(text: str) -> Address:
    """The address that is meant. Raises click.BadParameter."""
    try:
        return parse_address(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="'--port'") from error


def ask(address: Address, path: str) -> Verdict:
    """What the worker at `address` says of itself."""
    try:
        with connected(address) as link:
            link.sendall(f"GET {path} HTTP/1.1\r\nHost: {address.host or LOOPBACK}\r\n\r\n".encode())
            said = b""
            while data := link.recv(65536):
                said += data
    except TimeoutError:
        return Verdict(False, f"{address} has not answered within {LONGEST_WAIT:g} s: the worker's loop hangs")
    except OSError as error:
        return Verdict(False, f"nobody answers at {address}: {error.strerror or error}")
    head, _, body = said.partition(b"\r\n\r\n")
    status = head.split(maxsplit=2)[1:2]
    if status not in ([b"200"], [b"503"]):
        return Verdict(False, f"{address} is no health port of a worker: it said {head[:80]!r}")
    return Verdict(status == [b"200"], "; ".join(body.decode("utf-8", "replace").splitlines()))


def connected(address: Address) -> socket.socket:
    """A connection to it. Raises OSError."""
    if not address.path:
        return socket.create_connection((address.host or LOOPBACK, address.port), timeout=LONGEST_WAIT)
    link = socket.socket(socket.AF_UNIX)
    try:
        link.settimeout(LONGEST_WAIT)
        link.connect(address.path)
    except BaseException:
        link.close()
        raise
    return link


# --- asking the server


@dataclass(frozen=True, slots=True)
class Seen:
    """A worker as its hash shows it. `age`: seconds since its last sign of life; `limit`: how many may be."""

    name: str
    host: str
    pid: int
    born: str
    state: str
    age: float
    limit: float
    stopping: bool
    dead: bool

    @property
    def stale(self) -> bool:
        return self.age > self.limit

    def trouble(self, live: bool) -> str:
        """What is wrong with it; empty if nothing is. `live`: alive is enough."""
        if self.dead:
            return f"worker {self.name} has ended"
        if self.stale:
            return f"worker {self.name} gave its last sign of life {self.age:.0f} s ago, {self.limit:g} s are allowed"
        return f"worker {self.name} is stopping" if self.stopping and not live else ""


def look(settings: Settings, name: str | None, max_age: float | None, live: bool) -> Verdict:
    """What the server knows of a worker, or of those of this host."""
    try:
        store = Store.of(settings.connection)
        now_ms = store.run(view_time_ms())
        if name is not None:
            fields = store.run(view_worker(store.keys, worker=name))
            found = [(name, fields)] if fields else []
        else:
            found = store.run(view_workers(store.keys))
    except ServerError as error:
        return Verdict(False, str(error))
    workers = [describe(each, fields, now_ms, max_age) for each, fields in found]
    if name is not None:
        return judged(workers, live) if workers else Verdict(False, f"there is no worker {name}")
    host = socket.gethostname()
    running = still_there([worker for worker in workers if worker.host == host])
    return judged(running, live) if running else Verdict(False, f"no worker runs on {host}")


def judged(workers: Sequence[Seen], live: bool) -> Verdict:
    """They are well if each of them is."""
    workers = sorted(workers, key=lambda worker: worker.name)
    troubles = [trouble for worker in workers if (trouble := worker.trouble(live))]
    if troubles:
        return Verdict(False, "; ".join(troubles))
    states = [f"worker {worker.name} is {worker.state}, seen {worker.age:.0f} s ago" for worker in workers]
    return Verdict(True, "; ".join(states))


def still_there(workers: Sequence[Seen]) -> list[Seen]:
    """Without those that left their hash behind when they were killed: a process that isn't there can't hang.

    In a container that was restarted, the new worker often has the process id of the old one: the younger counts.
    """
    youngest: dict[int, Seen] = {}
    for worker in sorted(workers, key=lambda worker: worker.born):
        youngest[worker.pid] = worker
    return [worker for worker in youngest.values() if not worker.dead and (not worker.stale or runs(worker.pid))]


def runs(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def describe(name: str, fields: Mapping[bytes, bytes], now_ms: int, max_age: float | None) -> Seen:
    """A worker from its hash, ours or RQ's, whose workers have no lease and report when they feel like it."""
    texts: dict[str, Any] = {key.decode(): value.decode("utf-8", "replace") for key, value in fields.items()}
    seen_ms = int(texts["beat"]) if "beat" in texts else to_ms(utcparse(texts.get("last_heartbeat") or "1970-01-01"))
    lease = int(texts["lease"]) / 1000 if "lease" in texts else float(DEFAULT_WORKER_TTL)
    return Seen(
        name=name,
        host=texts.get("hostname", ""),
        pid=int(texts.get("pid") or 0),
        born=texts.get("birth", ""),
        state=texts.get("state") or "?",
        age=max(0.0, (now_ms - seen_ms) / 1000),
        limit=max_age or lease,
        stopping="shutdown_requested_date" in texts,
        dead="death" in texts,
    )
