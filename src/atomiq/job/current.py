"""Which job this code runs in."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Final

_current: ContextVar[Any] = ContextVar("atomiq_current_job", default=None)


enter_job: Final = _current.set
"""Make a job the current one. Says what `leave_job` is to be given."""
leave_job: Final = _current.reset


def current() -> Any:
    """The job that is running in this thread or task, None outside of jobs."""
    return _current.get()


class running:  # noqa: N801  used like a function
    """Make a job the current one for the time of a block."""

    __slots__ = ("_job", "_token")

    def __init__(self, job: Any) -> None:
        self._job = job

    def __enter__(self) -> None:
        self._token = _current.set(self._job)

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)
