"""The bars that a run is held against, and where a peer is ahead: both worked out from the figures, nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.peers import PEERS
from bench.results import Run
from bench.tables import fine, whole

Row = dict[str, Any]
OURS = "atomiq"
IDEAL = "no queue"
NOTHING = 0.05
"""Nobody is ahead by less than this share."""
ASYNCIO = {peer.name for peer in PEERS if peer.asyncio}


class Figures:
    """Medians of the newest runs, found by scenario and contender."""

    def __init__(self, runs: Mapping[str, Run]) -> None:
        self._rows = {name: run.medians() for name, run in runs.items()}

    def rows(self, scenario: str, figure: str) -> list[Row]:
        """Rows that have the figure."""
        return [row for row in self._rows.get(scenario, []) if row.get(figure) is not None]

    def of(self, scenario: str, contender: str, figure: str) -> float | None:
        """One figure, None when it wasn't measured."""
        return next((row[figure] for row in self.rows(scenario, figure) if row["contender"] == contender), None)

    def best(self, scenario: str, figure: str, takes: Callable[[Row], bool], least: bool = False) -> Row | None:
        """The best peer's row."""
        rows = [row for row in self.rows(scenario, figure) if row["peer"] not in (OURS, IDEAL) and takes(row)]
        rows.sort(key=lambda row: row[figure])
        return (rows[0] if least else rows[-1]) if rows else None


@dataclass(frozen=True)
class Verdict:
    """met and stretch: None where it could not be said."""

    bar: str
    goal: str
    stretch_goal: str
    measured: str
    met: bool | None = None
    stretch: bool | None = None


def at_most(bar: str, measured: float | None, goal: float, stretch: float | None, unit: str) -> Verdict:
    """Small is good."""
    asked = f"<= {fine(goal)} {unit}"
    more = "" if stretch is None else f"{fine(stretch)} {unit}"
    if measured is None:
        return Verdict(bar, asked, more, "not measured")
    told = f"{fine(measured)} {unit}"
    return Verdict(bar, asked, more, told, measured <= goal, None if stretch is None else measured <= stretch)


def times(
    bar: str, measured: float | None, factor: float, than: Row | None, figure: str, stretch: float | None = None
) -> Verdict:
    """At least `factor` times the figure of a row; the stretch is a figure by itself."""
    name = than["contender"] if than else "a peer that was not measured"
    asked, more = f">= {factor:g}x {name}", "" if stretch is None else f"{whole(stretch)}/s"
    if measured is None or than is None:
        return Verdict(bar, asked, more, "not measured")
    ratio = measured / than[figure]
    told = f"{whole(measured)}/s, {ratio:.1f}x {name} ({whole(than[figure])}/s)"
    return Verdict(bar, asked, more, told, ratio >= factor, None if stretch is None else measured >= stretch)


def verdicts(figures: Figures) -> list[Verdict]:
    """A row for each bar."""
    return [*drain_bars(figures), *producer_bars(figures), *waiting_bars(figures), *failure_bars(figures)]


def named(contender: str) -> Callable[[Row], bool]:
    return lambda row: bool(row["contender"] == contender)


def drain_bars(figures: Figures) -> list[Verdict]:
    speed = "jobs_per_second"

    def ours(mode: str, figure: str = speed) -> float | None:
        return figures.of("drain", f"{OURS} {mode}", figure)

    def peer(takes: Callable[[Row], bool]) -> Row | None:
        return figures.best("drain", speed, takes)

    one, two = ours("process"), ours("process -c 2")
    single = peer(lambda row: row["width"] == 1)
    aio = peer(lambda row: row["width"] == 1 and row["peer"] in ASYNCIO)
    aio_stretch = None if aio is None else 8 * aio[speed]
    half = None if one is None else {"contender": "one child", speed: one}
    return [
        times(
            "drain, one process child: the best peer that stores results, one process", one, 6, single, speed, 12_000
        ),
        times("drain, one process child: RQ's SimpleWorker", one, 30, peer(named("rq simple")), speed),
        times("drain, one process child: RQ's fork worker", one, 80, peer(named("rq fork")), speed),
        at_most("worker CPU per job", ours("process", "worker_us"), 110, 60, "us"),
        at_most("server CPU per job, claim to finished", ours("process", "server_us"), 60, 45, "us"),
        times("drain, two process children", two, 1.5, half, speed, 16_000),
        times("drain, async -c 100: the best asyncio peer", ours("async -c 100"), 4, aio, speed, aio_stretch),
        times("drain, fork: RQ's fork worker", ours("fork"), 2, peer(named("rq fork")), speed, 140),
    ]


def producer_bars(figures: Figures) -> list[Verdict]:
    speed, bulk = "jobs_per_second", "bulk_jobs_per_second"

    def peer(name: str, figure: str = speed) -> Row | None:
        return figures.best("enqueue", figure, lambda row: row["peer"] == name)

    one, many = figures.of("enqueue", OURS, speed), figures.of("enqueue", OURS, bulk)
    rq_bytes = figures.of("enqueue", "rq", "bytes") or 549
    return [
        at_most("server memory per queued job: RQ's", figures.of("enqueue", OURS, "bytes"), rq_bytes, 400, "bytes"),
        times("enqueue one by one: RQ", one, 2, peer("rq"), speed, 4000),
        times("enqueue one by one: level (within 10 %) with Huey's one LPUSH", one, 0.9, peer("huey"), speed),
        times(
            "enqueue_many: ahead of every peer", many, 1, figures.best("enqueue", bulk, lambda _: True), bulk, 40_000
        ),
    ]


def waiting_bars(figures: Figures) -> list[Verdict]:
    naps, ideal = (
        figures.of("naps", name, "jobs_per_second") for name in (f"{OURS} process -c 2", f"{IDEAL} 2 processes")
    )
    short = None if naps is None or ideal is None else (1 - naps / ideal) * 100
    found = []
    for figure, name in (("p50_ms", "p50"), ("p99_ms", "p99")):
        best = figures.best("latency", figure, lambda _: True, least=True)
        title = f"latency from idle, {name}: ahead of every peer"
        if best is None:
            found.append(Verdict(title, "the best peer", "", "not measured"))
            continue
        ours = figures.of("latency", f"{OURS} process", figure)
        verdict = at_most(title, ours, best[figure], None, "ms")
        found.append(Verdict(title, f"{verdict.goal} ({best['contender']})", "", verdict.measured, verdict.met))
    idle = {figure: figures.of("idle", f"{OURS} process", figure) for figure in ("commands_per_second", "cpu_percent")}
    return [
        at_most("jobs that sleep 1 ms, process -c 2: short of the ideal", short, 10, 3, "%"),
        *found,
        at_most("idle on 20 queues: commands", idle["commands_per_second"], 0.5, 0.1, "/s"),
        at_most("idle on 20 queues: CPU", idle["cpu_percent"], 0.1, None, "%"),
        at_most(
            "one slow job among 1,000 quick ones, two children: longest wait of a quick one behind it",
            figures.of("slow", f"{OURS} process -c 2", "wait_ms"),
            100,
            20,
            "ms",
        ),
    ]


def failure_bars(figures: Figures) -> list[Verdict]:
    child = figures.of("child", f"{OURS} process", "again_s")
    worker = figures.of("recovery", f"{OURS} process", "again_s")
    return [
        Verdict("a job that holds the GIL for 3 leases, all executors", "never abandoned", "", "see tests/executors"),
        at_most("SIGKILL of a child: running again", child, 1, 0.1, "s"),
        at_most("SIGKILL of the whole worker, default settings: running again", worker, 31, 15, "s"),
    ]


@dataclass(frozen=True)
class Race:
    """One figure in which a peer may be ahead. width: compare with peers of so many processes; None: with all."""

    title: str
    scenario: str
    figure: str
    ours: str
    least: bool = True
    width: int | None = None


RACES = (
    Race("drain, one process, jobs/s", "drain", "jobs_per_second", "atomiq process", least=False, width=1),
    Race("drain, two processes, jobs/s", "drain", "jobs_per_second", "atomiq process -c 2", least=False, width=2),
    Race("drain, worker CPU us/job", "drain", "worker_us", "atomiq process"),
    Race("drain, server CPU us/job", "drain", "server_us", "atomiq process"),
    Race("drain, commands/job", "drain", "commands", "atomiq process"),
    Race("drain, round trips/job", "drain", "round_trips", "atomiq process"),
    Race("enqueue one by one, jobs/s", "enqueue", "jobs_per_second", "atomiq", least=False),
    Race("enqueue one by one, producer CPU us/job", "enqueue", "producer_us", "atomiq"),
    Race("enqueue one by one, server CPU us/job", "enqueue", "server_us", "atomiq"),
    Race("enqueue in bulk, jobs/s", "enqueue", "bulk_jobs_per_second", "atomiq", least=False),
    Race("server memory, bytes/queued job", "enqueue", "bytes", "atomiq"),
    Race("latency from idle, p50 ms", "latency", "p50_ms", "atomiq process"),
    Race("latency from idle, p99 ms", "latency", "p99_ms", "atomiq process"),
    Race("jobs that sleep 1 ms, jobs/s", "naps", "jobs_per_second", "atomiq process -c 2", least=False),
    Race("wait behind a slow job, ms", "slow", "wait_ms", "atomiq process -c 2"),
    Race("idle, commands/s", "idle", "commands_per_second", "atomiq process"),
    Race("idle, CPU %", "idle", "cpu_percent", "atomiq process"),
    Race("idle, resident MB of the whole worker", "idle", "resident_mb", "atomiq process"),
    Race("after SIGKILL of a child, s", "child", "again_s", "atomiq process"),
    Race("after SIGKILL of the worker, s", "recovery", "again_s", "atomiq process"),
)


def ahead(figures: Figures, race: Race) -> list[Row] | None:
    """Rows of peers that are ahead, best first; None when ours was not measured."""
    ours = figures.of(race.scenario, race.ours, race.figure)
    if ours is None:
        return None
    rows = [
        row
        for row in figures.rows(race.scenario, race.figure)
        if row["peer"] not in (OURS, IDEAL)
        and race.width in (None, row["width"])
        and (row[race.figure] < ours * (1 - NOTHING) if race.least else row[race.figure] > ours * (1 + NOTHING))
    ]
    return sorted(rows, key=lambda row: row[race.figure], reverse=not race.least)
