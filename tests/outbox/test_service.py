"""`atomiq relay` and `atomiq outbox`, and the loop below the first."""

from __future__ import annotations

import json
import logging
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
import redis
from click.testing import CliRunner
from tests.helpers import wait_until
from tests.outbox.conftest import Scene
from tests.tasks import add

from atomiq import outbox
from atomiq.cli.main import main
from atomiq.outbox import drivers
from atomiq.outbox.service import LONGEST_PAUSE_S, Service


@contextmanager
def serving(scene: Scene, **options: Any) -> Iterator[Service]:
    service = Service(scene.url, scene.redis, **options)
    thread = threading.Thread(target=service.run)
    thread.start()
    try:
        yield service
    finally:
        service.stop()
        thread.join(20)


def test_it_finds_what_nobody_nudged_for(scene: Scene) -> None:
    with serving(scene) as service:
        for number in range(3):
            scene.enqueue(add, number, 0)
            wait_until(lambda wanted=number + 1: len(scene.queue) == wanted, what="the job is in its queue")
    assert service.total.sent == 3


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_postgresql_wakes_it(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """It doesn't look by itself within the time of this test."""
    monkeypatch.setattr("atomiq.outbox.service.SHORTEST_PAUSE_S", 300.0)
    monkeypatch.setattr("atomiq.outbox.service.LONGEST_PAUSE_S", 300.0)
    with serving(scene) as service:
        service._pause = 300.0
        wait_until(lambda: service._ears._link is not None, what="it listens")
        scene.enqueue(add, 1, 0)
        wait_until(lambda: len(scene.queue) == 1, what="the job is in its queue")


@pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)
def test_its_connections_are_killed(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """Both of them, the one that listens too; it makes new ones."""
    caplog.set_level(logging.WARNING, "atomiq.outbox")
    others = {
        "postgresql": "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
        "mariadb": "KILL USER root",
    }
    with serving(scene) as service:
        scene.enqueue(add, 1, 0)
        wait_until(lambda: len(scene.queue) == 1, what="the job is in its queue")
        connection, driver = drivers.connect(scene.url)
        try:
            drivers.run(connection, driver, others[scene.kind])
        except Exception as error:  # noqa: BLE001 - MariaDB ends the one that asks, too
            logging.getLogger("tests").info("%s", error)
        finally:
            connection.close()
        scene.enqueue(add, 2, 0)
        wait_until(lambda: len(scene.queue) == 2, within=20, what="the job is in its queue")
    assert service.total.sent == 2


def test_it_looks_less_often_while_there_is_nothing(sqlite_scene: Scene) -> None:
    with serving(sqlite_scene) as service:
        wait_until(lambda: service._pause == LONGEST_PAUSE_S, within=20, what="it is at its longest pause")
        sqlite_scene.enqueue(add, 1, 0)
        wait_until(lambda: len(sqlite_scene.queue) == 1, what="the job is in its queue")


def test_stop_and_run_after_its_end(sqlite_scene: Scene) -> None:
    """A shutdown that says stop to a service whose run has ended, and a second burst, met a closed pipe; or whatever
    file had its number by then."""
    service = Service(sqlite_scene.url, sqlite_scene.redis)
    for number in range(1, 3):
        sqlite_scene.enqueue(add, number, 0)
        assert service.run(burst=True).sent == number
    service.stop()


def test_the_commands(scene: Scene, redis_url: str) -> None:
    scene.run("DROP TABLE atomiq_outbox")
    runner = CliRunner(env={"ATOMIQ_DATABASE": scene.url})

    def run(*arguments: str) -> str:
        result = runner.invoke(main, arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    missing = runner.invoke(main, ["relay", "--url", redis_url])
    assert missing.exit_code == 1
    assert "atomiq outbox create" in missing.output
    run("outbox", "create")
    bad, good = scene.enqueue(add, 1, 2), scene.enqueue(add, 3, 4)
    scene.run("UPDATE atomiq_outbox SET version = 9 WHERE job_id = :job", job=bad.id)
    assert "2 waiting" in run("outbox", "list")
    assert "1 sent, 1 parked" in run("relay", "--burst", "--url", redis_url)
    assert scene.queue.job_ids == [good.id]
    assert f"{bad.id} parked: payload version 9" in run("outbox", "list", "--parked")
    listed = json.loads(run("outbox", "list", "--json"))
    assert (listed["waiting"], listed["parked"], listed["rows"][0]["job_id"]) == (0, 1, bad.id)
    scene.run("UPDATE atomiq_outbox SET version = 1")
    row_id = listed["rows"][0]["id"]
    some = runner.invoke(main, ["outbox", "retry", str(row_id), "98765", "98765"])
    assert (some.exit_code, "0 parked rows are left" in some.output) == (1, True)
    assert "no row of this id is parked: 98765 (" in some.output
    run("relay", "--burst", "--url", redis_url)
    assert scene.queue.job_ids == [good.id, bad.id]
    run("outbox", "prune", "--older-than", "1h")
    assert outbox.figures(scene.url) == (0, 0, 0.0)


@pytest.mark.parametrize("url", ["postgresql://x@127.0.0.1:1/x", "mysql://x@127.0.0.1:1/x", "postgresql:///%zz"])
def test_a_database_that_is_away_is_a_line(url: str, redis_url: str) -> None:
    """And not the driver's traceback."""
    for words in (
        ["outbox", "create"],
        ["outbox", "list"],
        ["outbox", "retry", "1"],
        ["relay", "--burst", "-u", redis_url],
    ):
        result = CliRunner().invoke(main, [*words, "--database", url])
        assert (result.exit_code, type(result.exception)) == (1, SystemExit), result.exception
        assert result.output.startswith("Error: the database says: ")
        assert result.output.count("\n") == 1


def test_a_database_that_is_away_when_it_starts(sqlite_scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """It waits for the database, as it does later, and says so once; what can't be cured by waiting ends it."""
    caplog.set_level(logging.INFO, "atomiq.outbox")
    is_there = threading.Event()

    def connect() -> sqlite3.Connection:
        if not is_there.is_set():
            raise sqlite3.OperationalError("nobody answers")
        return sqlite3.connect(sqlite_scene.url.removeprefix("sqlite:///"), check_same_thread=False)

    job = sqlite_scene.enqueue(add, 1, 0)
    service = Service(connect, sqlite_scene.redis)
    thread = threading.Thread(target=service.run)
    thread.start()
    wait_until(lambda: service._pause > 0.3, what="it has tried again and again")
    is_there.set()
    wait_until(lambda: sqlite_scene.queue.job_ids == [job.id], what="the job is in its queue")
    service.stop()
    thread.join(20)
    assert caplog.text.count("rows wait, the relay tries again: OperationalError: nobody answers") == 1
    assert "relay works again" in caplog.text
    with pytest.raises(ZeroDivisionError):
        Service(lambda: 1 / 0, sqlite_scene.redis).run()


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_role_that_may_connect_once(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """There is no second connection that listens. In each step that tried to make it no row was sent, and the log said
    in turns that rows wait, and that the relay works again."""
    caplog.set_level(logging.INFO, "atomiq.outbox")
    scene.run("DROP ROLE IF EXISTS once")
    scene.run("CREATE ROLE once LOGIN CONNECTION LIMIT 1")
    scene.run("GRANT ALL ON atomiq_outbox, atomiq_outbox_meta TO once")
    service = Service(scene.url.replace("postgres@", "once@"), scene.redis)
    for number in range(1, 4):
        scene.enqueue(add, number, 0)
        service._ears._tried = -1e9
        service.relay.link()
        service._step()
        while service.relay.pass_once().more:
            pass
        assert len(scene.queue) == number
    said = [record.getMessage() for record in caplog.records]
    service.relay.close()
    scene.run("DROP OWNED BY once")
    scene.run("DROP ROLE once")
    assert len(said) == 1
    assert said[0].startswith("outbox: the database can't notify the relay")


def test_a_pass_over_nothing_says_nothing_of_the_server(
    sqlite_scene: Scene, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Of two relays whose server was away one had all rows in hand, and the other said several times a second, in
    turns, that rows wait and that the relay works again."""
    caplog.set_level(logging.INFO, "atomiq.outbox")
    owner = sqlite_scene.redis
    owner.acl_setuser("half", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-zadd"])
    half = redis.Redis.from_url(redis_url, username="half", password="x")
    service = Service(sqlite_scene.url, half)

    def said() -> list[str]:
        return [record.getMessage().partition(":")[2].partition(",")[0].strip() for record in caplog.records]

    try:
        for _ in range(3):
            sqlite_scene.enqueue(add, 1, 2)
            while not service._step():
                pass
            sqlite_scene.run("DELETE FROM atomiq_outbox")
            service._step()
        assert said() == ["rows wait"]
        owner.acl_setuser("half", commands=["+@all"], enabled=True)
        sqlite_scene.enqueue(add, 1, 2)
        while not service._step():
            pass
        assert said() == ["rows wait", "relay works again"]
    finally:
        service.relay.close()
        half.connection_pool.disconnect()
        owner.acl_deluser("half")


def test_trouble_is_one_line_of_the_log(redis_connection: Any, caplog: pytest.LogCaptureFixture) -> None:
    """What PostgreSQL's drivers say has several lines."""
    caplog.set_level(logging.INFO, "atomiq.outbox")
    service = Service("postgresql://x@127.0.0.1:1/x", redis_connection)
    service._step()
    assert caplog.records
    assert [record.getMessage() for record in caplog.records if "\n" in record.getMessage()] == []


def test_made_by_several_at_once(scene: Scene) -> None:
    """Each container of a deployment begins with `atomiq outbox create`. On PostgreSQL CREATE TABLE IF NOT EXISTS fails
    where another makes the table at the same time: in half of all cases a traceback about a unique constraint."""
    together = threading.Barrier(4)

    def create() -> None:
        together.wait(10)
        outbox.create(scene.url)

    for _ in range(3):
        for table in ("atomiq_outbox", "atomiq_outbox_meta", "atomiq_job_marks"):
            scene.run(f"DROP TABLE IF EXISTS {table}")
        with ThreadPoolExecutor(4) as threads:
            for each in [threads.submit(create) for _ in range(4)]:
                each.result()


def test_sigterm_ends_it(sqlite_scene: Scene, redis_url: str) -> None:
    command = [sys.executable, "-m", "atomiq", "relay", "--database", sqlite_scene.url, "--url", redis_url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        sqlite_scene.enqueue(add, 1, 2)
        wait_until(lambda: len(sqlite_scene.queue) == 1, within=30, what="the job is in its queue")
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=20)
    assert (process.returncode, output.strip()) == (0, "1 sent, 0 parked, 0 put off"), errors


def test_info_and_metrics(scene: Scene, redis_url: str, tmp_path: Any) -> None:
    """A line under the queues; the same for Prometheus; and no database hides the queues."""

    def run(*words: str) -> str:
        found = CliRunner().invoke(main, [*words], catch_exceptions=False)
        assert found.exit_code == 0, found.output
        return found.output

    scene.enqueue(add, 1, 0)
    shown = ["info", "--url", redis_url, "--database", scene.url]
    assert "outbox: 1 waiting (the oldest for " in run(*shown)
    assert ", 0 parked" in run(*shown)
    assert run(*shown, "--raw").startswith("outbox 1 waiting, ")
    assert "atomiq_outbox_waiting 1\n" in run("outbox", "metrics", "--database", scene.url)
    scene.drain()
    assert "atomiq_outbox_waiting 0\n" in run("outbox", "metrics", "--database", scene.url)
    lost = run("info", "--url", redis_url, "--database", f"sqlite:///{tmp_path}/no/such/folder/db")
    assert "outbox: " in lost
    assert "Updated: " in lost
    assert "outbox" not in run("info", "--url", redis_url)
