"""What a worker process of a test does before it works; spawned children do it because they import this module."""

from __future__ import annotations

import os
from pathlib import Path

from tests.tasks import note

from atomiq.hooks import on_child_start

RAISES = "ATOMIQ_TEST_RAISING_HOOK"


def raising_hook(_path: str) -> None:
    """No child can start."""
    os.environ[RAISES] = "1"
    on_child_start(no_database)


def no_database() -> None:
    raise RuntimeError("the database is not there")


def hook_that_raises_thrice(path: str) -> None:
    """The fourth child is the first that can start."""

    def fail_thrice() -> None:
        note(path)
        if len(Path(path).read_text().splitlines()) <= 3:
            raise RuntimeError("not yet")

    on_child_start(fail_thrice)


if os.environ.get(RAISES):
    on_child_start(no_database)
