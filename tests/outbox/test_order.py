"""What order is kept, however many relays there are: rows of one transaction, and jobs behind those they depend on."""

from __future__ import annotations

import os
from typing import Any

import pytest
from tests.helpers import wait_until
from tests.outbox.conftest import Scene
from tests.tasks import add

from atomiq import Queue, outbox
from atomiq.outbox import reading
from atomiq.outbox.reading import read
from atomiq.outbox.table import PARKED

servers_only = pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)


def test_rows_of_one_transaction_in_their_order(scene: Scene) -> None:
    """Also over several batches, and with rows of another transaction between them."""
    with scene.connection() as one, scene.connection() as other:
        expected = [outbox.enqueue(one, scene.queue, add, number, 0).id for number in range(5)]
        one.commit()
        jobs = [Queue.prepare_data(add, (number, 0)) for number in range(30)]
        expected += [job.id for job in outbox.enqueue_many(other, scene.queue, jobs)]
        other.commit()
    with scene.relay() as relay:
        while relay.pass_once(7).more:
            pass
    assert scene.queue.job_ids == expected


@servers_only
def test_a_second_relay_doesnt_overtake(scene: Scene) -> None:
    """It sends rows of others, and leaves those behind the ones that the first has in hand."""
    with scene.connection() as one, scene.connection() as other:
        jobs = [outbox.enqueue(one, scene.queue, add, number, 0) for number in range(4)]
        one.commit()
        later = outbox.enqueue(other, scene.queue, add, 9, 9)
        other.commit()
    with scene.relay() as first, scene.relay() as second:
        first.pass_once(1)  # it is asked for the time
        held = read(first.link(), "", 2)
        assert [row.job.id for row in held.rows] == [job.id for job in jobs[:2]]
        second.drain()
        assert scene.queue.job_ids == [later.id]
        first.link().rollback()
        second.drain()
    assert scene.queue.job_ids == [later.id, *(job.id for job in jobs)]


@servers_only
def test_rows_of_others_pass_a_frozen_relay(scene: Scene) -> None:
    """An import has written more rows than a relay takes at a time, and a relay that has the first of them is stopped.
    All others read the next ones, which have to wait for it, and nothing else: what any other connection wrote behind
    them waited for as long as that relay was frozen."""
    with scene.connection() as importing, scene.connection() as other:
        many = [Queue.prepare_data(add, (number, 0)) for number in range(9)]
        jobs = outbox.enqueue_many(importing, scene.queue, many)
        importing.commit()
        later = [outbox.enqueue(other, scene.queue, add, number, 9).id for number in range(3)]
        other.commit()
    with scene.relay() as frozen, scene.relay() as second:
        frozen.pass_once(1)
        assert len(read(frozen.link(), "", 2).rows) == 2
        while second.pass_once(2).more:
            pass
        assert scene.queue.job_ids == later
        frozen.link().rollback()
        second.drain()
    assert scene.queue.job_ids == [*later, *(job.id for job in jobs)]


@servers_only
def test_a_frozen_relay_loses_its_rows(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped, or on a machine that is gone without a word: to the database its connection was alive for hours, and the
    rows it had locked were nobody else's for as long."""
    monkeypatch.setattr("atomiq.outbox.drivers.LONGEST_SILENCE_S", 1)
    job = scene.enqueue(add, 1, 2)
    with scene.relay() as frozen, scene.relay() as second:
        frozen.pass_once(1)
        assert len(read(frozen.link(), "").rows) == 1
        monkeypatch.undo()
        wait_until(lambda: second.drain().sent, what="another relay has the row")
        assert scene.queue.job_ids == [job.id]
        with pytest.raises(Exception, match=r"(?i)terminat|lost|gone|closed|disconnect"):
            frozen.drain()
        frozen.drain()
    assert scene.queue.job_ids == [job.id]


@servers_only
def test_a_dependant_waits_for_the_row_of_its_dependency(scene: Scene) -> None:
    """On the server a job that isn't there counts as done."""
    parent = scene.enqueue(add, 1, 1)
    child = scene.enqueue(add, 2, 2, depends_on=parent.id)
    grandchild = scene.enqueue(add, 3, 3, depends_on=child.id)
    with scene.relay() as first, scene.relay() as second:
        first.pass_once(1)
        held = read(first.link(), "", 1)
        assert [row.job.id for row in held.rows] == [parent.id]
        second.drain()
        assert scene.redis.keys("rq:job:*") == []
        first.link().rollback()
        second.drain()
    assert scene.queue.job_ids == [parent.id]
    assert set(scene.queue.deferred_job_registry.get_job_ids()) == {child.id, grandchild.id}


@pytest.mark.parametrize("parent_is", ["put off", "written later"])
def test_a_batch_of_dependants_stops_no_other(scene: Scene, parent_is: str) -> None:
    """A job with a fixed id is running, and so the row with its next run is put off; or that row is written after those
    of the jobs that depend on it. As many dependants as a pass takes were all that any pass ever saw: nothing behind
    them was sent, until the run had ended; in the second case, never.
    """
    late = parent_is == "written later"
    if not late:
        scene.enqueue(add, 1, 1, job_id="parent")
        scene.run("UPDATE atomiq_outbox SET not_before_ms = 9000000000000")
    with scene.connection() as connection:
        children = [outbox.enqueue(connection, scene.queue, add, n, 0, depends_on="parent") for n in range(7)]
        connection.commit()
        others = [outbox.enqueue(connection, scene.queue, add, n, 1).id for n in range(3)]
        connection.commit()
    if late:
        scene.enqueue(add, 1, 1, job_id="parent")
    with scene.relay() as relay:
        while relay.pass_once(3).more:
            pass
    assert scene.queue.job_ids == [*others, *(["parent"] if late else [])]
    assert set(scene.queue.deferred_job_registry.get_job_ids()) == {job.id for job in children if late}


def test_a_dependant_of_a_parked_row_is_parked(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(60, "atomiq.outbox")
    parent = scene.enqueue(add, 1, 1)
    child = scene.enqueue(add, 2, 2, depends_on=parent.id)
    scene.run("UPDATE atomiq_outbox SET version = 9 WHERE job_id = :job", job=parent.id)
    scene.drain()
    scene.drain()
    reasons = {row.job_id: row.reason for row in outbox.rows(scene.url, parked=True)}
    assert f"depends on job {parent.id}" in reasons[child.id]
    assert scene.run("SELECT COUNT(*) FROM atomiq_outbox WHERE state = :state", state=PARKED)[0][0] == 2


def test_large_payloads_come_a_few_at_a_time(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand rows of 8 MB are more than a relay should hold."""
    monkeypatch.setattr(reading, "BYTES_PER_ENQUEUE_COMMAND", 1_000_000)
    jobs = [scene.enqueue(add, os.urandom(200_000), b"") for _ in range(8)]
    sizes: list[int] = []
    with scene.relay() as relay:
        send = relay.send
        monkeypatch.setattr(relay, "send", lambda batch, until: sizes.append(len(batch.rows)) or send(batch, until))
        assert relay.drain().sent == 8
    assert sizes == [3, 3, 2]
    assert scene.queue.job_ids == [job.id for job in jobs]


def test_rows_of_another_route_are_for_others(scene: Scene) -> None:
    with scene.connection() as connection:
        here = outbox.enqueue(connection, scene.queue, add, 1, 1)
        there = outbox.on_route("eu").enqueue(connection, scene.queue, add, 2, 2)
        connection.commit()
    assert (outbox.figures(scene.url).waiting, outbox.figures(scene.url, "eu").waiting) == (2, 1)
    scene.drain()
    assert scene.queue.job_ids == [here.id]
    with scene.relay(route="eu") as relay:
        relay.drain()
    assert scene.queue.job_ids == [here.id, there.id]


def test_one_id_twice(scene: Scene) -> None:
    """As with two calls of enqueue, the later one counts, and a job that has its place keeps it."""
    scene.enqueue(add, 1, 1, job_id="same")
    other: Any = scene.enqueue(add, 0, 0)
    scene.enqueue(add, 2, 2, job_id="same")
    scene.drain()
    assert scene.queue.job_ids == ["same", other.id]
    assert scene.queue.jobs[0].args == (2, 2)
