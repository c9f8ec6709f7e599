"""Enqueueing exactly when a transaction commits: what Django, SQLAlchemy and the outbox share (docs/transactions.md).

A queue that waits for commits makes and checks its jobs at once, and gives them, as `Held`, to a source: something that
knows of a transaction that is under way. The source drops them on ROLLBACK and sends them after COMMIT.

This module knows neither Django nor SQLAlchemy: who names one of them has its part of `atomiq.contrib` imported.
"""

from __future__ import annotations

import asyncio
import copy
import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol, Self, runtime_checkable

from atomiq._commands.base import Command
from atomiq._commands.enqueue import Enqueued, enqueue
from atomiq._core.errors import (
    AtomiqError,
    DuplicateJobError,
    InvalidJobDependency,
    InvalidOption,
    JobIsRunning,
    NotEnqueued,
)
from atomiq._core.log import get_logger
from atomiq._core.record import NewJob
from atomiq._core.settings import BYTES_PER_ENQUEUE_COMMAND, JOBS_PER_ENQUEUE_COMMAND
from atomiq._core.states import JobStatus
from atomiq._core.timestamp import settled_due
from atomiq._wire.aio import AsyncStore
from atomiq._wire.siblings import server_of
from atomiq._wire.sync import Store

_log: Final = get_logger("on_commit")
_PLUGINS: Final = {"django": "atomiq.contrib.django.commit", "sqlalchemy": "atomiq.contrib.sqlalchemy"}
_REFUSALS: Final = (DuplicateJobError, JobIsRunning, InvalidJobDependency)
"""Answers about one job; the server takes the others all the same."""


@dataclass(slots=True, eq=False)
class Held:
    """Jobs of one enqueue call, complete, checked and not sent.

    `alone`: sends them in a way of its own, a job that runs in the calling thread, say.
    """

    store: Store | AsyncStore
    queue: Any
    jobs: Sequence[Any]
    news: Sequence[NewJob]
    unique: bool = False
    group: str | None = None
    alone: Callable[[], object] | None = None

    def wait(self) -> bool:
        """Note on the jobs that they are made, and no more; True. Their delays count from now."""
        for job in self.jobs:
            job.remember_status(JobStatus.CREATED)
        now = datetime.now(UTC)
        for new in self.news:
            new.due_ms = settled_due(new.due_ms, now)
        return True

    @property
    def is_asyncio(self) -> bool:
        """Whether it takes an event loop to send them."""
        return isinstance(self.store, AsyncStore)


@runtime_checkable
class CommitSource(Protocol):
    """What knows of a transaction: keeps jobs until it commits, forgets them if it rolls back."""

    def hold(self, held: Held) -> bool:
        """Take jobs. False: no transaction is under way, and jobs are to be sent at once."""

    async def ahold(self, held: Held) -> bool:
        """The same for jobs of an asyncio queue."""


_within: Final[ContextVar[CommitSource | None]] = ContextVar("atomiq_on_commit", default=None)


def waits_for(own: CommitSource | None) -> CommitSource | None:
    """What a queue waits for now: the `job.transaction` that this code runs in, else its own source."""
    return _within.get() or own


@contextmanager
def holding(source: CommitSource) -> Iterator[None]:
    """Have every queue that is used in this block, in this thread or task, wait for a source."""
    token = _within.set(source)
    try:
        yield
    finally:
        _within.reset(token)


class AtOnce:
    """A source that holds nothing."""

    def hold(self, _held: Held) -> bool:
        return False

    async def ahold(self, _held: Held) -> bool:
        return False


def at_once() -> AbstractContextManager[None]:
    """Have every queue that is used in this block send at once, also in a transaction that its jobs would wait for."""
    return holding(AtOnce())


class WaitsForCommit:
    """A queue's part in it. `on_commit`: what all its jobs wait for; None: nothing."""

    on_commit: CommitSource | None = None

    def after_commit(self, of: Any) -> Self:
        """This queue, but what is enqueued by the returned one waits for a transaction's COMMIT (docs/transactions.md).

        Args:
            of: whose transaction; what `on_commit` of the constructor may be.
        """
        waiting = copy.copy(self)
        waiting.on_commit = source_of(of)
        return waiting


def source_of(given: Any) -> CommitSource | None:
    """The source that `on_commit=` means: 'django', 'django:alias', a SQLAlchemy session, scoped_session or the asyncio
    twins of these, a callable without arguments that returns such a session, a `CommitSource`; None is none.

    Raises:
        InvalidOption: a ValueError; anything else, or what it names is not installed.
    """
    if given is None:
        return None
    if isinstance(given, str):
        name, _, argument = given.partition(":")
        if name == "django":
            found: CommitSource = _plugin("django").source(argument or "default")
            return found
    elif _is_of_sqlalchemy(given):
        bound: CommitSource = _plugin("sqlalchemy").source(given)
        return bound
    elif isinstance(given, CommitSource):
        return given
    elif callable(given):
        return Late(given)
    raise InvalidOption(
        "on_commit must be 'django', 'django:alias', a SQLAlchemy session or a function that returns one, "
        f"not {type(given).__name__}: {given!r}"
    )


class Late:
    """A source that is asked for with each enqueue: the session of the request, say."""

    def __init__(self, find: Callable[[], Any]) -> None:
        self._find = find

    def hold(self, held: Held) -> bool:
        return self._now().hold(held)

    async def ahold(self, held: Held) -> bool:
        return await self._now().ahold(held)

    def _now(self) -> CommitSource:
        found = source_of(self._find())
        if found is None:
            raise InvalidOption(f"on_commit: {self._find!r} returned None; it must return the session of this moment")
        return found


def check_no_pipeline(pipeline: Any) -> None:
    """Refuse a pipeline where jobs wait for a commit: they can't be sent at two times.

    Raises:
        InvalidOption: a ValueError.
    """
    if pipeline is not None:
        raise InvalidOption("pipeline= says when the jobs are sent, and so does the transaction: give one of them")


def _plugin(name: str) -> Any:
    try:
        return importlib.import_module(_PLUGINS[name])
    except ImportError as error:
        raise InvalidOption(f"on_commit: {name} can't be used here: {error}") from error


def _is_of_sqlalchemy(given: Any) -> bool:
    return any(base.__module__.startswith("sqlalchemy.") for base in type(given).__mro__)


# -- sending ----------------------------------------------------------------------------------------------------------


def send_all(helds: Sequence[Held]) -> None:
    """Send jobs after COMMIT, in order; those of one server in one round trip.

    A job of `unique=True` whose id exists meanwhile is left out, with a line in the log: what was wanted is there.

    Raises:
        NotEnqueued: some could not be sent; the others were.
    """
    failed: list[tuple[Held, Exception]] = []
    for parts in _by_server(helds):
        for at, part in enumerate(parts):
            try:
                _send(part)
            except _REFUSALS as error:
                failed += _refused(part, error) if len(part) == 1 else _one_by_one(part)
            except AtomiqError as error:
                failed += [(held, error) for part in parts[at:] for held in part]
                break
    _finish(failed)


async def asend_all(helds: Sequence[Held]) -> None:
    """`send_all` for jobs of asyncio queues. Who is cancelled meanwhile sends them first: the rows are committed."""
    sending = asyncio.ensure_future(_asend_all(helds))
    cancelled: asyncio.CancelledError | None = None
    while not sending.done():
        try:
            await asyncio.wait([sending])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is None:
        sending.result()
        return
    if not sending.cancelled() and (failure := sending.exception()) is not None:
        _log.error("After COMMIT, and cancelled: %s", failure)
    raise cancelled


async def _asend_all(helds: Sequence[Held]) -> None:
    failed: list[tuple[Held, Exception]] = []
    for parts in _by_server(helds):
        for at, part in enumerate(parts):
            try:
                await _asend(part)
            except _REFUSALS as error:
                failed += _refused(part, error) if len(part) == 1 else await _aone_by_one(part)
            except AtomiqError as error:
                failed += [(held, error) for part in parts[at:] for held in part]
                break
    _finish(failed)


def _send(part: list[Held]) -> None:
    alone, store = part[0].alone, part[0].store
    if alone is not None:
        alone()
        return
    assert isinstance(store, Store)
    _mark(part, store.run(_command(part)))


async def _asend(part: list[Held]) -> None:
    store = part[0].store
    assert isinstance(store, AsyncStore)
    _mark(part, await store.run(_command(part)))


def _one_by_one(part: list[Held]) -> list[tuple[Held, Exception]]:
    failed: list[tuple[Held, Exception]] = []
    for held in part:
        try:
            _send([held])
        except AtomiqError as error:
            failed += _refused([held], error)
    return failed


async def _aone_by_one(part: list[Held]) -> list[tuple[Held, Exception]]:
    failed: list[tuple[Held, Exception]] = []
    for held in part:
        try:
            await _asend([held])
        except AtomiqError as error:
            failed += _refused([held], error)
    return failed


def _refused(part: list[Held], error: Exception) -> list[tuple[Held, Exception]]:
    if isinstance(error, DuplicateJobError) and not isinstance(error, JobIsRunning):
        _log.info("After COMMIT: %s", error)
        return []
    return [(held, error) for held in part]


def _finish(failed: list[tuple[Held, Exception]]) -> None:
    if not failed:
        return
    jobs = [job for held, _ in failed for job in held.jobs]
    first = failed[0][1]
    ids = ", ".join(job.id for job in jobs[:10]) + (", ..." if len(jobs) > 10 else "")
    unsent = [held for held, _ in failed]
    raise NotEnqueued(
        f"the transaction was committed, but {len(jobs)} of its jobs could not be enqueued ({ids}): {first}. The rows "
        "are there, the jobs in this process only: enqueue_again() of this error sends them. The outbox loses none.",
        jobs,
        lambda: (asend_all if unsent[0].is_asyncio else send_all)(unsent),
    ) from first


def _by_server(helds: Sequence[Held]) -> list[list[list[Held]]]:
    """For each server its jobs in order, in parts that one command may carry. Queues may have a client each, and a job
    that came before the one it depends on would not wait for it."""
    names = {id(held.store): server_of(held.store.connection) for held in helds}
    servers: dict[Any, list[list[Held]]] = {}
    for held in helds:
        parts = servers.setdefault(names[id(held.store)], [])
        if parts and _go_together(parts[-1], held):
            parts[-1].append(held)
        else:
            parts.append([held])
    return list(servers.values())


def _go_together(part: list[Held], held: Held) -> bool:
    last = part[-1]
    if last.alone or held.alone or last.unique or held.unique or last.group != held.group:
        return False
    both = [*part, held]
    count = sum(len(each.news) for each in both)
    size = sum(len(job.data) for each in both for job in each.jobs)
    return count <= JOBS_PER_ENQUEUE_COMMAND and size <= BYTES_PER_ENQUEUE_COMMAND


def _command(part: list[Held]) -> Command[list[Enqueued]]:
    first = part[0]
    news = [new for held in part for new in held.news]
    return enqueue(first.store.keys, jobs=news, unique=first.unique, group=first.group)


def _mark(part: list[Held], answers: list[Enqueued]) -> None:
    jobs = [job for held in part for job in held.jobs]
    for job, done in zip(jobs, answers, strict=True):
        job.mark_enqueued(done.word, done.enqueued_at_ms)
