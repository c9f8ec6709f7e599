"""The late table of classes, and what the package imports late."""

from __future__ import annotations

import subprocess
import sys

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


def test_producers_do_not_wait_for_the_worker_to_be_imported() -> None:
    """It was half of what `import atomiq` took."""
    code = """
import sys, atomiq
assert not [name for name in sys.modules if name.startswith(("atomiq.worker", "atomiq.stations", "atomiq.executors"))]
assert atomiq.Worker is atomiq.worker.Worker and "Worker" in atomiq.__all__
from atomiq import SimpleWorker, SpawnWorker
from atomiq.utils import import_worker_class
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_worker_class_is_told_from_others_before_any_worker_is_imported() -> None:
    code = """
from atomiq.utils import import_worker_class
try:
    import_worker_class('json.JSONEncoder')
except ValueError as refused:
    print(refused)
"""
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert said.stdout == "json.JSONEncoder is not a BaseWorker class\n"


def test_an_unknown_name_of_the_package() -> None:
    with pytest.raises(AttributeError, match="module 'atomiq' has no attribute 'Wrker'"):
        atomiq.Wrker  # noqa: B018
