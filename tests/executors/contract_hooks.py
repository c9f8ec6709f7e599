"""Hooks that note in a file what they were called for; they are registered by whoever calls `register`."""

from __future__ import annotations

import os
from typing import Any, Final

from tests.tasks import note

from atomiq import hooks

NOTES: Final = "ATOMIQ_TEST_NOTES"


def start_child() -> None:
    note(os.environ[NOTES], "child starts")


def stop_child() -> None:
    note(os.environ[NOTES], "child stops")


def start_job(job: Any) -> None:
    note(os.environ[NOTES], f"{job.id} starts")


def end_job(job: Any, error: BaseException | None) -> None:
    note(os.environ[NOTES], f"{job.id} ends: {None if error is None else type(error).__name__}")


ALL: Final = (start_child, stop_child, start_job, end_job)


def register() -> None:
    hooks.on_child_start(start_child)
    hooks.on_child_stop(stop_child)
    hooks.on_job_start(start_job)
    hooks.on_job_end(end_job)
