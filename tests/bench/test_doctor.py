"""The doctor's benchmark, small: it breaks what it says, finds all of it, and finds nothing beside a fleet."""

from __future__ import annotations

import pytest

from bench import doctor


def test_what_is_broken_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    doctor.look_at_many(3000)
    said = capsys.readouterr().out
    assert "3,000 jobs, 3,9" in said
    assert "broken 3, found 3: {'orphan': 2, 'zombie': 1}" in said
    assert "repaired 3 in" in said
    assert "0 faults left" in said


def test_no_false_alarm(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.look_beside_a_fleet(500, 2)
    assert capsys.readouterr().out.count("0 faults") == 2
