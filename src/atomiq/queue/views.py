"""A queue as it is looked at, and what is taken off it: the part of `Queue` that makes no jobs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, Self

from atomiq._commands.queues import EMPTIED_AT_ONCE, delete_queue, empty_queue, pause_queue, remove_from_queue
from atomiq._commands.raw import WORTH_COMPACTING, compact_queue
from atomiq._commands.views import QueueCounts, view_length, view_list, view_position, view_queues
from atomiq._core.ids import parse_job_id
from atomiq._wire.sync import Store
from atomiq.job import Job
from atomiq.queue.base import BaseQueue, job_id_of
from atomiq.registry import (
    CanceledJobRegistry,
    DeferredJobRegistry,
    FailedJobRegistry,
    FinishedJobRegistry,
    ScheduledJobRegistry,
    StartedJobRegistry,
)

_ROUNDS = 1000
"""Steps for what comes anew meanwhile: a queue that others fill all the time has no end."""


class ViewedQueue(BaseQueue[Job]):
    """Looking, and taking away."""

    job_class: type[Job] = Job

    @cached_property
    def _store(self) -> Store:
        return Store.of(self.connection)

    # -- looking ------------------------------------------------------------------------------------------------------

    @property
    def key(self) -> str:
        """Key of the list of waiting ids (RQ)."""
        return self._store.keys.queue(self.name)

    @property
    def intermediate_queue_key(self) -> str:
        """Key of the list that RQ's workers move ids through (RQ)."""
        return self._store.keys.intermediate(self.name)

    @property
    def registry_cleaning_key(self) -> str:
        """Key of RQ's maintenance lock (RQ); never taken by atomiq."""
        return self._store.keys.cleaning(self.name)

    @property
    def count(self) -> int:
        """Number of waiting jobs (RQ)."""
        return self._store.run(view_length(self._store.keys, queue=self.name))

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Self]:
        yield self

    def is_empty(self) -> bool:
        """Whether no job waits (RQ)."""
        return self.count == 0

    def counts(self) -> QueueCounts:
        """Sizes of the queue and of its registries at one instant."""
        return self._store.run(view_queues(self._store.keys, queues=[self.name]))[0]

    @property
    def job_ids(self) -> list[str]:
        """Ids of the waiting jobs, next one first (RQ)."""
        return self.get_job_ids()

    def get_job_ids(self, offset: int = 0, length: int = -1) -> list[str]:
        """Ids of `length` waiting jobs from a position; a negative length counts from the end; -1, (0, 0): all (RQ)."""
        end = offset + length - 1 if length >= 0 else length
        return self._store.run(view_list(self._store.keys, queue=self.name, start=offset, end=end))

    @property
    def jobs(self) -> list[Job]:
        """The waiting jobs, next one first (RQ)."""
        return self.get_jobs()

    def get_jobs(self, offset: int = 0, length: int = -1) -> list[Job]:
        """`length` waiting jobs from a position (RQ). Ids whose job is gone are taken off the queue on the way."""
        ids = self.get_job_ids(offset, length)
        jobs = self.job_class.fetch_many(ids, connection=self.connection, serializer=self.serializer)
        gone = [job_id for job_id, job in zip(ids, jobs, strict=True) if job is None]
        if len(gone) > WORTH_COMPACTING:
            self.compact()
        else:
            for job_id in gone:
                self.remove(job_id)
        return [job for job in jobs if job is not None and job.origin == self.name]

    def fetch_job(self, job_id: str) -> Job | None:
        """A job of this queue by its id, whatever its status; None if it is gone or of another queue (RQ)."""
        job_id = parse_job_id(job_id)
        job = self.job_class.fetch_many([job_id], connection=self.connection, serializer=self.serializer)[0]
        if job is None:
            self.remove(job_id)
            return None
        return job if job.origin == self.name else None

    def get_job_position(self, job_or_id: Job | str) -> int | None:
        """Place in the queue, 0 is next; None when it doesn't wait here (RQ). O(length of the queue)."""
        job_id = job_id_of(job_or_id)
        return self._store.run(view_position(self._store.keys, queue=self.name, job_id=job_id))

    # -- taking away --------------------------------------------------------------------------------------------------

    def empty(self) -> int:
        """Delete all waiting jobs (RQ). Returns how many."""
        return self._empty(detach=False)

    def _empty(self, detach: bool) -> int:
        emptying = empty_queue(self._store.keys, queue=self.name, detach=detach)
        total, left = self._store.run(emptying)
        for _ in range(_ROUNDS + left // EMPTIED_AT_ONCE):
            if not left:
                break
            removed, left = self._store.run(emptying)
            total += removed
        return total

    def delete(self, delete_jobs: bool = True) -> None:
        """Forget the queue: its waiting jobs are deleted, or only taken off it with `delete_jobs=False` (RQ)."""
        for _ in range(_ROUNDS):
            self._empty(detach=not delete_jobs)
            if self._store.run(delete_queue(self._store.keys, queue=self.name)) == "ok":
                return

    def remove(self, job_or_id: Job | str, pipeline: Any = None) -> int:
        """Take a job off the queue without deleting it; it is then 'created', in no queue (RQ). Returns how many."""
        job_id = job_id_of(job_or_id)
        return self._store.send(remove_from_queue(self._store.keys, queue=self.name, job_id=job_id), pipeline) or 0

    def compact(self) -> None:
        """Take the ids off the queue whose job is gone (RQ). They would leave it when a worker meets them."""
        offset: int | None = 0
        while offset is not None:
            page = self._store.run(compact_queue(self._store.keys, queue=self.name, offset=offset))
            offset = page.next_offset

    def pause(self) -> None:
        """Let no worker take jobs of this queue. RQ's own workers don't know of it."""
        self._store.run(pause_queue(self._store.keys, queue=self.name))

    def resume(self) -> None:
        """Let workers take jobs of this queue again."""
        self._store.run(pause_queue(self._store.keys, queue=self.name, paused=False))

    @property
    def is_paused(self) -> bool:
        """Whether the queue is paused."""
        return self.counts().paused

    # -- its registries ------------------------------------------------------------------------------------------------

    @property
    def started_job_registry(self) -> StartedJobRegistry:
        """StartedJobRegistry of this queue (RQ)."""
        return StartedJobRegistry(queue=self)

    @property
    def finished_job_registry(self) -> FinishedJobRegistry:
        """FinishedJobRegistry of this queue (RQ)."""
        return FinishedJobRegistry(queue=self)

    @property
    def failed_job_registry(self) -> FailedJobRegistry:
        """FailedJobRegistry of this queue (RQ)."""
        return FailedJobRegistry(queue=self)

    @property
    def deferred_job_registry(self) -> DeferredJobRegistry:
        """DeferredJobRegistry of this queue (RQ)."""
        return DeferredJobRegistry(queue=self)

    @property
    def scheduled_job_registry(self) -> ScheduledJobRegistry:
        """ScheduledJobRegistry of this queue (RQ)."""
        return ScheduledJobRegistry(queue=self)

    @property
    def canceled_job_registry(self) -> CanceledJobRegistry:
        """CanceledJobRegistry of this queue (RQ)."""
        return CanceledJobRegistry(queue=self)
