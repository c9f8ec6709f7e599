"""A job's own transaction on each kind of database; what it does at all is in tests/contrib/test_marks.py."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.orm import Session
from tests.outbox.conftest import Scene
from tests.tasks import nothing

from atomiq import Job, outbox
from atomiq.exceptions import InvalidOption, OutboxTableMissing
from atomiq.outbox import marks


@pytest.fixture
def job(scene: Scene) -> Iterator[Job]:
    scene.run(f"DROP TABLE IF EXISTS {marks.MARKS}")
    outbox.create(scene.url)
    yield again(scene.queue.enqueue(nothing))
    scene.run(f"DROP TABLE {marks.MARKS}")


def again(job: Job) -> Job:
    return Job.fetch(job.id, connection=job.connection)


def orders(scene: Scene) -> int:
    return int(scene.run("SELECT COUNT(*) FROM orders")[0][0])


def test_once_with_the_driver_alone(scene: Scene, job: Job) -> None:
    for number, done in enumerate((False, True)):
        with scene.connection() as connection, again(job).transaction(connection) as work:
            assert work.done is done
            cursor = connection.cursor()
            cursor.execute(f"INSERT INTO orders VALUES ({number})")
            cursor.close()
            outbox.enqueue(connection, scene.queue, nothing)
            scene.queue.enqueue(nothing)
            work.result = {"text": "ünïcödé", "bytes": bytes(range(256))}
        assert work.result == {"text": "ünïcödé", "bytes": bytes(range(256))}
    assert (orders(scene), scene.waiting) == (1, 2)


def test_two_runs_at_the_same_time(scene: Scene, job: Job) -> None:
    with scene.engine() as engine, Session(engine) as slow, Session(engine) as quick:
        with job.transaction(slow) as late:
            with again(job).transaction(quick) as work:
                quick.execute(text("INSERT INTO orders VALUES (1)"))
                work.result = "quick"
            if scene.kind != "sqlite":  # which has room for one writer
                slow.execute(text("INSERT INTO orders VALUES (2)"))
            late.result = "slow"
        assert (late.done, late.result) == (True, "quick")
    assert orders(scene) == 1


def test_two_runs_at_the_same_time_in_autocommit_mode(scene: Scene, job: Job) -> None:
    """After the rollback no transaction is open, and the look for what the other run has done was refused for that: a
    job failed whose work was committed."""
    if scene.kind == "sqlite":
        pytest.skip("a transaction that has read may not write any more once somebody else has")
    with scene.connection() as slow, scene.connection() as quick:
        if callable(slow.autocommit):
            slow.autocommit(True)
        else:
            slow.autocommit = True
        slow.cursor().execute("BEGIN")
        with job.transaction(slow) as late, again(job).transaction(quick) as work:
            work.result = "quick"
        assert (late.done, late.result) == (True, "quick")


def test_a_missing_table(scene: Scene, job: Job) -> None:
    scene.run(f"DROP TABLE {marks.MARKS}")
    with scene.connection() as connection, pytest.raises(OutboxTableMissing, match="atomiq outbox create"):
        job.transaction(connection).__enter__()
    outbox.create(scene.url)
    with pytest.raises(InvalidOption):
        job.transaction(None)


def test_the_table(scene: Scene, job: Job) -> None:
    outbox.create(scene.url)
    with scene.connection() as connection, job.transaction(connection):
        pass
    marks.prune(scene.url, timedelta(days=1))
    assert len(scene.run(f"SELECT * FROM {marks.MARKS}")) == 1
    marks.prune(scene.url, timedelta(0))
    assert scene.run(f"SELECT * FROM {marks.MARKS}") == []
    with scene.engine() as engine:
        assert inspect(engine).get_pk_constraint(marks.MARKS)["constrained_columns"] == ["job_id", "run", "step"]
