"""Prints how many steps the model test took."""

from __future__ import annotations

from typing import Any

import pytest

pytest.register_assert_rewrite("tests.model.machine", "tests.model.comparison")

from tests.model.comparison import COUNTS  # noqa: E402


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if COUNTS:
        rows = ", ".join(f"{name} {count}" for name, count in sorted(COUNTS.items()))
        terminalreporter.write_line(f"model: {COUNTS.total()} steps compared ({rows})")
