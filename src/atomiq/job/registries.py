"""The registries that a job may be in. They are looked up by name: they are made of jobs themselves."""

from __future__ import annotations

from typing import Any, ClassVar

from atomiq._core.classes import lookup
from atomiq.job.telling import TellingJob


class RegisteredJob(TellingJob):
    """A job's registries, sync or asyncio as the job is."""

    _twins: ClassVar[str] = ""
    """What the names of their classes begin with, as `lookup` knows them."""

    @property
    def started_job_registry(self) -> Any:
        """StartedJobRegistry of its queue (RQ)."""
        return self._registry("StartedJobRegistry")

    @property
    def finished_job_registry(self) -> Any:
        """FinishedJobRegistry of its queue (RQ)."""
        return self._registry("FinishedJobRegistry")

    @property
    def failed_job_registry(self) -> Any:
        """FailedJobRegistry of its queue (RQ)."""
        return self._registry("FailedJobRegistry")

    def _registry(self, name: str) -> Any:
        kind = lookup(self._twins + name)
        return kind(self.origin, connection=self.connection, job_class=self.__class__, serializer=self.serializer)

    @property
    def execution_registry(self) -> Any:
        """ExecutionRegistry of this job (RQ)."""
        return lookup(f"{self._twins}ExecutionRegistry")(self.id, connection=self.connection)
