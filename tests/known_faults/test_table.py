"""The table of RQ's faults in the docs: complete, and true to the tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripts.faults import FAULTS, NOT_HERE, Fault

ROOT = Path(__file__).parents[2]
KNOWN = {
    *(f"A{number}" for number in range(1, 10)),
    *(f"B{number}" for number in range(1, 7)),
    *(f"C{number}" for number in range(1, 15)),
    *(f"D{number}" for number in range(1, 9)),
    *(f"E{number}" for number in range(1, 17)),
    *(f"F{number}" for number in range(1, 4)),
    *(f"M{number}" for number in range(1, 5)),
}


def test_every_known_fault_is_listed_once() -> None:
    listed = [fault.name for fault in FAULTS] + list(NOT_HERE)
    assert sorted(listed) == sorted(KNOWN)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_its_tests_exist(fault: Fault) -> None:
    assert fault.tests
    for test in fault.tests:
        path, _, function = test.partition("::")
        text = (ROOT / path).read_text()
        assert not function or f"def {function}(" in text, test
