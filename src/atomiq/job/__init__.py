"""Jobs, and the options that are about one job (RQ's rq.job)."""

from __future__ import annotations

from typing import Final, TypeAlias, Union

from atomiq._core.ids import parse_job_id, validate_job_id
from atomiq._core.settings import CALLBACK_TIMEOUT, UNSERIALIZABLE_RETURN_VALUE_PAYLOAD
from atomiq._core.states import JobStatus
from atomiq._core.values import Callback, Dependency, Retry
from atomiq.job.job import Job, cancel_job, get_current_job, requeue_job
from atomiq.webhook import Webhook

JobDependencyType: TypeAlias = Union[Dependency, Job, str, list[Union[Dependency, Job, str]]]  # noqa: UP007  RQ's name
"""What `depends_on` may be (RQ)."""
UNEVALUATED: Final = object()
"""RQ's mark for what was not decoded yet; nothing here is equal to it."""

__all__ = [
    "CALLBACK_TIMEOUT",
    "UNEVALUATED",
    "UNSERIALIZABLE_RETURN_VALUE_PAYLOAD",
    "Callback",
    "Dependency",
    "Job",
    "JobDependencyType",
    "JobStatus",
    "Retry",
    "Webhook",
    "cancel_job",
    "get_current_job",
    "parse_job_id",
    "requeue_job",
    "validate_job_id",
]
