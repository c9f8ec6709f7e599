"""What the registries for sync and for asyncio have in common: which set they read, and with which commands."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

from atomiq._commands.base import Command
from atomiq._commands.change import Changed
from atomiq._commands.views import QueueCounts, view_queues
from atomiq._core.callref import import_attribute
from atomiq._core.errors import InvalidJobOperation, NoSuchJobError
from atomiq._core.ids import parse_job_id
from atomiq._core.keys import Keys
from atomiq._core.serial import resolve_serializer
from atomiq._core.timestamp import from_unix


class RegistryRecord:
    """A registry as a place: the name of its queue, its key, what it is made of. No I/O.

    Attributes:
        name: of the queue.
        key: of its sorted set.
        connection, serializer, job_class: what its jobs are fetched with.
    """

    container: ClassVar[str] = ""
    """Middle part of its key: `rq:<container>:<queue>`."""
    shown_as: ClassVar[str] = ""
    """Its field of QueueCounts."""
    outlives: ClassVar[bool] = False
    """Whether members can outlive their jobs, so that reading it heals it."""
    key_template: ClassVar[str] = "rq:registry:{0}"

    def __init__(
        self,
        name: str = "default",
        connection: Any = None,
        job_class: type[Any] | str | None = None,
        queue: Any = None,
        serializer: Any = None,
        death_penalty_class: Any = None,
    ) -> None:
        if queue is not None:
            name, connection, serializer = queue.name, queue.connection, queue.serializer
            job_class = job_class or getattr(queue, "job_class", None)
        if connection is None:
            raise TypeError(f"{type(self).__name__} needs a connection, or a queue")
        self.name = name
        self.connection = connection
        self.serializer = resolve_serializer(serializer)
        self.job_class: Any = (
            import_attribute(job_class) if isinstance(job_class, str) else job_class or self.default_job_class()
        )
        self.death_penalty_class = death_penalty_class
        self.key = self.key_of(self._keys(), name)

    def default_job_class(self) -> Any:
        """The class its jobs are fetched with when none is given."""
        raise NotImplementedError

    def _keys(self) -> Keys:
        raise NotImplementedError

    @classmethod
    def key_of(cls, keys: Keys, name: str) -> str:
        """Key of this registry of a queue."""
        return f"{keys.prefix}{cls.container}:{name}" if cls.container else f"{keys.prefix}registry:{name}"

    def counts(self, keys: Keys) -> Command[list[QueueCounts]]:
        """The view whose field `shown_as` is the size of this registry."""
        return view_queues(keys, queues=(self.name,))

    @staticmethod
    def parse_job_id(entry: str) -> str:
        """Job id of a member (RQ)."""
        return parse_job_id(entry)

    def check_requeued(self, job_id: str, changed: Changed) -> None:
        """Raise what a refused requeue means."""
        if changed.word == "gone":
            raise NoSuchJobError(f"No such job: {job_id}")
        if changed.word != "ok":
            raise InvalidJobOperation(
                f"job {job_id} is not in {self.key}, so it can't be requeued from there: it is {changed.was}"
            )

    def moment(self, job_id: str, score: float | None) -> datetime:
        """A member's score as a time; the far end of time stands for ever.

        Raises:
            NoSuchJobError: it isn't a member.
        """
        if score is None:
            raise NoSuchJobError(f"job {job_id} is not in {self.key}")
        if score == float("inf") or score == -1:
            return datetime.max.replace(tzinfo=UTC)
        return from_unix(score)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RegistryRecord):
            return NotImplemented
        mine, theirs = self.connection.connection_pool, other.connection.connection_pool
        return self.key == other.key and bool(mine.connection_kwargs == theirs.connection_kwargs)

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


class Started:
    """`rq:wip:<queue>`: jobs that run, members `job:execution`, scored by the end of their lease."""

    container: ClassVar[str] = "wip"
    shown_as: ClassVar[str] = "started"
    key_template: ClassVar[str] = "rq:wip:{0}"


class Finished:
    """`rq:finished:<queue>`: scored by when the result is forgotten."""

    container: ClassVar[str] = "finished"
    shown_as: ClassVar[str] = "finished"
    outlives: ClassVar[bool] = True
    key_template: ClassVar[str] = "rq:finished:{0}"


class Failed:
    """`rq:failed:<queue>`: failed and stopped jobs, scored by when they are forgotten; -1 is never."""

    container: ClassVar[str] = "failed"
    shown_as: ClassVar[str] = "failed"
    outlives: ClassVar[bool] = True
    key_template: ClassVar[str] = "rq:failed:{0}"


class Deferred:
    """`rq:deferred:<queue>`: jobs that wait for others, scored by when they were enqueued."""

    container: ClassVar[str] = "deferred"
    shown_as: ClassVar[str] = "deferred"
    outlives: ClassVar[bool] = True
    key_template: ClassVar[str] = "rq:deferred:{0}"


class Scheduled:
    """`rq:scheduled:<queue>`: jobs whose time has not come, scored by when it does."""

    container: ClassVar[str] = "scheduled"
    shown_as: ClassVar[str] = "scheduled"
    key_template: ClassVar[str] = "rq:scheduled:{0}"


class Canceled:
    """`rq:canceled:<queue>`: scored by when they were canceled."""

    container: ClassVar[str] = "canceled"
    shown_as: ClassVar[str] = "canceled"
    outlives: ClassVar[bool] = True
    key_template: ClassVar[str] = "rq:canceled:{0}"
