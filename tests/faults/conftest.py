"""A server behind a proxy that cuts connections. Prints how many cells of the fault matrix were tried."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
from tests.faults.proxy import CuttingProxy, cutting_proxy
from tests.helpers import throwaway_server

CELLS: defaultdict[str, set[str]] = defaultdict(set)
"""Fault -> the cases that were tried with it and came out well."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with throwaway_server() as (path, _pid):
        yield path


@pytest.fixture
def proxy(server: str) -> Iterator[CuttingProxy]:
    with cutting_proxy(server) as proxy:
        yield proxy


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if CELLS:
        total = sum(len(cases) for cases in CELLS.values())
        scripts = {case.partition("-")[0] for cases in CELLS.values() for case in cases}
        rows = ", ".join(f"{fault} {len(cases)}" for fault, cases in CELLS.items())
        terminalreporter.write_line(f"fault matrix: {total} cells, {len(scripts)} transitions and views ({rows})")
