"""Prints how many cells of the fault matrix were tried."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

CELLS: defaultdict[str, set[str]] = defaultdict(set)
"""Fault -> the cases that were tried with it and came out well."""


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if CELLS:
        total = sum(len(cases) for cases in CELLS.values())
        scripts = {case.partition("-")[0] for cases in CELLS.values() for case in cases}
        rows = ", ".join(f"{fault} {len(cases)}" for fault, cases in CELLS.items())
        terminalreporter.write_line(f"fault matrix: {total} cells, {len(scripts)} transitions and views ({rows})")
