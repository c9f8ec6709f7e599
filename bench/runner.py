"""Runs a scenario: its contenders in turn, round after round, or all at once where nobody is in another's way."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import redis

from bench.arena import Arena
from bench.contenders import Contender
from bench.environments import environment, versions
from bench.peers import PEERS
from bench.processes import BenchError
from bench.results import Run, machine, save, steal_ticks
from bench.scenarios.base import Scenario
from bench.server import tcp_server

IN_MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class Choice:
    """What the caller asked for."""

    only: str | None
    rounds: int | None
    jobs: int | None
    server: str

    def takes(self, contender: Contender) -> bool:
        """Whether it was named, by its peer or as PEER:MODE."""
        wanted = (self.only or "").split(",")
        return (
            self.only is None
            or contender.peer.name in wanted
            or f"{contender.peer.name}:{contender.mode.name}" in wanted
        )


def contenders(scenario: Scenario, choice: Choice) -> list[Contender]:
    """Who takes part."""
    if scenario.role is None:
        found = [Contender(peer, replace(peer.modes[0], name="", settings="")) for peer in PEERS if peer.module]
    else:
        found = [Contender(peer, mode) for peer in PEERS for mode in peer.modes if scenario.role in mode.roles]
    return [one for one in found if choice.takes(one) and (one.peer.module or scenario.ideal)]


@contextlib.contextmanager
def records_folder() -> Iterator[Path]:
    """In memory, where the machine has such a folder: a record has to cost next to nothing."""
    with tempfile.TemporaryDirectory(prefix="aq-bench-", dir=IN_MEMORY if IN_MEMORY.is_dir() else None) as folder:
        yield Path(folder)


def run_scenario(scenario: Scenario, choice: Choice) -> Run:
    """Measure, keep, return."""
    taking_part, run = contenders(scenario, choice), Run({})
    broken = unusable(taking_part)
    rounds = choice.rounds or scenario.rounds
    stolen, ticks = steal_ticks()

    def measured(contender: Contender, turn: int, arena: Arena) -> dict[str, Any]:
        row = {"contender": contender.name, "peer": contender.peer.name, "mode": contender.mode.name, "round": turn}
        row |= {"settings": contender.mode.settings, "width": contender.mode.width}
        if contender.peer.name in broken:
            return {**row, "error": broken[contender.peer.name]}
        try:
            row |= scenario.measure(arena, contender, choice.jobs)
        except (BenchError, OSError, subprocess.SubprocessError, psutil.Error, redis.RedisError) as failed:
            row["error"] = str(failed)[:300]
        print(f"  {contender.name:<26} {brief(row)}", flush=True)
        return row

    runner = all_at_once if scenario.together else in_turn
    with records_folder() as folder:
        run.rows = runner(scenario, choice, folder, taking_part, rounds, measured)
        run.header = header(scenario, choice, rounds, taking_part, broken)
    end_leftovers()
    stolen_after, ticks_after = steal_ticks()
    run.header["steal_percent"] = round((stolen_after - stolen) / max(1, ticks_after - ticks) * 100, 1)
    save(run)
    return run


Measured = Callable[[Contender, int, Arena], dict[str, Any]]


def in_turn(
    scenario: Scenario, choice: Choice, folder: Path, those: list[Contender], rounds: int, measured: Measured
) -> list[dict[str, Any]]:
    """One server for all; a round has every contender once."""
    with tcp_server(choice.server) as url:
        arena = Arena(url, folder, queues(scenario))
        return [measured(one, turn, arena) for turn in range(rounds) for one in those]


def all_at_once(
    scenario: Scenario, choice: Choice, folder: Path, those: list[Contender], rounds: int, measured: Measured
) -> list[dict[str, Any]]:
    """A server for each; a round waits for the slowest."""

    def alone(number: int, turn: int) -> dict[str, Any]:
        own = folder / f"{turn}-{number}"
        own.mkdir()
        with tcp_server(choice.server) as url:
            return measured(those[number], turn, Arena(url, own, queues(scenario)))

    rows: list[dict[str, Any]] = []
    with ThreadPoolExecutor(max(1, len(those))) as pool:
        for turn in range(rounds):
            rows += pool.map(lambda number, turn=turn: alone(number, turn), range(len(those)))
    return rows


def queues(scenario: Scenario) -> list[str]:
    return ["bench", *(f"bench-{number}" for number in range(1, scenario.queues))]


def unusable(those: list[Contender]) -> dict[str, str]:
    """{peer: why its environment can't be had}."""
    broken = {}
    for peer in {one.peer.name: one.peer for one in those}.values():
        try:
            environment(peer)
        except (BenchError, OSError, subprocess.SubprocessError) as failed:
            broken[peer.name] = str(failed)
            print(f"  {failed}", flush=True)
    return broken


def header(
    scenario: Scenario, choice: Choice, rounds: int, those: list[Contender], broken: dict[str, str]
) -> dict[str, Any]:
    """What a reader of the figures has to know."""
    peers = {one.peer.name: one.peer for one in those if one.peer.name not in broken}
    with tcp_server(choice.server) as url, redis.Redis.from_url(url) as connection:
        info: dict[str, Any] = connection.info("server")
    kind = info.get("server_name", "redis")
    return {
        "scenario": scenario.name,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": machine(),
        "server": f"{kind} {info.get(f'{kind}_version', info['redis_version'])}",
        "rounds": rounds,
        "jobs": choice.jobs,
        "partial": choice.only is not None,
        "versions": {name: versions(peer) for name, peer in peers.items()},
    }


def end_leftovers() -> None:
    """Nothing that a contender started may outlive its scenario: orphans were adopted by this process."""
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            print(f"  ended a process that was left behind: {child.name()}", flush=True)
            child.kill()
            child.wait(5)


def brief(row: dict[str, Any]) -> str:
    """A row on one line of the terminal."""
    if "error" in row:
        return f"FAILED: {row['error']}"
    skip = ("contender", "peer", "mode", "round", "settings", "width", "which")
    shown = {name: value for name, value in row.items() if name not in skip and value is not None}
    return "  ".join(
        f"{name} {value:,.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in shown.items()
    )
