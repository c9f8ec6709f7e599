"""Django's connections around children and jobs, with a real Django in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from atomiq.executors import hooks

ROOT = Path(__file__).parents[2]


def seen(scene: str, tmp_path: Path) -> Any:
    command = [sys.executable, "-W", "error", "-m", "tests.executors.django_scene", scene, str(tmp_path / "db.sqlite")]
    environment = {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_around_a_job(tmp_path: Path) -> None:
    expected = {"noted": 1, "left": 0, "old at start": False, "old at end": False, "young": True}
    assert seen("around_jobs", tmp_path) == expected


def test_around_a_coroutine(tmp_path: Path) -> None:
    assert seen("on_a_loop", tmp_path) == {"before": True, "at start": False, "at end": False, "stop": False}


def test_nothing_is_shared_with_a_child(tmp_path: Path) -> None:
    assert seen("forks", tmp_path) == {"before fork": False, "started": False, "stopped": False}


def test_transactions(tmp_path: Path) -> None:
    assert seen("transactions", tmp_path) == {"callers": True, "left behind": False}


def test_a_broken_connection_is_logged(tmp_path: Path) -> None:
    assert seen("broken", tmp_path) == {"logged": ["Django's database connection 'default' could not be closed"]}


def test_django_without_settings(tmp_path: Path) -> None:
    assert seen("not_configured", tmp_path) == {"connections": 0, "configured": False}


def test_a_django_that_is_just_being_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """In another thread, say: the modules are there, what they define isn't yet."""
    monkeypatch.setitem(sys.modules, "django.conf", ModuleType("django.conf"))
    monkeypatch.setitem(sys.modules, "django.db", ModuleType("django.db"))
    hooks.start_child()
    hooks.start_job(None)
    hooks.end_job(None, None)
    hooks.stop_child()
    hooks.before_fork()


def test_django_is_never_imported_from_here() -> None:
    program = """if True:
        import sys, redis
        before = set(sys.modules)  # where OpenTelemetry is installed, redis-py imports it
        from atomiq.executors import hooks
        hooks.before_fork(), hooks.start_child(), hooks.start_job(None), hooks.end_job(None, None), hooks.stop_child()
        found = sys.modules.keys() - before
        print([name for name in found if name.startswith(("django", "numpy", "sentry", "opentelemetry"))])
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


class Pooled:
    """A connection with a pool, as Django's for PostgreSQL has one when OPTIONS ask for it."""

    alias = "default"
    in_atomic_block = False

    def __init__(self, pools: dict[str, Any]) -> None:
        self._connection_pools = pools
        self.closed: list[str] = []

    def close(self) -> None:
        self.closed.append("connection")

    def close_pool(self) -> None:
        self.closed.append("pool")


@pytest.mark.parametrize(("pools", "closed"), [({"default": 1}, ["connection", "pool"]), ({}, ["connection"])])
def test_a_pool_isnt_shared_either(monkeypatch: pytest.MonkeyPatch, pools: dict[str, Any], closed: list[str]) -> None:
    connection = Pooled(pools)
    database, conf = ModuleType("django.db"), ModuleType("django.conf")
    database.connections = type("Handler", (), {"all": lambda self, initialized_only: [connection]})()  # type: ignore[attr-defined]
    database.close_old_connections = None  # type: ignore[attr-defined]
    conf.settings = type("Settings", (), {"configured": True})()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "django.db", database)
    monkeypatch.setitem(sys.modules, "django.conf", conf)
    hooks.before_fork()
    assert connection.closed == closed
