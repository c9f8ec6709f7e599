"""Which job this code runs in."""

from __future__ import annotations

import warnings
from contextvars import ContextVar
from typing import Any

_current: ContextVar[Any] = ContextVar("atomiq_current_job", default=None)


def get_current_job(connection: Any = None, job_class: Any = None) -> Any:
    """The job that is running in this thread or task, None outside of jobs (RQ).

    Both arguments are RQ's, deprecated there too, and have no effect.
    """
    if connection is not None or job_class is not None:
        warnings.warn("the arguments of get_current_job have no effect", DeprecationWarning, stacklevel=2)
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
