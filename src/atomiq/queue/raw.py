"""RQ's primitives of a queue, for loops that are no worker of ours: hand out, pop and push ids, RQ's maintenance lock.

A job that was handed out by `dequeue_any` is queued, and its id is in the intermediate list of its queue. It leaves it
when it becomes something else: `job.prepare_for_execution`, `job.set_status`, `registry.add`, `job.cancel` ... What
nobody has touched for a while goes back to its queue with the next upkeep of a worker.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any, Self, TypeVar

from atomiq._commands.base import as_bytes, as_is, plain, text
from atomiq._commands.raw import (
    Dequeued,
    Nothing,
    dequeue,
    enqueue_dependents,
    pop_job_id,
    push_job_id,
    view_scheduler,
)
from atomiq._core.errors import DequeueTimeout, InvalidTime, JobIsRunning
from atomiq._core.states import JobStatus
from atomiq._wire.sync import Store
from atomiq._wire.wait import Bell
from atomiq.intermediate_queue import IntermediateQueue
from atomiq.job import Job
from atomiq.queue.views import ViewedQueue
from atomiq.scripts import queue_name, release_lock
from atomiq.timeouts import UnixSignalDeathPenalty
from atomiq.utils import get_version

R = TypeVar("R")

MAINTENANCE_LOCK_S = 899
_LOOKS_EVERY = 0.25
"""Seconds. RQ's producers don't ring the bell, and what is due rings none."""


class RawQueue(ViewedQueue):
    """RQ's primitives."""

    @classmethod
    def from_queue_key(
        cls,
        queue_key: str,
        connection: Any,
        job_class: Any = None,
        serializer: Any = None,
        death_penalty_class: Any = None,
    ) -> Self:
        """The queue of a key such as `rq:queue:default` (RQ). Raises ValueError for another key."""
        name = queue_name(Store.of(connection).keys, queue_key)
        return cls(name, connection, job_class=job_class, serializer=serializer, **penalty_of(death_penalty_class))

    # -- handing out --------------------------------------------------------------------------------------------------

    @classmethod
    def dequeue_any(
        cls,
        queues: Sequence[Any],
        timeout: float | None,
        connection: Any,
        job_class: Any = None,
        serializer: Any = None,
        death_penalty_class: Any = None,
    ) -> tuple[Job, Self] | None:
        """The next job of the first of some queues that has one, for a loop that is no worker (RQ).

        One step: its id is moved to the intermediate list of its queue, whether one or several queues are asked, so
        that it isn't lost when this process dies. Due jobs count, those of paused queues don't.

        Args:
            queues: Queues, in order of priority.
            timeout: seconds to wait for a job; None: don't wait.
            job_class, serializer, death_penalty_class: those of the job and the queue that are returned.

        Returns:
            The job and its queue; None if there is none and `timeout` is None.

        Raises:
            DequeueTimeout: none came in time.
            InvalidTime: a ValueError; timeout zero or negative.
        """
        store = Store.of(connection)
        names = [queue.name for queue in queues]
        keys = [store.keys.queue(name) for name in names]
        hook = "lmove" if len(names) == 1 else "lpop"
        if not cls._hooks.is_ours(cls, hook):
            return cls._dequeue_by_hook(hook, keys, timeout, connection, job_class, serializer, death_penalty_class)
        taken = _until(store, names, timeout, keys[0] if len(keys) == 1 else keys, lambda: _take(store, names))
        if taken is None:
            return None
        queue = cls.from_queue_key(
            store.keys.queue(taken.queue), connection, job_class, serializer, death_penalty_class
        )
        return queue.job_class.from_hash(taken.job_id, taken.fields, connection, queue.serializer), queue

    @classmethod
    def _dequeue_by_hook(
        cls, hook: str, keys: list[str], timeout: float | None, connection: Any, *classes: Any
    ) -> tuple[Job, Self] | None:
        while True:
            found: Any
            if hook == "lmove":
                found = cls.lmove(connection, keys[0], timeout)
            else:
                found = cls.lpop(keys, timeout, connection=connection)
            if found is None:
                return None
            queue = cls.from_queue_key(text(found[0]), connection, *classes)
            (job,) = queue.job_class.fetch_many([text(found[1])], connection, queue.serializer)
            if job is not None:
                return job, queue

    @classmethod
    def lmove(cls, connection: Any, queue_key: str, timeout: float | None) -> tuple[str, bytes] | None:
        """The key and the next id of a queue, which moves to its intermediate list, as it is (RQ). `dequeue_any`
        without looking at the job. Arguments and errors are the same."""
        store = Store.of(connection)
        name = queue_name(store.keys, queue_key)
        move = plain(
            "LMOVE", (queue_key, store.keys.intermediate(name), "LEFT", "RIGHT"), _as_bytes, safe_to_repeat=False
        )
        moved = _until(store, [name], timeout, queue_key, lambda: store.run(move))
        return None if moved is None else (queue_key, moved)

    @classmethod
    def lpop(cls, queue_keys: Sequence[str], timeout: float | None, connection: Any = None) -> tuple[str, bytes] | None:
        """Key and id of the first job of some queues, which is then in no queue: 'created' (RQ). It is the caller's
        alone, and lost with it; `dequeue_any` is the safe way. Arguments and errors as there."""
        store = Store.of(connection)
        names = [queue_name(store.keys, key) for key in queue_keys]
        command = pop_job_id(store.keys, queues=names)
        popped = _until(store, names, timeout, list(queue_keys), lambda: store.run(command) if names else None)
        return None if popped is None else (store.keys.queue(popped[0]), as_bytes(popped[1]))

    def pop_job_id(self) -> str | None:
        """The first id off the queue, None if it is empty (RQ). Its job is then in no queue: 'created'."""
        popped = self._store.run(pop_job_id(self._store.keys, queues=[self.name]))
        return None if popped is None else popped[1]

    def push_job_id(self, job_id: str, pipeline: Any = None, at_front: bool = False) -> None:
        """Put an id into the queue by hand (RQ). Such a job, if there is one, leaves whatever it was in and is queued.

        A subclass may override it to see every job that is enqueued; jobs that go on later (a retry, a dependency that
        has ended) are moved by the server.

        Raises:
            JobIsRunning: the job runs. Not noticed in a pipeline; nothing happens then.
        """
        command = push_job_id(self._store.keys, queue=self.name, job_id=job_id, at_front=bool(at_front))
        if self._store.send(command, pipeline) == "busy":
            raise JobIsRunning(f"job {job_id} is running now and can't be pushed into queue {self.name!r}")

    def enqueue_dependents(
        self, job: Job, pipeline: Any = None, exclude_job_id: str | None = None, refresh_job_status: bool = True
    ) -> None:
        """Let the jobs go on that wait only for this one (RQ). Settling a job does that by itself.

        Args:
            pipeline: only add it to this pipeline; at most 100 then go on at once, the others with the next upkeep.
            exclude_job_id: the id of `job` itself: whatever its status, as it is about to change.
            refresh_job_status: False: by the status last seen.
        """
        status = "" if refresh_job_status else job.known_status.value
        if exclude_job_id == job.id:
            status = JobStatus.FINISHED.value
        command = enqueue_dependents(self._store.keys, job_id=job.id, status=status)
        while self._store.send(command, pipeline):
            pass

    # -- around -------------------------------------------------------------------------------------------------------

    @property
    def intermediate_queue(self) -> IntermediateQueue:
        """The ids that were handed out and are not started (RQ)."""
        return IntermediateQueue(self.key, connection=self.connection)

    @property
    def scheduler_pid(self) -> int | None:
        """Process id of what moves the due jobs of this queue: RQ's scheduler, else one of our workers; None if neither
        is there (RQ)."""
        return self._store.run(view_scheduler(self._store.keys, queue=self.name))

    def get_redis_server_version(self) -> tuple[int, int, int]:
        """Version that the server says it is compatible with (RQ); asked once."""
        known: tuple[int, int, int] | None = self.__dict__.get("_server_version")
        if known is None:
            known = self.__dict__["_server_version"] = get_version(self.connection)
        return known

    def acquire_maintenance_lock(self) -> bool:
        """Take the lock under which RQ's workers clean the registries of this queue, for 15 minutes (RQ). False: it is
        taken. Our workers need none."""
        args = (self.registry_cleaning_key, _owner(), "NX", "EX", MAINTENANCE_LOCK_S)
        return bool(self._store.run(plain("SET", args, as_is)))

    def release_maintenance_lock(self) -> None:
        """Give the lock back, if it is this process that has it (RQ frees anybody's)."""
        release_lock(self.connection, self.registry_cleaning_key, _owner())


def penalty_of(death_penalty_class: Any) -> dict[str, Any]:
    """The argument of `Queue`, its default for None."""
    return {"death_penalty_class": death_penalty_class or UnixSignalDeathPenalty}


def _owner() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def _as_bytes(reply: Any) -> bytes | None:
    return reply.encode() if isinstance(reply, str) else reply


def _take(store: Store, names: Sequence[str]) -> Dequeued | None:
    while names:
        answer = store.run(dequeue(store.keys, queues=names))
        if isinstance(answer, Dequeued):
            return answer
        if answer == Nothing(more=False):
            break
    return None


def _until(
    store: Store, names: Sequence[str], timeout: float | None, queue_keys: Any, take: Callable[[], R | None]
) -> R | None:
    """What `take` finds, waiting for it at most `timeout` seconds. Raises DequeueTimeout, InvalidTime."""
    if timeout is not None and timeout <= 0:
        raise InvalidTime(f"timeout={timeout} must be greater than 0 seconds; None means not to wait")
    found = take()
    if found is not None or timeout is None:
        return found
    deadline = time.monotonic() + timeout
    bell = Bell(store)
    try:
        while found is None and (left := deadline - time.monotonic()) > 0:
            if names:
                bell.listen(names, min(left, _LOOKS_EVERY))
                bell.read()
            else:
                time.sleep(left)
            found = take()
    finally:
        bell.close()
    if found is None:
        raise DequeueTimeout(timeout, queue_keys)
    return found
