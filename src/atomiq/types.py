"""Types that appear in signatures (RQ's rq.types)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, TypeAlias

from atomiq._core.ttl import Duration
from atomiq._core.values import Dependency, JobOrId
from atomiq.job import Job

FunctionReferenceType: TypeAlias = str | Callable[..., Any]
"""A function, or its dotted name."""

JobDependencyType: TypeAlias = Dependency | JobOrId | Iterable[Dependency | JobOrId]
"""What `depends_on` takes."""

SuccessCallbackType: TypeAlias = Callable[[Job, Any, Any], Any]
"""Called with (job, connection, result)."""

FailureCallbackType: TypeAlias = Callable[
    [Job, Any, type[BaseException] | None, BaseException | None, TracebackType | None], Any
]
"""Called with (job, connection, exception type, exception, traceback)."""

StoppedCallbackType: TypeAlias = Callable[[Job, Any], Any]
"""Called with (job, connection)."""

TimeoutType: TypeAlias = Duration
"""Seconds, or text such as '1h'."""

__all__ = [
    "FailureCallbackType",
    "FunctionReferenceType",
    "JobDependencyType",
    "StoppedCallbackType",
    "SuccessCallbackType",
    "TimeoutType",
]
