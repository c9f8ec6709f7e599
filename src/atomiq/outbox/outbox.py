"""`outbox.enqueue` and its siblings: jobs as rows in the caller's transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from atomiq._core.values import EnqueueData
from atomiq.outbox.callers import caller_of, write
from atomiq.outbox.making import Made, check_route, due_at, due_in, made_call, made_job, made_many, queue_of
from atomiq.outbox.nudging import NudgeAfter


class Outbox:
    """The rows of one route.

    Args:
        route: which relays move the rows: those that were started with the same one. Default '', as theirs. Give one to
            the queues of each Redis server, when they are on several.
    """

    def __init__(self, route: str = "") -> None:
        self.route = check_route(route)

    def enqueue(self, where: Any, queue: Any, func: Callable[..., Any] | str, *args: Any, **options: Any) -> Any:
        """Write a job into the outbox, in the caller's transaction; it is sent after COMMIT.

        Args:
            where: DB-API connection or cursor, SQLAlchemy Session or Connection, or Django connection.
            queue: a Queue, or the name of one on the server that the environment names.
            func, args, options: as `Queue.enqueue` takes them, without `pipeline`.

        Returns:
            The Job, which is not on the server yet.

        Raises:
            InvalidInput: a ValueError, as `Queue.enqueue`; PayloadTooLarge is one.
            NotInTransaction, OutboxTableMissing, OutboxTableVersion, OutboxReadOnly: OutboxErrors.
            TypeError: `where` is none of these. Other errors of the database come as they are.
        """
        chosen = queue_of(queue)
        return self._write(where, chosen, made_call(chosen, self.route, func, args, options))[0]

    def enqueue_at(
        self, where: Any, queue: Any, datetime: datetime, func: Callable[..., Any] | str, *args: Any, **options: Any
    ) -> Any:
        """`enqueue`, to run not before a time. A naive datetime is local time. Raises InvalidTime, too."""
        chosen = queue_of(queue)
        return self._write(where, chosen, made_call(chosen, self.route, func, args, options, due_at(datetime)))[0]

    def enqueue_in(
        self, where: Any, queue: Any, time_delta: timedelta, func: Callable[..., Any] | str, *args: Any, **options: Any
    ) -> Any:
        """`enqueue`, to run not before a delay, counted from now, has passed. Raises InvalidTime, too."""
        chosen = queue_of(queue)
        return self._write(where, chosen, made_call(chosen, self.route, func, args, options, due_in(time_delta)))[0]

    def enqueue_many(
        self, where: Any, queue: Any, job_datas: Iterable[EnqueueData], group_id: str | None = None
    ) -> list[Any]:
        """Calls made by `Queue.prepare_data`; they may depend on each other in any order. Raises what `enqueue` raises,
        InvalidJobDependency for a circle."""
        chosen = queue_of(queue)
        return self._write(where, chosen, made_many(chosen, self.route, job_datas, group_id))

    def enqueue_job(self, where: Any, queue: Any, job: Any, at_front: bool = False, unique: bool = False) -> Any:
        """A job that was made by `queue.create_job` or `Job.create`. Raises what `enqueue` raises."""
        chosen = queue_of(queue)
        return self._write(where, chosen, made_job(chosen, self.route, job, at_front, unique))[0]

    def _write(self, where: Any, queue: Any, made: Made) -> list[Any]:
        caller = caller_of(where)
        write(caller, made.rows)
        caller.after_commit(NudgeAfter(queue.connection, self.route))
        return made.jobs
