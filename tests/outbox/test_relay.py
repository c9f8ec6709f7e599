"""A relay sends each committed row once, whoever dies when; and one bad row stops no other."""

from __future__ import annotations

import importlib
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
import redis
from tests.helpers import throwaway_server, wait_until
from tests.outbox.conftest import Scene
from tests.tasks import add

from atomiq import Queue, SimpleWorker, connect, outbox
from atomiq._commands.outbox import remembered_rows
from atomiq._core.errors import PermissionDenied, ServerUnavailable
from atomiq.job import Job
from atomiq.outbox import drivers, sending, sql
from atomiq.outbox import relay as relay_module
from atomiq.outbox.reading import wall_ms
from atomiq.outbox.relay import Relay


class Died(BaseException):
    """A relay is no more."""


def dying(scene: Scene, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """One pass of a relay that ends for ever at this point; its connection is gone with it."""

    def after(function: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any) -> Any:
            function(*args)
            raise Died

        return called

    with monkeypatch.context() as patch, scene.relay() as relay:
        relay.pass_once()  # it is asked for the time first
        link = relay.link()
        target: Any = {"read": relay_module, "send": relay, "settle": relay_module, "commit": link}[where]
        patch.setattr(target, where, after(getattr(target, where)))
        with pytest.raises(Died):
            relay.drain()


@pytest.mark.parametrize("where", ["read", "send", "settle", "commit"])
@pytest.mark.parametrize("then", ["waits", "has run and is gone"])
def test_a_relay_that_dies(scene: Scene, monkeypatch: pytest.MonkeyPatch, where: str, then: str) -> None:
    """The next one sends what was not sent, and nothing twice: not even a job of which nothing is left."""
    jobs = [scene.enqueue(add, number, 1, result_ttl=0) for number in range(3)]
    dying(scene, monkeypatch, where)
    sent = where != "read"
    assert scene.queue.job_ids == ([job.id for job in jobs] if sent else [])
    if then != "waits":
        SimpleWorker([scene.queue], connection=scene.redis).work(burst=True, logging_level="ERROR")
        assert scene.redis.keys("rq:job:*") == []
    assert scene.waiting == (0 if where == "commit" else 3)
    assert scene.drain().sent == (0 if sent else 3)
    left = [] if sent and then != "waits" else [job.id for job in jobs]
    assert scene.queue.job_ids == left
    assert scene.waiting == 0


def test_two_relays_with_the_same_rows(scene: Scene) -> None:
    """One loses its database connection, and doesn't know: its rows are free, the other sends them. Then it sends them
    too."""
    jobs = [scene.enqueue(add, number, 1, result_ttl=0) for number in range(3)]
    with scene.relay() as slow, scene.relay() as quick:
        slow.pass_once()
        stale = relay_module.read(slow.link(), "")
        not_after_ms = slow._clock.now_ms + sending.WINDOW_MS
        slow.link().rollback()
        assert quick.drain().sent == 3
        SimpleWorker([scene.queue], connection=scene.redis).work(burst=True, logging_level="ERROR")
        outcome = slow.send(stale, not_after_ms)
    assert (len(outcome.sent), outcome.enqueued) == (3, 0)
    assert scene.queue.job_ids == []
    assert len(jobs) == 3


def test_a_batch_that_comes_too_late(scene: Scene) -> None:
    """When the server may have forgotten that the rows were sent, they are refused, and read again."""
    scene.enqueue(add, 1, 2)
    with scene.relay() as relay:
        relay.pass_once()
        stale = relay_module.read(relay.link(), "")
        with pytest.raises(sending.TooLate):
            relay.send(stale, relay._clock.now_ms - 1)
        assert scene.queue.job_ids == []
        relay.link().rollback()
        assert relay.drain().sent == 1


def test_what_was_sent_is_forgotten_when_nobody_can_send_it_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not before a window has passed, and not while the row is there."""
    monkeypatch.setattr(relay_module, "SWEEP_EVERY_S", 0.0)
    scene.enqueue(add, 1, 2)
    scene.enqueue(add, 3, 4)

    def remembered(relay: Relay) -> int:
        return len(relay._store.run(remembered_rows(relay._store.keys, source=relay._source, until_ms=10**15)))

    with scene.relay() as relay:
        relay.drain()
        relay.pass_once()
        assert remembered(relay) == 2
        scene.redis.zadd(f"rq:atomiq:outbox:{relay._source}", {"1.kept": 1})
        columns = ", ".join(sql._GIVEN + sql._ALSO)
        values = "1, '', 'orders', 'x', 'kept', 2, 1, '{}', 0, 1, 0, 0, 0, ''"
        scene.run(f"INSERT INTO atomiq_outbox (id, {columns}) VALUES (1, {values})")
        monkeypatch.setattr(relay_module, "WINDOW_MS", -1000)
        wait_until(lambda: relay.pass_once() and remembered(relay) == 1, what="what is gone is forgotten")
        scene.run("DELETE FROM atomiq_outbox")
        wait_until(lambda: relay.pass_once() and remembered(relay) == 0, what="the last one is forgotten")


def test_bad_rows_are_parked_and_stop_no_other(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "atomiq.outbox")
    jobs = [scene.enqueue(add, number, 1) for number in range(5)]
    damage = {
        1: "SET payload = '{'",
        2: "SET version = 9",
        3: 'SET payload = \'{"fields": {}, "call": ""}\'',
        4: "SET queue = ''",
    }
    for number, change in damage.items():
        scene.run(f"UPDATE atomiq_outbox {change} WHERE job_id = :job", job=jobs[number].id)
    passed = scene.drain()
    assert (passed.sent, passed.parked) == (1, 4)
    assert scene.queue.job_ids == [jobs[0].id]
    reasons = {row.job_id: row.reason for row in outbox.rows(scene.url, parked=True)}
    assert "bad payload: JSONDecodeError" in reasons[jobs[1].id]
    assert "payload version 9" in reasons[jobs[2].id]
    assert "no data" in reasons[jobs[3].id]
    assert "queue name is empty" in reasons[jobs[4].id]
    assert outbox.figures(scene.url).parked == 4
    assert scene.drain().read == 0


@pytest.mark.parametrize(
    "payload",
    [
        "[" * 100_000,
        '{"fields":{"data":"\\ud800"},"call":"a"}',
        '{"fields":{"data":"x"},"call":"\\ud800"}',
        '{"fields":{"data":"x"},"call":"a","due_ms":Infinity}',
        '{"fields":{"data":"x"},"call":"a","depends_on":["a\\u0000b"]}',
    ],
    ids=["deep", "half a pair", "half a pair in the call", "infinite", "a dependency with NUL"],
)
def test_payloads_that_ended_the_relay(scene: Scene, caplog: pytest.LogCaptureFixture, payload: str) -> None:
    """Another error than those it looked for: each relay that read the row ended with a traceback, or tried again for
    ever, and no row was sent any more."""
    caplog.set_level(logging.CRITICAL, "atomiq.outbox")
    bad, good = scene.enqueue(add, 1, 2), scene.enqueue(add, 3, 4)
    scene.run("UPDATE atomiq_outbox SET payload = :payload WHERE job_id = :job", payload=payload, job=bad.id)
    passed = scene.drain()
    assert (passed.sent, passed.parked) == (1, 1)
    assert scene.queue.job_ids == [good.id]
    (row,) = outbox.rows(scene.url, parked=True)
    assert row.reason.startswith("bad payload: ")


def test_a_parked_row_is_retried_or_pruned(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "atomiq.outbox")
    mended, pruned = scene.enqueue(add, 1, 2), scene.enqueue(add, 3, 4)
    scene.run("UPDATE atomiq_outbox SET version = 9")
    scene.drain()
    (row,) = [row for row in outbox.rows(scene.url) if row.job_id == mended.id]
    scene.run("UPDATE atomiq_outbox SET version = 1")
    assert outbox.retry(scene.url, [row.id, row.id + 1000]) == [row.id]
    assert outbox.retry(scene.url, [row.id]) == []
    assert scene.drain().sent == 1
    outbox.prune(scene.url)
    assert outbox.rows(scene.url) == []
    assert scene.queue.job_ids == [mended.id]
    assert pruned.id != mended.id


def test_what_the_server_refuses(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """In their places among others: the id exists already, the job would wait for itself."""
    caplog.set_level(logging.CRITICAL, "atomiq.outbox")
    scene.queue.enqueue(add, 0, 0, job_id="there")
    scene.queue.enqueue(add, 0, 0, job_id="first", depends_on="there")
    scene.queue.enqueue(add, 0, 0, job_id="second", depends_on="first")
    with scene.connection() as connection:
        outbox.enqueue(connection, scene.queue, add, 1, 1, job_id="before")
        outbox.enqueue(connection, scene.queue, add, 1, 1, job_id="there", unique=True)
        outbox.enqueue(connection, scene.queue, add, 1, 1, job_id="new", unique=True)
        outbox.enqueue(connection, scene.queue, add, 1, 1, job_id="first", depends_on="second")
        outbox.enqueue(connection, scene.queue, add, 1, 1, job_id="after")
        connection.commit()
    passed = scene.drain()
    assert (passed.sent, passed.parked) == (3, 2)
    assert scene.queue.job_ids == ["there", "before", "new", "after"]
    reasons = {row.job_id: row.reason for row in outbox.rows(scene.url, parked=True)}
    assert "unique=True" in reasons["there"]
    assert "wait for itself" in reasons["first"]


def test_a_running_job_of_the_same_id_is_waited_for(scene: Scene) -> None:
    running = scene.queue.enqueue(add, 1, 1, job_id="sync-42")
    scene.redis.hset("rq:job:sync-42", "status", "started")
    scene.redis.delete("rq:queue:orders")
    scene.enqueue(add, 2, 2, job_id="sync-42")
    other = scene.enqueue(add, 3, 3)
    passed = scene.drain()
    assert (passed.sent, passed.postponed) == (1, 1)
    assert scene.queue.job_ids == [other.id]
    scene.redis.delete("rq:job:sync-42")
    wait_until(lambda: scene.drain().sent == 1, what="the job has been sent")
    assert scene.queue.job_ids == [other.id, running.id]


def test_waiting_for_a_running_job_is_no_failure(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """A row that had waited eight times for a long run was parked at the server's first failure, with a reason that
    spoke of nine failures."""
    caplog.set_level(logging.CRITICAL, "atomiq.outbox")
    scene.queue.enqueue(add, 1, 1, job_id="sync-42")
    scene.redis.hset("rq:job:sync-42", "status", "started")
    scene.enqueue(add, 2, 2, job_id="sync-42")
    for _ in range(sending.TRIES):
        assert scene.drain().postponed == 1
        scene.run("UPDATE atomiq_outbox SET not_before_ms = 0")
    scene.redis.delete("rq:job:sync-42")
    scene.redis.set("rq:job:sync-42", "no hash")
    failed = scene.drain()
    assert (failed.parked, failed.postponed, outbox.rows(scene.url)[0].tries) == (0, 1, 1)


@pytest.mark.parametrize(("age_s", "wait_s"), [(-60, 0.5), (0, 0.5), (20, 10), (86_400, 60)])
def test_how_long_a_row_waits_for_a_running_job(sqlite_scene: Scene, age_s: int, wait_s: float) -> None:
    """Half as long as it has waited already, also if the clock that wrote it was ahead."""
    scene = sqlite_scene
    scene.queue.enqueue(add, 1, 1, job_id="sync-42")
    scene.redis.hset("rq:job:sync-42", "status", "started")
    scene.enqueue(add, 2, 2, job_id="sync-42")
    scene.run("UPDATE atomiq_outbox SET created_ms = :created_ms", created_ms=wall_ms() - age_s * 1000)
    before_ms = wall_ms()
    assert scene.drain().postponed == 1
    ((until_ms,),) = scene.run("SELECT not_before_ms FROM atomiq_outbox")
    assert before_ms + wait_s * 1000 <= until_ms <= wall_ms() + wait_s * 1000 + (wall_ms() - before_ms)


def test_a_row_at_which_the_server_fails(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Found among a thousand; put off, and parked when it has failed often enough."""
    caplog.set_level(logging.CRITICAL, "atomiq.outbox")
    monkeypatch.setattr(sending, "TRIES", 2)
    datas = [Queue.prepare_data(add, (number, 1)) for number in range(40)]
    datas.insert(20, Queue.prepare_data(add, (0, 0), job_id="broken"))
    scene.redis.set("rq:job:broken", "no hash")
    with scene.connection() as connection:
        jobs = outbox.enqueue_many(connection, scene.queue, datas)
        connection.commit()
    assert (scene.drain().sent, scene.waiting) == (40, 1)
    assert scene.queue.job_ids == [job.id for job in jobs if job.id != "broken"]
    wait_until(lambda: scene.drain().parked == 1, what="it is parked")
    (row,) = outbox.rows(scene.url, parked=True)
    assert "the server failed 2 times" in row.reason
    assert "WRONGTYPE" in row.reason
    # Of a row that is to be sent after all the old tries don't count: the next failure parked it again.
    assert outbox.retry(scene.url, [row.id]) == [row.id]
    again = scene.drain()
    assert (again.parked, again.postponed, outbox.rows(scene.url)[0].tries) == (0, 1, 1)


def with_dicts_for_rows(scene: Scene) -> Any:
    """A connection as many applications have them."""
    connection, driver = drivers.connect(scene.url)
    if driver == "psycopg":
        connection.row_factory = importlib.import_module("psycopg.rows").dict_row
    elif driver == "pymysql":
        connection.cursorclass = importlib.import_module("pymysql.cursors").DictCursor
    else:
        connection.row_factory = lambda cursor, row: dict(
            zip([each[0] for each in cursor.description], row, strict=True)
        )
    return connection


def test_connections_whose_rows_are_dicts(scene: Scene) -> None:
    """From a callable. With PostgreSQL and SQLite it asked for the outbox's name until the interpreter's stack was
    full, with MySQL's drivers it was a KeyError; and a job's own transaction couldn't see that it was done."""

    def make() -> Any:
        return with_dicts_for_rows(scene)

    outbox.create(make)
    job = scene.enqueue(add, 1, 2)
    relay = Relay(make, scene.redis)
    assert relay.drain().sent == 1
    relay.close()
    assert outbox.figures(make) == (0, 0, 0.0)
    results = []
    for number in range(2):
        connection = make()
        results.append(Job.fetch(job.id, connection=scene.redis).transaction(connection).run(add, number, 0))
        connection.close()
    assert results == [0, 0]


def test_the_server_is_away(scene: Scene) -> None:
    """The rows stay, nothing is locked, and they are sent when it is back."""
    with throwaway_server() as (path, _pid):
        away = connect(f"unix://{path}", retry=None)
    scene.enqueue(add, 1, 2)
    relay = Relay(scene.url, away)
    for _ in range(2):
        with pytest.raises(ServerUnavailable):
            relay.pass_once()
    assert scene.waiting == 1
    assert scene.drain().sent == 1


def test_the_server_may_not_write(scene: Scene, redis_url: str) -> None:
    """An ACL that forbids what is needed is no fault of the rows."""
    scene.redis.acl_setuser("half", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-zadd"])
    try:
        half = redis.Redis.from_url(redis_url, username="half", password="x")
        scene.enqueue(add, 1, 2)
        with pytest.raises(PermissionDenied):
            Relay(scene.url, half).drain()
        half.connection_pool.disconnect()
    finally:
        scene.redis.acl_deluser("half")
    assert scene.drain().sent == 1
    assert json.dumps(scene.queue.job_ids).count("-") == 4
