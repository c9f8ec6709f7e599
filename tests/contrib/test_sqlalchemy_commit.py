"""Jobs that wait for a SQLAlchemy session: sent after COMMIT, in order, in one round trip; never after a rollback."""

from __future__ import annotations

import gc
import logging
import weakref
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import Mock

import pytest
import redis
from sqlalchemy import Column, Engine, Integer, MetaData, Table, create_engine, insert
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from tests.tasks import add, nothing

import atomiq
from atomiq import Queue
from atomiq.contrib.sqlalchemy import SessionCommit, enqueue_on_commit
from atomiq.exceptions import InvalidInput, InvalidJobOperation, NotEnqueued, NotInTransaction
from atomiq.group import Group
from atomiq.job import JobStatus
from atomiq.on_commit import at_once

metadata = MetaData()
rows = Table("rows", metadata, Column("id", Integer, primary_key=True))


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = create_engine(f"sqlite:///{tmp_path / 'rows.sqlite'}")
    metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    with Session(engine) as session:
        yield session


@pytest.fixture
def queue(redis_connection: redis.Redis) -> Queue:
    return Queue(connection=redis_connection)


def write(session: Session) -> None:
    session.execute(insert(rows))


def test_sent_after_commit(session: Session, queue: Queue) -> None:
    write(session)
    job = enqueue_on_commit(session, queue, add, 1, y=2, job_id="sum", result_ttl=60)
    assert (job.id, job.get_status(refresh=False), queue.job_ids) == ("sum", JobStatus.CREATED, [])
    session.commit()
    assert queue.job_ids == ["sum"]
    assert job.get_status(refresh=False) is JobStatus.QUEUED
    stored = queue.fetch_job("sum")
    assert stored is not None
    assert (stored.args, stored.kwargs, stored.result_ttl) == ((1,), {"y": 2}, 60)


def test_nothing_after_rollback(session: Session, queue: Queue) -> None:
    write(session)
    enqueue_on_commit(session, queue, nothing)
    session.rollback()
    write(session)
    session.commit()
    assert queue.count == 0


def test_nothing_after_close(session: Session, queue: Queue) -> None:
    enqueue_on_commit(session, queue, nothing)
    session.close()
    session.commit()
    assert queue.count == 0


def test_before_the_first_statement_a_transaction_begins(session: Session, queue: Queue) -> None:
    """A session in no transaction begins one, as for any use of it: a rollback must find something to drop."""
    enqueue_on_commit(session, queue, nothing, job_id="dropped")
    assert session.in_transaction()
    session.rollback()
    enqueue_on_commit(session, queue, nothing, job_id="sent")
    session.commit()
    assert queue.job_ids == ["sent"]


def test_without_autobegin_there_must_be_a_transaction(engine: Engine, queue: Queue) -> None:
    with Session(engine, autobegin=False) as session:
        with pytest.raises(NotInTransaction, match="begin"):
            enqueue_on_commit(session, queue, nothing)
        with session.begin():
            enqueue_on_commit(session, queue, nothing, job_id="sent")
            assert queue.count == 0
    assert queue.job_ids == ["sent"]


def test_a_savepoint_that_rolls_back_drops_its_own(session: Session, queue: Queue) -> None:
    enqueue_on_commit(session, queue, nothing, job_id="outer-1")
    with session.begin_nested():
        write(session)
        enqueue_on_commit(session, queue, nothing, job_id="kept")
        with session.begin_nested() as inner:
            enqueue_on_commit(session, queue, nothing, job_id="inner")
            inner.rollback()
    with pytest.raises(ZeroDivisionError), session.begin_nested():  # noqa: PT012
        with session.begin_nested():
            enqueue_on_commit(session, queue, nothing, job_id="released-then-rolled-back")
        raise ZeroDivisionError
    enqueue_on_commit(session, queue, nothing, job_id="outer-2")
    assert queue.count == 0
    session.commit()
    assert queue.job_ids == ["outer-1", "kept", "outer-2"]


def test_a_released_savepoint_is_no_commit(session: Session, queue: Queue) -> None:
    with session.begin_nested():
        enqueue_on_commit(session, queue, nothing)
    assert queue.count == 0
    session.rollback()
    session.commit()
    assert queue.count == 0


def test_commit_from_within_savepoints(session: Session, queue: Queue) -> None:
    """Session.commit() commits whatever savepoints are open."""
    session.begin_nested()
    enqueue_on_commit(session, queue, nothing, job_id="1")
    session.begin_nested()
    enqueue_on_commit(session, queue, nothing, job_id="2")
    session.commit()
    assert queue.job_ids == ["1", "2"]


def test_one_round_trip_in_order(session: Session, queue: Queue, redis_connection: redis.Redis) -> None:
    other = Queue("other", connection=redis_connection)
    for number in range(20):
        enqueue_on_commit(session, (queue, other)[number % 2], nothing, job_id=f"{number}")
    queue.after_commit(session).enqueue_many([Queue.prepare_data(nothing, job_id=f"many-{n}") for n in range(3)])
    before = calls(redis_connection)
    session.commit()
    assert calls(redis_connection) - before == 1
    assert queue.job_ids == [*(f"{n}" for n in range(0, 20, 2)), "many-0", "many-1", "many-2"]
    assert other.job_ids == [f"{n}" for n in range(1, 20, 2)]


def test_in_order_over_clients_of_a_server(session: Session, queue: Queue, redis_url: str) -> None:
    """Each queue has a client of its own. All jobs of the first client were sent first: a job whose dependency is in
    the other's queue found nothing to wait for, and ran before it."""
    with atomiq.connect(redis_url) as connection:
        enqueue_on_commit(session, queue, nothing)
        parent = enqueue_on_commit(session, Queue("other", connection=connection), nothing)
        child = enqueue_on_commit(session, queue, nothing, depends_on=parent)
        session.commit()
    assert queue.deferred_job_registry.get_job_ids() == [child.id]


def test_a_session_that_is_given_up(engine: Engine, queue: Queue) -> None:
    """Nobody closed it. It is collected all the same, and its connection is back in the pool, as without jobs."""
    session = Session(engine)
    write(session)
    enqueue_on_commit(session, queue, nothing)
    seen = weakref.ref(session)
    del session
    gc.collect()
    assert seen() is None
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    assert queue.count == 0


def calls(connection: redis.Redis) -> int:
    """How many scripts the server has run."""
    stats: Any = connection.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("eval", "evalsha"))


def test_errors_are_the_callers(session: Session, queue: Queue) -> None:
    with pytest.raises(InvalidInput, match="lambda"):
        enqueue_on_commit(session, queue, lambda: None)
    with pytest.raises(InvalidInput):
        enqueue_on_commit(session, queue, add, lambda: 1)
    with pytest.raises(InvalidInput, match="pipeline"):
        enqueue_on_commit(session, queue, nothing, pipeline=queue.connection.pipeline())
    session.commit()
    assert queue.count == 0


def test_a_delay_counts_from_the_call(
    session: Session, redis_connection: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transaction was under way for three minutes before it committed."""
    queue = Queue(connection=redis_connection, on_commit=session)
    called = datetime.now(UTC) - timedelta(minutes=3)
    with monkeypatch.context() as patch:
        patch.setattr("atomiq.on_commit.datetime", Mock(now=Mock(return_value=called)))
        later = queue.enqueue_in(timedelta(hours=1), nothing)
    session.commit()
    due = queue.scheduled_job_registry.get_scheduled_time(later)
    assert abs(due - called - timedelta(hours=1)) < timedelta(milliseconds=2)


def test_every_way_to_enqueue_waits(session: Session, redis_connection: redis.Redis) -> None:
    queue = Queue(connection=redis_connection, on_commit=session)
    first = queue.enqueue(nothing)
    dependent = queue.enqueue(nothing, depends_on=first)
    later = queue.enqueue_in(timedelta(hours=1), nothing)
    at_front = queue.enqueue_call(nothing, at_front=True)
    made = queue.create_job(nothing)
    queue.enqueue_job(made)
    members = Group.create(redis_connection, "g").enqueue_many(queue, [Queue.prepare_data(nothing)])
    assert (queue.count, redis_connection.dbsize()) == (0, 0)
    session.commit()
    assert queue.job_ids == [at_front.id, first.id, made.id, members[0].id]
    assert queue.deferred_job_registry.get_job_ids() == [dependent.id]
    assert queue.scheduled_job_registry.get_job_ids() == [later.id]
    assert Group.create(redis_connection, "g").get_jobs() == members


class Pushing(Queue):
    """Wants to be called for each id, as RQ's users may."""

    pushed: ClassVar[list[str]] = []

    def push_job_id(self, job_id: str, pipeline: Any = None, at_front: bool = False) -> Any:
        self.pushed.append(job_id)
        return super().push_job_id(job_id, pipeline=pipeline, at_front=at_front)


def test_hooks_are_called_at_the_commit(session: Session, redis_connection: redis.Redis) -> None:
    Pushing.pushed.clear()
    queue = Pushing(connection=redis_connection, on_commit=session)
    ids = [queue.enqueue(nothing).id, *(job.id for job in queue.enqueue_many([Queue.prepare_data(nothing)] * 2))]
    assert (Pushing.pushed, queue.count) == ([], 0)
    session.commit()
    assert Pushing.pushed == queue.job_ids == ids
    with at_once():
        ids += [queue.enqueue(nothing).id, queue.enqueue_many([Queue.prepare_data(nothing)])[0].id]
        assert Pushing.pushed == queue.job_ids == ids


def test_at_once(session: Session, redis_connection: redis.Redis) -> None:
    queue = Queue(connection=redis_connection, on_commit=session)
    with at_once():
        job = queue.enqueue(nothing)
        assert (queue.job_ids, job.get_status(refresh=False)) == ([job.id], JobStatus.QUEUED)
    queue.enqueue(nothing)
    assert queue.count == 1


def test_a_scoped_session_and_a_function(engine: Engine, redis_connection: redis.Redis) -> None:
    scoped = scoped_session(sessionmaker(engine))
    for given in (scoped, lambda: scoped, SessionCommit(scoped)):
        queue = Queue(connection=redis_connection, on_commit=given)
        queue.empty()
        queue.enqueue(nothing, job_id="dropped")
        scoped.remove()
        queue.enqueue(nothing, job_id="sent")
        scoped.commit()
        assert queue.job_ids == ["sent"]
    scoped.remove()


def test_what_can_not_be_waited_for(engine: Engine, redis_connection: redis.Redis) -> None:
    for nonsense in ("flask", 7, engine, sessionmaker(engine)):
        with pytest.raises(ValueError, match="session"):
            Queue(connection=redis_connection, on_commit=nonsense)
    with pytest.raises(ValueError, match="None"):
        Queue(connection=redis_connection, on_commit=lambda: None).enqueue(nothing)


def test_in_the_calling_thread(session: Session, redis_connection: redis.Redis) -> None:
    """is_async=False: the job runs at the commit, when its rows are there."""
    queue = Queue(connection=redis_connection, is_async=False, on_commit=session)
    job = queue.enqueue(add, 1, 2)
    assert job.get_status(refresh=False) is JobStatus.CREATED
    session.commit()
    assert job.return_value() == 3


def test_the_server_is_down_when_rows_are_committed(session: Session, queue: Queue, engine: Engine) -> None:
    """The commit says that the jobs are missing; rows and session are as ever; the jobs can be sent again."""
    nowhere = Queue("nowhere", connection=redis.Redis(port=1, retry=None))
    write(session)
    jobs = [enqueue_on_commit(session, nowhere, nothing) for _ in range(2)]
    enqueue_on_commit(session, queue, nothing, job_id="elsewhere")
    with pytest.raises(NotEnqueued, match=f"2 of its jobs could not be enqueued .{jobs[0].id}") as raised:
        session.commit()
    assert raised.value.jobs == jobs
    assert queue.job_ids == ["elsewhere"]
    with Session(engine) as other:
        assert len(other.execute(rows.select()).all()) == 1
    write(session)
    session.commit()
    with pytest.raises(NotEnqueued):
        raised.value.enqueue_again()
    for job in jobs:
        job.connection.connection_pool = queue.connection.connection_pool
    raised.value.enqueue_again()
    assert Queue("nowhere", connection=queue.connection).job_ids == [job.id for job in jobs]


def test_the_server_is_down_at_the_end_of_a_block(engine: Engine) -> None:
    """`with sessions.begin()`, which rolls back what it can't commit, takes it for committed."""
    nowhere = Queue(connection=redis.Redis(port=1, retry=None))
    with pytest.raises(NotEnqueued), sessionmaker(engine).begin() as session:  # noqa: PT012
        write(session)
        enqueue_on_commit(session, nowhere, nothing)
    with Session(engine) as other:
        assert len(other.execute(rows.select()).all()) == 1


def test_robust_only_logs(session: Session, caplog: pytest.LogCaptureFixture) -> None:
    nowhere = Queue(connection=redis.Redis(port=1, retry=None), on_commit=SessionCommit(session, robust=True))
    job = nowhere.enqueue(nothing)
    session.commit()
    assert job.id in caplog.text


def test_one_that_is_refused_keeps_no_other_from_its_queue(
    session: Session, queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    """unique=True and the id exists: what was wanted is there. A running one is an error, after the others are sent."""
    caplog.set_level(logging.INFO, "atomiq.on_commit")
    queue.enqueue(nothing, job_id="there")
    running = queue.enqueue(nothing, job_id="running")
    running.prepare_for_execution("w", pipeline=queue.connection.pipeline())
    running.set_status(JobStatus.STARTED)
    enqueue_on_commit(session, queue, nothing, job_id="1")
    enqueue_on_commit(session, queue, nothing, job_id="there", unique=True)
    enqueue_on_commit(session, queue, nothing, job_id="running")
    enqueue_on_commit(session, queue, nothing, job_id="2")
    with pytest.raises(NotEnqueued) as raised:
        session.commit()
    assert [job.id for job in raised.value.jobs] == ["running"]
    assert queue.job_ids == ["there", "1", "2"]
    assert "'there' already exists" in caplog.text


def test_two_phases(engine: Engine, queue: Queue) -> None:
    """SQLite has none; its dialect is told here to do an ordinary commit in the second."""
    dialect: Any = engine.dialect
    done: list[str] = []
    dialect.do_begin_twophase = lambda _connection, _xid: None
    dialect.do_prepare_twophase = lambda _connection, _xid: done.append("prepare")
    dialect.do_rollback_twophase = lambda connection, *_a, **_k: connection.connection.rollback()
    dialect.do_commit_twophase = lambda connection, *_a, **_k: done.append("commit") or connection.connection.commit()
    with Session(engine, twophase=True) as session:
        write(session)
        enqueue_on_commit(session, queue, nothing, job_id="sent")
        session.prepare()
        assert (done, queue.count) == (["prepare"], 0)
        session.commit()
        assert (done, queue.job_ids) == (["prepare", "commit"], ["sent"])
        write(session)
        enqueue_on_commit(session, queue, nothing, job_id="prepared-only")
        session.prepare()
        session.rollback()
    assert queue.job_ids == ["sent"]


def test_a_commit_that_fails_sends_nothing(session: Session, queue: Queue, engine: Engine) -> None:
    dialect: Any = engine.dialect

    def fail(_connection: Any) -> None:
        raise RuntimeError("the disk is full")

    write(session)
    enqueue_on_commit(session, queue, nothing)
    dialect.do_commit = fail
    with pytest.raises(RuntimeError, match="disk"):
        session.commit()
    del dialect.do_commit
    session.rollback()
    session.commit()
    assert queue.count == 0


def test_a_queue_that_waits_is_otherwise_the_same(queue: Queue, session: Session) -> None:
    waiting = queue.after_commit(session)
    assert type(waiting) is Queue
    assert (waiting, waiting.name, queue.on_commit) == (queue, queue.name, None)
    assert atomiq.Queue("x", connection=queue.connection).on_commit is None
    with pytest.raises(InvalidJobOperation):
        waiting.enqueue(nothing).get_status()
