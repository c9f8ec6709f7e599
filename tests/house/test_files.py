"""Files: short, no sleeping tests, one version, generated pages fresh."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from tests.house.imports import PACKAGE, ROOT

import atomiq
from atomiq._core.version import __version__

LONGEST = 400
FOLDERS = ("src", "tests", "bench", "scripts")
SLEEP = re.compile(r"\b(?:time|asyncio|gevent)\.sleep\(\s*([^)]*)\)|\bfrom time import .*\bsleep\b")
# A job that has to be in the middle of its work when something happens to it sleeps; the test itself doesn't.
MAY_SLEEP = re.compile(r"tests/helpers\.py|tests/(?:\w+/)*(?:jobs|\w+_jobs|fixtures)\.py")


def files(*suffixes: str) -> list[Path]:
    return [
        path
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in suffixes and not {"__pycache__", ".envs"}.intersection(path.parts)
    ]


def test_no_file_is_longer_than_a_person_reads() -> None:
    lengths = {str(path.relative_to(ROOT)): path.read_text().count("\n") for path in files(".py", ".lua")}
    assert {name: length for name, length in lengths.items() if length >= LONGEST} == {}


def test_tests_wait_for_conditions_instead_of_sleeping() -> None:
    """Only wait_until sleeps, between two looks; jobs that tests run may (tests/**/jobs.py)."""
    sleeping = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in files(".py")
        if path.is_relative_to(ROOT / "tests")
        and not MAY_SLEEP.fullmatch(str(path.relative_to(ROOT)))
        and path != Path(__file__)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if (found := SLEEP.search(line)) and found[1] != "0"
    ]
    assert sleeping == []


def test_every_module_takes_annotations_as_text() -> None:
    first = "from __future__ import annotations"
    without = [
        str(path.relative_to(ROOT))
        for path in PACKAGE.rglob("*.py")
        if path.name != "__init__.py" and first not in path.read_text()
    ]
    assert without == []


def test_one_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["dynamic"] == ["version"]
    assert (ROOT / project["tool"]["hatch"]["version"]["path"]).exists()
    assert atomiq.__version__ == __version__


def test_the_source_distribution_is_whole() -> None:
    """Tests, examples and the Makefile were in it; the manual that README and tests lead to, and what `make bench` and
    `make docs` run, were not."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    included = {name.removeprefix("/") for name in project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]}
    assert included >= {"src", "tests", "examples", "docs", "bench", "scripts", ".ci", "Makefile", "README.md"}


def test_ci_runs_the_test_command_and_nothing_else() -> None:
    commands = [line for line in (ROOT / ".ci" / "run").read_text().splitlines() if line and line[0] != "#"]
    assert commands[-1] == "exec make test"


def test_generated_pages_are_fresh() -> None:
    generator = ROOT / "scripts" / "docs.py"
    if not generator.exists():
        pytest.skip("nothing is generated yet")
    run = subprocess.run([sys.executable, generator, "--check"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, f"run `make docs`\n{run.stdout}{run.stderr}"
