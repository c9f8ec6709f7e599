"""docs/benchmarks.md, written from the newest run of each part."""

from __future__ import annotations

from bench.bars import RACES, Figures, Verdict, ahead, verdicts
from bench.peers import PEERS
from bench.results import Run, newest
from bench.scenarios import SCENARIOS
from bench.tables import fine, markdown, table, whole

__all__ = ["render", "table"]

INTRODUCTION = """\
<!-- Made by `make bench` (bench/page.py) from the figures of one run. Don't edit. -->

# Benchmarks

What atomiq does and costs beside other Python queues on Redis: the same server, the same jobs, the same minutes. Every
figure is the median of {rounds}, the contenders taking turns in each round (idle: of three windows; recovery: one run).
Figures belong to the machine and the day; **ratios and counts are what carries over**, and differences below a quarter
mean little on a shared machine.

Results are stored by everyone who can store them. `make bench` measures all of it again, `python -m bench --help` says
how to measure a part.
"""

OURS = "atomiq process"
METHOD = """\
## How it is measured

- Each job appends one record of 24 bytes to a file in memory: time, number, process. Jobs/s is (N - 1) / (last record -
  first record): jobs are enqueued beforehand, the worker starts cold, and its start-up doesn't count.
- CPU per job: the worker's is that of its whole process tree, with children that are gone; the server's is its own
  account. Both are read about at the first record and about at the last.
- Commands per job: the server's count of calls, those inside scripts and transactions too. Round trips per job: read
  events at the server, one for each request or pipeline. Bytes per queued job: the growth of the server's memory.
- Latency: from just before the call that enqueues to the first instruction of the job, one job at a time, so far
  apart (1 to 1.5 times the gap, at random) that each finds an idle worker.
- Naps: jobs that sleep a millisecond, two at a time. The ideal is two processes that call the same function in a loop.
- Slow: one job of ten seconds among quick ones, two at a time. A quick job's wait is what passes between its turn (a
  job behind it in the queue has started, or all before it have) and its start.
- Idle: after one job, three windows of 15 s. Queues: 20, or one where a worker process serves only one.
- Child: SIGKILL of the process that runs a job, one second into it. Recovery: SIGKILL of the worker with all its
  processes, one second into a job of five, a new worker started at once; both with default settings, and waited for
  as long as the table says.
- All logging is at WARNING. Clients that are asynchronous run on uvloop. The server keeps nothing on disk.
"""


def render() -> str:
    """The whole page."""
    runs = newest(list(SCENARIOS))
    if not runs:
        return INTRODUCTION.format(rounds="3 rounds") + "\nNothing has been measured yet: `make bench`.\n"
    figures = Figures(runs)
    rounds = max(run.header["rounds"] for run in runs.values())
    parts = [INTRODUCTION.format(rounds=f"{rounds} round{'s' if rounds > 1 else ''}")]
    cores = int(next(iter(runs.values())).header["machine"]["cores"])
    parts += [surroundings(runs), "## The bars", "\n".join(bars(verdicts(figures))), ceiling(figures, cores)]
    parts += ["## Where a peer is ahead", "\n".join(races(figures))]
    for name, run in runs.items():
        parts += [f"## {TITLES[name]}", *notes(run), "\n".join(table(run))]
    parts += [METHOD.rstrip(), "## Settings", "\n".join(settings()), "## Versions", "\n".join(versions(runs))]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


TITLES = {
    "drain": "Drain: empty jobs, a worker that starts cold",
    "enqueue": "Enqueue, and memory per queued job",
    "latency": "Latency from an idle worker",
    "naps": "Jobs that sleep 1 ms, two at a time",
    "slow": "One slow job among quick ones",
    "idle": "An idle worker",
    "child": "SIGKILL of the process that runs a job",
    "recovery": "SIGKILL of the whole worker",
}


def surroundings(runs: dict[str, Run]) -> str:
    """Machine, server, dates."""
    headers = [run.header for run in runs.values()]
    machine = headers[0]["machine"]
    dates, servers = (sorted({header[name] for header in headers}) for name in ("date", "server"))
    steal = max(header["steal_percent"] for header in headers)
    return (
        f"Measured {' and '.join(dates)} on {machine['cores']} cores ({machine['cpu']}, {machine['kernel']}), Python\n"
        f"{machine['python']}, server {' and '.join(servers)} over TCP on the loopback interface.\n"
        f"At most {steal:.0f} % of the CPU time of a part went to neighbours."
    )


def notes(run: Run) -> list[str]:
    """What a reader of this table has to know."""
    found = []
    if run.header["partial"]:
        found.append("*Not all contenders took part in this run.*")
    if run.header["jobs"]:
        found.append(f"*Run with --jobs {run.header['jobs']}.*")
    return found


def bars(those: list[Verdict]) -> list[str]:
    """Met and missed."""
    words = {True: "met", False: "**missed**", None: ""}
    rows = [
        [
            one.bar,
            one.goal,
            one.measured,
            words[one.met],
            one.stretch_goal,
            "" if one.stretch is None else words[one.stretch],
        ]
        for one in those
    ]
    judged = [one.met for one in those if one.met is not None]
    summary = f"{sum(judged)} of {len(judged)} bars met; {len(those) - len(judged)} could not be said from this run."
    return [summary, "", *markdown(["bar", "asked", "measured", "", "stretch", ""], rows)]


def ceiling(figures: Figures, cores: int) -> str:
    """What a second child can add where the server has to share the cores with both."""
    one, worker, server = (figures.of("drain", OURS, name) for name in ("jobs_per_second", "worker_us", "server_us"))
    if one is None or worker is None or server is None:
        return ""
    most = cores * 1e6 / (worker + server)
    cost = f"{fine(worker)} us of worker and {fine(server)} us of server a job"
    return (
        f"Children and server share {cores} cores: at {cost}\n"
        f"they do {whole(most)} jobs/s at most, {most / one:.1f} times one child's, however many children there are."
    )


def races(figures: Figures) -> list[str]:
    """Every figure in which a peer is ahead, by name; then those in which none is."""
    lines, none, unknown = [], [], []
    for race in RACES:
        found = ahead(figures, race)
        if found is None:
            unknown.append(race.title)
        elif not found:
            none.append(race.title)
        else:
            ours = figures.of(race.scenario, race.ours, race.figure)
            others = ", ".join(f"{row['contender']} {fine(row[race.figure])}" for row in found)
            lines.append(f"- **{race.title}**: {others}; {race.ours} {fine(ours or 0)}.")
    tail = []
    if none:
        tail.append(f"Nobody is ahead (by more than 5 %) in: {'; '.join(none)}.")
    if unknown:
        tail.append(f"Not to be said, because atomiq's own figure is missing: {'; '.join(unknown)}.")
    return [*lines, "", "\n\n".join(tail)] if lines else ["\n\n".join(tail)]


def settings() -> list[str]:
    """How each was run, and what it does about a job whose worker dies."""
    rows = [[f"{peer.name} {mode.name}", mode.settings, peer.delivery] for peer in PEERS for mode in peer.modes]
    return markdown(["", "settings", "a job whose worker dies"], rows)


LIBRARIES = ("redis", "hiredis", "uvloop", "kombu", "taskiq-redis", "coredis")


def versions(runs: dict[str, Run]) -> list[str]:
    """Of the peers and of what they talk through."""
    found: dict[str, dict[str, str]] = {}
    for run in runs.values():
        found |= run.header["versions"]
    rows = []
    for name, installed in found.items():
        if name in installed or name == "atomiq":
            libraries = ", ".join(f"{one} {installed[one]}" for one in LIBRARIES if one in installed)
            rows.append([name, installed.get(name, "this working copy"), libraries])
    return markdown(["", "version", "with"], rows)
