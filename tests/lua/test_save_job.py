"""save_job: fields without a state."""

from __future__ import annotations

import pytest
import redis

from atomiq._commands.alone import save_job
from atomiq._wire.sync import Store


def test_a_job_that_was_not_stored_is_created(store: Store, redis_connection: redis.Redis) -> None:
    assert store.run(save_job(store.keys, job_id="j", fields={"data": b"x", "origin": "q"})) == "created"
    assert redis_connection.hgetall("rq:job:j") == {b"data": b"x", b"origin": b"q", b"status": b"created"}
    assert redis_connection.keys("*") == [b"rq:job:j"]


def test_a_stored_job_keeps_its_status(store: Store, redis_connection: redis.Redis) -> None:
    redis_connection.hset("rq:job:j", mapping={"status": "failed", "data": "x"})
    for _ in range(2):
        assert store.run(save_job(store.keys, job_id="j", fields={"description": "d"})) == "ok"
    assert redis_connection.hgetall("rq:job:j") == {b"data": b"x", b"description": b"d", b"status": b"failed"}


@pytest.mark.parametrize("fields", [{}, {"status": "queued"}])
def test_the_state_can_not_be_saved(fields: dict[str, str], store: Store) -> None:
    with pytest.raises(ValueError, match="never the status"):
        save_job(store.keys, job_id="j", fields=fields)
