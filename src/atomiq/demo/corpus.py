"""What there is to index: the source files of the Python that runs this."""

from __future__ import annotations

import sysconfig
from pathlib import Path
from typing import Final

NOT_OURS: Final = frozenset({"__pycache__", "site-packages", "dist-packages", "test", "tests", "idle_test", "lib2to3"})


def source_files(limit: int | None = None) -> list[str]:
    """Paths of the standard library's modules, sorted; with a limit so many of them, evenly spread."""
    root = Path(sysconfig.get_path("stdlib"))
    found = sorted(str(path) for path in root.rglob("*.py") if not NOT_OURS.intersection(path.relative_to(root).parts))
    if limit is None or limit >= len(found):
        return found
    return [found[number * len(found) // limit] for number in range(limit)]
