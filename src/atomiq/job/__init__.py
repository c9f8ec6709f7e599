"""Jobs, and the options that are about one job (RQ's rq.job)."""

from __future__ import annotations

from atomiq._core.ids import parse_job_id, validate_job_id
from atomiq._core.states import JobStatus
from atomiq._core.values import Callback, Dependency, Retry
from atomiq.job.current import get_current_job
from atomiq.job.job import Job, cancel_job, requeue_job

__all__ = [
    "Callback",
    "Dependency",
    "Job",
    "JobStatus",
    "Retry",
    "cancel_job",
    "get_current_job",
    "parse_job_id",
    "requeue_job",
    "validate_job_id",
]
