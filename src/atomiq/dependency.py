"""Which of several jobs may run as far as their dependencies go (RQ's rq.dependency)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from atomiq.job import Job


class Dependency:
    """RQ's helper of this name; what `depends_on` takes is `atomiq.Dependency`."""

    @classmethod
    def get_jobs_with_met_dependencies(cls, jobs: Iterable[Job], pipeline: Any) -> tuple[list[Job], list[Job]]:
        """Those whose dependencies are all gone, finished or allowed to fail, and the others (RQ). `pipeline` has no
        effect: nothing needs to be watched, as enqueue looks again in the step that it takes."""
        met: list[Job] = []
        open_: list[Job] = []
        for job in jobs:
            (met if job.dependencies_are_met() else open_).append(job)
        return met, open_
