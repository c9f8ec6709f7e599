"""Two-phase commit: PostgreSQL prepares no transaction that has said NOTIFY, so rows written in one don't say it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session
from tests import tasks
from tests.databases import Missing, postgresql_server
from tests.helpers import wait_until

from atomiq import Queue, outbox
from atomiq.outbox.relay import Relay


@pytest.fixture
def engine() -> Iterator[Engine]:
    try:
        with postgresql_server("-c", "max_prepared_transactions=5", "-c", "autovacuum=off") as server:
            engine = create_engine(server.alchemy_url)
            outbox.create(engine)
            yield engine
            outbox.finish()
            engine.dispose()
    except Missing as missing:
        pytest.skip(str(missing))


def send(engine: Engine, connection: Any) -> None:
    relay = Relay(engine, connection)
    relay.drain()
    relay.close()


def test_a_session_in_two_phases(engine: Engine, redis_connection: Any) -> None:
    """Its commit failed, and with it all that the application had done."""
    queue = Queue("orders", connection=redis_connection)
    with Session(engine, twophase=True) as session:
        kept = outbox.enqueue(session, queue, tasks.add, 1, 2)
        session.commit()
        outbox.enqueue(session, queue, tasks.add, 3, 4)
        session.prepare()
        session.rollback()
    send(engine, redis_connection)
    wait_until(lambda: queue.job_ids == [kept.id])  # this process may have sent it itself


def test_a_connection_in_two_phases(engine: Engine, redis_connection: Any) -> None:
    queue = Queue("orders", connection=redis_connection)
    with engine.connect() as connection:
        transaction = connection.begin_twophase()
        job = outbox.enqueue(connection, queue, tasks.add, 1, 2)
        transaction.prepare()
        send(engine, redis_connection)
        assert queue.job_ids == []
        transaction.commit()
    send(engine, redis_connection)
    wait_until(lambda: queue.job_ids == [job.id])
