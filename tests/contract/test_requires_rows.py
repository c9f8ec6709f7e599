"""RowExists: rows of SQLAlchemy and Django, in real SQLite files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import redis

from atomiq import Queue
from atomiq.exceptions import InvalidArguments, InvalidFunction, InvalidOption
from atomiq.requires import RowExists
from atomiq.worker import SimpleWorker

mapped = pytest.importorskip("tests.contract.mapped", reason="SQLAlchemy is not installed")
FACTORY = "tests.contract.mapped.new_session"
FEW: dict[str, Any] = {"tries": 2, "backoff": 0, "error_retries": 1}


@pytest.fixture
def queue(redis_connection: redis.Redis) -> Queue:
    return Queue(connection=redis_connection)


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(mapped.FILE, str(tmp_path / "rows.db"))
    with mapped.new_session() as session:
        mapped.Base.metadata.create_all(session.get_bind())
        session.add_all([mapped.Order(id=1, number="A-1"), mapped.Line(order_id=1, position=2)])
        session.commit()


def outcome(queue: Queue, required: RowExists) -> str:
    """What becomes of a job that requires this: its status, or its failure."""
    job = queue.enqueue("tests.tasks.add", 1, requires=required)
    SimpleWorker([queue], connection=queue.connection).work(burst=True)
    text = str(job.latest_result().exc_string or "").strip()
    return text.splitlines()[-1].rpartition("errors.")[2] if text else job.get_status().value


@pytest.mark.parametrize(
    ("model", "pk", "options", "found"),
    [
        ("Order", 1, {}, True),
        ("Order", 2, {}, False),
        ("Order", None, {"number": "A-1"}, True),
        ("Order", 1, {"filters": {"number": "B"}}, False),
        ("Line", (1, 2), {}, True),
        ("Line", (1, 3), {}, False),
    ],
)
@pytest.mark.usefixtures("rows")
def test_rows_of_sqlalchemy(queue: Queue, model: str, pk: Any, options: dict[str, Any], found: bool) -> None:
    required = RowExists(getattr(mapped, model), pk, session_factory=FACTORY, **options, **FEW)
    said = outcome(queue, required)
    if found:
        assert said == "finished"
    else:
        assert said.startswith(f"PreconditionNotMet: not there: a row of tests.contract.mapped.{model} with ")
        assert "2 looks in " in said


@pytest.mark.usefixtures("rows")
def test_it_appears_meanwhile(queue: Queue) -> None:
    """Each look has a session, and so a view of the database, of its own."""
    job = queue.enqueue("tests.tasks.add", 7, requires=RowExists(mapped.Order, 5, session_factory=FACTORY, backoff=60))
    worker = SimpleWorker([queue], connection=queue.connection)
    worker.work(burst=True)
    assert job.is_scheduled
    with mapped.new_session() as session:
        session.add(mapped.Order(id=5, number="late"))
        session.commit()
    queue.connection.zadd("rq:scheduled:default", {job.id: 1})
    SimpleWorker([queue], connection=queue.connection).work(burst=True)
    assert job.return_value() == 7


@pytest.mark.usefixtures("rows")
def test_with_json_a_key_of_several_columns(redis_connection: redis.Redis) -> None:
    queue = Queue(connection=redis_connection, serializer="json")
    job = queue.enqueue("tests.tasks.add", 1, requires=RowExists(mapped.Line, (1, 2), session_factory=FACTORY, **FEW))
    SimpleWorker([queue], connection=redis_connection, serializer="json").work(burst=True)
    assert job.is_finished


@pytest.mark.usefixtures("rows")
def test_an_async_session(queue: Queue) -> None:
    pytest.importorskip("aiosqlite")
    factory = "tests.contract.mapped.new_async_session"
    assert outcome(queue, RowExists(mapped.Order, 1, session_factory=factory, **FEW)) == "finished"
    assert outcome(queue, RowExists(mapped.Order, 2, session_factory=factory, **FEW)).startswith("PreconditionNotMet")


def test_a_database_that_is_broken_is_no_absence(queue: Queue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(mapped.FILE, str(tmp_path / "no" / "folder.db"))
    said = outcome(queue, RowExists(mapped.Order, 1, session_factory=FACTORY, **FEW))
    assert said.startswith("PreconditionError: OperationalError: ")
    assert "2 of them failed" in said


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: RowExists(mapped.Order, 1), InvalidOption),
        (lambda: RowExists(mapped.Order, session_factory=FACTORY), InvalidOption),
        (lambda: RowExists(mapped.Order, None, session_factory=FACTORY), InvalidOption),
        (lambda: RowExists(mapped.Order, 1, session_factory=FACTORY, using="default"), InvalidOption),
        (lambda: RowExists(mapped.Order, 1, session_factory="no.such.thing"), InvalidFunction),
        (lambda: RowExists(mapped.Order, 1, session_factory="tests.contract.mapped.no_factory"), InvalidOption),
        (lambda: RowExists(mapped.Order, 1, session_factory=object()), InvalidFunction),
        (lambda: RowExists(mapped.Order, nonsense=1, session_factory=FACTORY), InvalidArguments),
        # What is in the class and no column was compared by Python: never equal, so the job waited for nothing.
        (lambda: RowExists(mapped.Order, is_first=True, session_factory=FACTORY), InvalidArguments),
        (lambda: RowExists(mapped.Order, metadata=1, session_factory=FACTORY), InvalidArguments),
        (lambda: RowExists(mapped.Line, 1, session_factory=FACTORY), InvalidArguments),
        (lambda: RowExists(mapped.NoModel, 1, session_factory=FACTORY), InvalidOption),
        (lambda: RowExists(mapped.Order(id=1, number=""), 1, session_factory=FACTORY), InvalidFunction),
        (lambda: RowExists("tests.contract.mapped:NoSuch", 1), InvalidFunction),
        (lambda: RowExists(type("Local", (), {"__qualname__": "f.<locals>.Local"}), 1), InvalidFunction),
    ],
)
def test_bad_input(make: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"RowExists|Invalid attribute name"):
        make()


def test_neither_django_nor_sqlalchemy_is_imported_for_it() -> None:
    code = "import sys, atomiq.requires, atomiq.worker; print('django' in sys.modules, 'sqlalchemy' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.split() == ["False", "False"]


@pytest.mark.parametrize("executor", ["process", "thread", "async", "inline"])
def test_rows_of_django(redis_connection: redis.Redis, redis_url: str, tmp_path: Path, executor: str) -> None:
    pytest.importorskip("django")
    command = [sys.executable, "-m", "tests.contract.shop.scene", redis_url, str(tmp_path), executor]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 0, run.stderr
    said = json.loads(run.stdout.splitlines()[-1])
    seen = said["seen"]
    for name in ("pk", "by name", "filters", "left out by a manager", "other database", "coroutine"):
        assert seen[name] == ["finished", ""], (name, seen[name])
    for name in ("both", "absent"):
        assert seen[name][0] == "failed"
        assert seen[name][1].startswith("PreconditionNotMet: not there: a row of tests.contract.shop.models.Order with")
    assert seen["error"][1].startswith("PreconditionError: OperationalError: unable to open database file")
    assert said["refused"]["no column"].startswith("InvalidArguments: RowExists: ")
    assert said["refused"]["no number"].startswith("InvalidArguments: RowExists: ")
    assert said["refused"]["unsaved"].startswith("InvalidOption: RowExists: neither a primary key nor filters")
    assert said["refused"]["session"].startswith("InvalidOption: RowExists: session_factory is for SQLAlchemy")
