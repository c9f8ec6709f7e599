"""The extensions for Flask and FastAPI by themselves; the examples show them at work."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from flask import Flask
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import scoped_session, sessionmaker
from tests.tasks import nothing

from atomiq import Queue
from atomiq.contrib.fastapi import Atomiq as ForFastAPI
from atomiq.contrib.flask import Atomiq as ForFlask


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = create_engine(f"sqlite:///{tmp_path / 'rows.sqlite'}")
    yield engine
    engine.dispose()


def test_flask(engine: Engine, redis_url: str, redis_connection: redis.Redis) -> None:
    """The end of a request forgets what was not committed."""
    session = scoped_session(sessionmaker(engine))
    app = Flask("shop")
    app.config["ATOMIQ_URL"] = redis_url
    jobs = ForFlask(app, session=session)

    @app.post("/<name>")
    def place(name: str) -> str:
        jobs.queue().enqueue(nothing, job_id=name)
        if name == "kept":
            session.commit()
        return str(jobs.queue(on_commit=None).count)

    client = app.test_client()
    assert [client.post(f"/{name}").text for name in ("forgotten", "kept")] == ["0", "1"]
    assert Queue(connection=redis_connection).job_ids == ["kept"]
    app.extensions["atomiq"].close()


def test_flask_without_sessions(redis_url: str) -> None:
    app = Flask("shop")
    app.config["ATOMIQ_URL"] = redis_url
    jobs = ForFlask()
    jobs.init_app(app)
    with app.app_context():
        jobs.queue("mail").enqueue(nothing)
        assert jobs.queue("mail").count == 1
    app.extensions["atomiq"].close()


def test_fastapi_with_plain_sessions(engine: Engine, redis_url: str, redis_connection: redis.Redis) -> None:
    jobs = ForFastAPI(sessionmaker(engine), redis_url)

    def request(commits: bool, name: str) -> None:
        generator = jobs.session()
        session = next(generator)
        jobs.queue()(session).enqueue(nothing, job_id=name)
        if commits:
            session.commit()
        assert next(generator, None) is None

    request(False, "forgotten")
    request(True, "kept")
    assert Queue(connection=redis_connection).job_ids == ["kept"]
    before = jobs.connection

    async def whole() -> None:
        async with jobs.lifespan(None):
            assert jobs.connection is before

    asyncio.run(whole())
    after: Any = jobs.connection
    assert after is not before
    after.close()
