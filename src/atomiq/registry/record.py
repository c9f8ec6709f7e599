"""What the registries for sync and for asyncio have in common: which set they read, and with which commands."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar, Final

from atomiq._commands.base import Command
from atomiq._commands.change import Changed
from atomiq._commands.registry import Entered, Left, enter_registry, leave_registry
from atomiq._commands.views import QueueCounts, view_queues
from atomiq._core.callref import import_attribute
from atomiq._core.errors import InvalidJobOperation, JobIsRunning, NoSuchJobError, NotInRegistry
from atomiq._core.ids import parse_job_id
from atomiq._core.keys import DEFAULT_PREFIX, Keys
from atomiq._core.serial import resolve_serializer
from atomiq._core.states import CONTAINER
from atomiq._core.timestamp import check_due, from_unix
from atomiq.timeouts import get_default_death_penalty_class


class RegistryRecord:
    """A registry as a place: the name of its queue, its key, what it is made of. No I/O.

    Attributes:
        name: of the queue.
        key: of its sorted set.
        connection, serializer, job_class: what its jobs are fetched with.
        death_penalty_class: how callbacks of abandoned jobs are limited (RQ).
    """

    key_template: ClassVar[str] = "rq:registry:{0}"
    """Its key under the default prefix."""
    stands_for: ClassVar[str] = ""
    """The status of its jobs, and its field of QueueCounts. Empty: a set of ids that says nothing about their jobs."""
    outlives: ClassVar[bool] = False
    """Whether members can outlive their jobs, so that reading it heals it."""
    job_class: Any
    death_penalty_class: Any = get_default_death_penalty_class()

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
        if job_class is not None:
            self.job_class = import_attribute(job_class) if isinstance(job_class, str) else job_class
        if death_penalty_class is not None:
            self.death_penalty_class = death_penalty_class
        self.key = self.key_of(self._keys(), name)

    def _keys(self) -> Keys:
        raise NotImplementedError

    @classmethod
    def key_of(cls, keys: Keys, name: str) -> str:
        """Key of this registry of a queue."""
        return keys.prefix + cls.key_template.removeprefix(DEFAULT_PREFIX).format(name)

    @property
    def _status(self) -> str:
        """What its jobs are; empty for a class of somebody's own that keeps them under another key."""
        return self.stands_for if self.key_template == _TEMPLATES.get(self.stands_for) else ""

    def _counts(self) -> Command[list[QueueCounts]] | None:
        """The view of which the field `stands_for` is the size of this registry; None if there is none."""
        return view_queues(self._keys(), queues=(self.name,)) if self._status else None

    def _entering(self, job_id: str, **settings: Any) -> Command[Entered]:
        """A job into this registry, out of wherever it was."""
        return enter_registry(
            self._keys(), registry=self.key, queue=self.name, status=self._status, job_id=job_id, **settings
        )

    def _leaving(self, job_id: str, delete: bool = False) -> Command[Left]:
        return leave_registry(
            self._keys(), registry=self.key, queue=self.name, status=self._status, job_id=job_id, delete=delete
        )

    def check_entered(self, job_id: str, entered: Entered) -> int:
        """1 if it was not there before, else 0. Raises JobIsRunning: it runs."""
        if entered.word == "busy":
            raise JobIsRunning(f"job {job_id} runs, so it can't be put into {self.key}; it leaves by ending")
        return entered.added

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
            NotInRegistry: a NoSuchJobError and TypeError; it isn't a member.
        """
        if score is None:
            raise NotInRegistry(f"job {job_id} is not in {self.key}")
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


_TEMPLATES: Final = {
    status.value: f"rq:{container}:{{0}}" for status, container in CONTAINER.items() if container is not None
}


class Started:
    """`rq:wip:<queue>`: jobs that run, members `job:execution`, scored by the end of their lease."""

    key_template: ClassVar[str] = "rq:wip:{0}"
    stands_for: ClassVar[str] = "started"


class Finished:
    """`rq:finished:<queue>`: scored by when the result is forgotten."""

    key_template: ClassVar[str] = "rq:finished:{0}"
    stands_for: ClassVar[str] = "finished"
    outlives: ClassVar[bool] = True


class Failed:
    """`rq:failed:<queue>`: failed and stopped jobs, scored by when they are forgotten; -1 is never."""

    key_template: ClassVar[str] = "rq:failed:{0}"
    stands_for: ClassVar[str] = "failed"
    outlives: ClassVar[bool] = True


class Deferred:
    """`rq:deferred:<queue>`: jobs that wait for others, scored by when they were enqueued."""

    key_template: ClassVar[str] = "rq:deferred:{0}"
    stands_for: ClassVar[str] = "deferred"
    outlives: ClassVar[bool] = True


class Scheduled(RegistryRecord):
    """`rq:scheduled:<queue>`: jobs whose time has not come, scored by when it does."""

    key_template: ClassVar[str] = "rq:scheduled:{0}"
    stands_for: ClassVar[str] = "scheduled"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """As for the other registries (RQ)."""
        super().__init__(*args, **kwargs)

    def _scheduling(self, job: Any, scheduled_datetime: datetime) -> Command[Entered]:
        """Raises InvalidTime, a ValueError: not a datetime, or out of range."""
        score = f"{check_due(scheduled_datetime, 'scheduled_datetime') / 1000:.3f}"
        known = isinstance(job, str) or job.was_stored()
        fields = None if known else job.to_new_job().fields
        return self._entering(job if isinstance(job, str) else job.id, score=score, fields=fields)


class Canceled:
    """`rq:canceled:<queue>`: scored by when they were canceled."""

    key_template: ClassVar[str] = "rq:canceled:{0}"
    stands_for: ClassVar[str] = "canceled"
    outlives: ClassVar[bool] = True
