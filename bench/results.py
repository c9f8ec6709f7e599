"""What was measured, kept as JSON lines under bench/.results: a header, then a row for each round of a contender."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.measure import median_rows

FOLDER = Path(__file__).parent / ".results"


@dataclass
class Run:
    """One run of one scenario."""

    header: dict[str, Any]
    rows: list[dict[str, Any]] = field(default_factory=list)

    @property
    def scenario(self) -> str:
        """Its name."""
        return str(self.header["scenario"])

    def medians(self) -> list[dict[str, Any]]:
        """A row for each contender, in the order they ran; `error` is there when any round failed."""
        grouped: dict[str, list[dict[str, Any]]] = {}
        for row in self.rows:
            grouped.setdefault(row["contender"], []).append(row)
        return [median_rows(rows) for rows in grouped.values()]

    def rounds_of(self, contender: str, figure: str) -> list[float]:
        """A figure of each round, smallest first."""
        return sorted(row[figure] for row in self.rows if row["contender"] == contender and row.get(figure) is not None)


def machine() -> dict[str, Any]:
    """Its class, not its name."""
    model = ""
    if Path("/proc/cpuinfo").exists():
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
        model = found[1] if found else ""
    return {
        "cores": os.cpu_count(),
        "cpu": model or platform.processor(),
        "kernel": f"{platform.system()} {re.split('[-+]', platform.release())[0]}",
        "python": platform.python_version(),
    }


def steal_ticks() -> tuple[int, int]:
    """(CPU time taken by neighbours, all CPU time) since boot, in ticks; zeros where the kernel doesn't say."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return 0, 0
    ticks = [int(word) for word in stat.read_text().splitlines()[0].split()[1:9]]
    return ticks[7], sum(ticks)


def save(run: Run) -> Path:
    """Write it down."""
    FOLDER.mkdir(exist_ok=True)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    path = FOLDER / f"{run.scenario}-{stamp}.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in (run.header, *run.rows)))
    return path


def load(path: Path) -> Run:
    """Read it again."""
    header, *rows = [json.loads(line) for line in path.read_text().splitlines()]
    return Run(header, rows)


def newest(scenarios: Sequence[str], folder: Path = FOLDER) -> dict[str, Run]:
    """The newest run of each scenario; one of all contenders goes before one of some."""
    found: dict[str, Run] = {}
    for scenario in scenarios:
        runs = [load(path) for path in sorted(folder.glob(f"{scenario}-*.jsonl"))]
        if runs:
            found[scenario] = ([run for run in runs if not run.header["partial"]] or runs)[-1]
    return found
