"""What a worker process of a test does before it works; spawned children do it because they import this module."""

from __future__ import annotations

import os
from pathlib import Path

from tests.tasks import note

from atomiq._core.errors import ServerUnavailable
from atomiq.hooks import on_child_start
from atomiq.worker.desk import Desk, Holding

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


def cut_off_before_a_callback(_path: str) -> None:
    """The connection is found dead when the hash of a stopped job is asked for."""
    know, cut = Desk.know, [True]

    def cut_once(desk: Desk, holding: Holding) -> None:
        if cut and cut.pop():
            raise ServerUnavailable("the connection was closed")
        know(desk, holding)

    Desk.know = cut_once  # type: ignore[method-assign]


if os.environ.get(RAISES):
    on_child_start(no_database)
