"""outbox.enqueue: a job is in the outbox if and only if its transaction is committed, and is then what Queue.enqueue
makes of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from tests.outbox.conftest import Scene
from tests.tasks import add

from atomiq import Callback, Job, Queue, Repeat, Retry, Webhook, outbox
from atomiq._core.errors import InvalidFunction
from atomiq.group import Group
from atomiq.queue import Queue as QueueClass
from atomiq.requires import Ready

OWN = ("created_at", "enqueued_at", "call")


def hash_of(job_id: str, scene: Scene) -> dict[bytes, bytes]:
    fields = scene.redis.hgetall(f"rq:job:{job_id}")
    return {name: value for name, value in fields.items() if name.decode() not in OWN}


def test_committed_with_its_row(scene: Scene) -> None:
    with scene.connection() as connection:
        cursor = connection.cursor()
        cursor.execute("INSERT INTO orders VALUES (1)")
        job = outbox.enqueue(connection, scene.queue, add, 1, 2)
        assert scene.waiting == 0
        connection.commit()
        cursor.close()
    assert scene.drain().sent == 1
    assert scene.queue.job_ids == [job.id]
    assert Job.fetch(job.id, connection=scene.redis).args == (1, 2)
    assert scene.waiting == 0


def test_rolled_back_with_its_row(scene: Scene) -> None:
    with scene.connection() as connection:
        outbox.enqueue(connection, scene.queue, add, 1, 2)
        connection.rollback()
    assert scene.drain().read == 0
    assert scene.queue.job_ids == []


def test_a_cursor_stands_for_its_connection(scene: Scene) -> None:
    with scene.connection() as connection:
        cursor = connection.cursor()
        job = outbox.enqueue(cursor, scene.queue, add, 1, 2)
        connection.commit()
        cursor.close()
    scene.drain()
    assert scene.queue.job_ids == [job.id]


OPTIONS: dict[str, dict[str, Any]] = {
    "none": {},
    "ttls": {"job_timeout": "5m", "result_ttl": 7, "ttl": 3600, "failure_ttl": "1h"},
    "texts": {"description": "Grüße \u2603 % :name 'x' \\ ;", "meta": {"a": b"\x00\xff"}},
    "retry": {"retry": Retry(max=3, interval=[1, 2], enqueue_at_front=True), "repeat": Repeat(2, 5)},
    "callbacks": {"on_success": Callback(add, timeout=5), "on_failure": Callback(add), "on_stopped": Callback(add)},
    "front": {"at_front": True},
    "dependency": {"depends_on": "parent"},
    "bytes": {"args": (b"\x00\x01\xfe" * 1000, "\x00\n")},
    "webhooks": {"webhooks": [Webhook("https://example.org/hook", "finished", headers={"A": "ü"})]},
    "requires": {"requires": Ready("tests.tasks.add", 1, 0, tries=4)},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_the_job_is_the_one_that_enqueue_makes(scene: Scene, name: str) -> None:
    """All fields of the hash, its place and its ttl."""
    if name == "dependency":
        scene.queue.enqueue(add, 1, 1, job_id="parent")
    options = {"args": (1, 2), **OPTIONS[name]}
    scene.enqueue(add, job_id="ours", **options)
    scene.drain()
    scene.queue.enqueue(add, job_id="plain", **options)
    ours, plain = hash_of("ours", scene), hash_of("plain", scene)
    assert ours == plain
    assert abs(scene.redis.ttl("rq:job:ours") - scene.redis.ttl("rq:job:plain")) <= 5
    if name == "dependency":
        assert scene.redis.smembers("rq:job:parent:dependents") == {b"ours", b"plain"}
    else:
        assert sorted(set(scene.queue.job_ids) - {"parent"}) == ["ours", "plain"]


@pytest.mark.parametrize("name", [name for name in OPTIONS if name not in ("none", "dependency")])
def test_the_jobs_of_many_are_those_that_enqueue_many_makes(sqlite_scene: Scene, name: str) -> None:
    scene, options = sqlite_scene, {"args": (1, 2), **OPTIONS[name]}
    if "job_timeout" in options:
        options["timeout"] = options.pop("job_timeout")
    with scene.connection() as connection:
        data = Queue.prepare_data(add, job_id="ours", **options)
        outbox.enqueue_many(connection, scene.queue, [data], group_id="letters")
        connection.commit()
    scene.drain()
    scene.queue.enqueue_many([Queue.prepare_data(add, job_id="plain", **options)], group_id="letters")
    assert hash_of("ours", scene) == hash_of("plain", scene)


def test_what_a_job_requires_goes_with_it(sqlite_scene: Scene) -> None:
    """`requires=` was dropped without a word by `outbox.enqueue`, `enqueue_at`, `enqueue_in` and `enqueue_many`: the
    job ran before what it required was there, and a check that no worker could import was not refused."""
    scene, check = sqlite_scene, "tests.contract.requires_checks:answer"
    queue, tomorrow = scene.queue, timedelta(days=1)
    with scene.connection() as connection:
        jobs = [
            outbox.enqueue(connection, queue, add, 1, 2, requires=check),
            outbox.enqueue_in(connection, queue, tomorrow, add, 1, 2, requires=check),
            outbox.enqueue_at(connection, queue, datetime.now(UTC) + tomorrow, add, 1, 2, requires=check),
            *outbox.enqueue_many(connection, queue, [Queue.prepare_data(add, (1, 2), requires=check)]),
        ]
        with pytest.raises(InvalidFunction):
            outbox.enqueue(connection, queue, add, 1, 2, requires="no.such.check")
        connection.commit()
    scene.drain()
    assert [Job.fetch(job.id, connection=scene.redis).requires for job in jobs] == [
        "tests.contract.requires_checks.answer()"
    ] * 4


def test_a_delay_counts_from_the_call(scene: Scene) -> None:
    with scene.connection() as connection:
        due = datetime(2040, 1, 1, tzinfo=UTC)
        at = outbox.enqueue_at(connection, scene.queue, due, add, 1, 2)
        later = outbox.enqueue_in(connection, scene.queue, timedelta(hours=1), add, 1, 2)
        connection.commit()
    before = datetime.now(UTC)
    scene.drain()
    registry = scene.queue.scheduled_job_registry
    assert registry.get_scheduled_time(at.id) == due
    assert before < registry.get_scheduled_time(later.id) <= before + timedelta(hours=1)


def test_many_with_dependencies_and_a_group(scene: Scene) -> None:
    datas = [
        Queue.prepare_data(add, (1, 2), job_id="child", depends_on=["parent"]),
        Queue.prepare_data(add, (3, 4), job_id="parent"),
        *(Queue.prepare_data(add, (number, 0)) for number in range(250)),
    ]
    with scene.connection() as connection:
        jobs = outbox.enqueue_many(connection, scene.queue, datas, group_id="letters")
        connection.commit()
    assert len(jobs) == 252
    assert scene.drain().sent == 252
    assert scene.queue.job_ids == [job.id for job in jobs if job.id != "child"]
    assert scene.queue.deferred_job_registry.get_job_ids() == ["child"]
    assert len(Group.fetch("letters", connection=scene.redis).get_jobs()) == 252


def test_a_job_made_before(scene: Scene) -> None:
    job = scene.queue.create_job(add, args=(1, 2), meta={"a": 1})
    with scene.connection() as connection:
        assert outbox.enqueue_job(connection, scene.queue, job, at_front=True) is job
        connection.commit()
    scene.queue.enqueue(add, 0, 0)
    scene.drain()
    assert scene.queue.job_ids[0] == job.id
    assert Job.fetch(job.id, connection=scene.redis).meta == {"a": 1}


def test_a_job_made_elsewhere_takes_what_the_queue_says(sqlite_scene: Scene) -> None:
    """Of a job that the queue had not made itself that was forgotten: it had a worker's 180 s as its time limit, where
    `Queue.enqueue_job` gives it the queue's, and neither the queue's executor nor its answer to a dead worker."""
    scene = sqlite_scene
    queue = QueueClass("orders", scene.redis, default_timeout=77, executor="thread", abandoned="fail")
    with scene.connection() as connection:
        outbox.enqueue_job(connection, queue, Job.create(add, (1, 2), id="ours", connection=scene.redis))
        connection.commit()
    scene.drain()
    queue.enqueue_job(Job.create(add, (1, 2), id="plain", connection=scene.redis))
    ours = hash_of("ours", scene)
    assert ours == hash_of("plain", scene)
    assert (ours[b"timeout"], ours[b"executor"], ours[b"on_abandoned"]) == (b"77", b"thread", b"fail")


def test_a_queue_by_name_and_classes_of_its_own(
    sqlite_scene: Scene, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hooks parse_args and create_job are called as by enqueue."""

    class Own(QueueClass):
        def create_job(self, *args: Any, **options: Any) -> Any:
            return super().create_job(*args, **{**options, "description": "own"})

    monkeypatch.setenv("ATOMIQ_URL", redis_url)
    with sqlite_scene.connection() as connection:
        named = outbox.enqueue(connection, "by-name", add, 1, 2)
        own = outbox.enqueue(connection, Own(connection=sqlite_scene.redis), add, 1, 2)
        connection.commit()
    sqlite_scene.drain()
    assert Queue("by-name", connection=sqlite_scene.redis).job_ids == [named.id]
    assert Job.fetch(own.id, connection=sqlite_scene.redis).description == "own"


@pytest.mark.parametrize("make", [Session, scoped_session, "connection"])
def test_sqlalchemy(scene: Scene, make: Any) -> None:
    with scene.engine() as engine:
        session = engine.connect() if make == "connection" else Session(engine)
        where = scoped_session(sessionmaker(engine)) if make is scoped_session else session
        with session:
            outbox.enqueue(where, scene.queue, add, "no", "no")
            where.rollback()
            where.execute(sqlalchemy.text("INSERT INTO orders VALUES (1)"))
            job = outbox.enqueue(where, scene.queue, add, 1, 2)
            where.commit()
            if make is scoped_session:
                where.remove()
        outbox.finish()
    assert scene.waiting == 0  # moved by the nudge
    assert scene.queue.job_ids == [job.id]


def test_rollback_to_a_savepoint(scene: Scene) -> None:
    """With SQLite's driver as it is by default, a savepoint doesn't begin a transaction; the session does."""
    with scene.engine() as engine, Session(engine) as session:
        session.execute(sqlalchemy.text("INSERT INTO orders VALUES (1)"))
        kept = outbox.enqueue(session, scene.queue, add, 1, 2)
        savepoint = session.begin_nested()
        outbox.enqueue(session, scene.queue, add, 3, 4)
        savepoint.rollback()
        with session.begin_nested():
            kept_too = outbox.enqueue(session, scene.queue, add, 5, 6)
        assert scene.queue.job_ids == []
        session.commit()
        outbox.finish()
    scene.drain()
    assert scene.queue.job_ids == [kept.id, kept_too.id]


def test_the_tables_of_sqlalchemy_are_those_of_create(scene: Scene) -> None:
    """What Alembic makes of `outbox.metadata` is what `atomiq outbox create` makes."""
    with scene.engine() as engine:
        made = sqlalchemy.inspect(engine)
        ours = {each["name"]: (each["nullable"], str(each["type"])) for each in made.get_columns("atomiq_outbox")}
        indexes = {each["name"]: each["column_names"] for each in made.get_indexes("atomiq_outbox")}
        for table in ("atomiq_outbox", "atomiq_outbox_meta"):
            scene.run(f"DROP TABLE {table}")
        outbox.metadata.create_all(engine)
        theirs = sqlalchemy.inspect(engine)
        assert ours == {
            each["name"]: (each["nullable"], str(each["type"])) for each in theirs.get_columns("atomiq_outbox")
        }
        assert indexes == {each["name"]: each["column_names"] for each in theirs.get_indexes("atomiq_outbox")}
    job = scene.enqueue(add, 1, 2)
    scene.drain()
    assert scene.queue.job_ids == [job.id]
