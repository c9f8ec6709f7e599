"""The late table of classes."""

from __future__ import annotations

import pytest

import atomiq
from atomiq._core.classes import lookup, register


def test_the_package_registers_its_classes() -> None:
    assert lookup("Job") is atomiq.Job
    assert lookup("Queue") is atomiq.Queue


def test_a_class_under_another_name() -> None:
    class Mine: ...

    register(MineForTests=Mine)
    assert lookup("MineForTests") is Mine


def test_an_unknown_name() -> None:
    with pytest.raises(LookupError, match="Nobody"):
        lookup("Nobody")
