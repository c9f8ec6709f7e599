"""Scenes with a real Django and an SQLite file: `python -m tests.executors.django_scene SCENE FILE`.

Each prints what it saw. They are processes of their own because Django is configured once for a process.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from typing import Any

from atomiq.executors import hooks


def configure(path: str, max_age: int | None) -> Any:
    import django
    from django.conf import settings

    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": path, "CONN_MAX_AGE": max_age}
    settings.configure(DEBUG=True, DATABASES={"default": database}, USE_TZ=True)
    django.setup()
    from django.db import connections

    return connections


def is_open(connections: Any) -> bool:
    return connections["default"].connection is not None


def query(connections: Any) -> None:
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT 1")


def around_jobs(path: str) -> dict[str, Any]:
    """An old connection is closed at either side of a job, a young one is kept, noted queries are forgotten."""
    connections = configure(path, max_age=0)
    query(connections)
    noted = len(connections["default"].queries_log)
    hooks.start_job(None)
    at_start = is_open(connections)
    query(connections)
    hooks.end_job(None, None)
    at_end = is_open(connections)
    connections["default"].settings_dict["CONN_MAX_AGE"] = None
    query(connections)
    hooks.start_job(None)
    hooks.end_job(None, None)
    left = len(connections["default"].queries_log)
    young = is_open(connections)
    return {"noted": noted, "left": left, "old at start": at_start, "old at end": at_end, "young": young}


def on_a_loop(path: str) -> dict[str, Any]:
    """The same for coroutines: their synchronous parts have a thread, and connections, of their own."""
    from asgiref.sync import sync_to_async

    connections = configure(path, max_age=0)

    async def job() -> dict[str, Any]:
        await hooks.astart_child()
        await sync_to_async(query)(connections)
        before = await sync_to_async(is_open)(connections)
        await hooks.astart_job(None)
        at_start = await sync_to_async(is_open)(connections)
        await sync_to_async(query)(connections)
        await hooks.aend_job(None, None)
        at_end = await sync_to_async(is_open)(connections)
        connections.settings["default"]["CONN_MAX_AGE"] = None
        await sync_to_async(query)(connections)
        await hooks.astop_child()
        return {
            "before": before,
            "at start": at_start,
            "at end": at_end,
            "stop": await sync_to_async(is_open)(connections),
        }

    return asyncio.run(job())


def forks(path: str) -> dict[str, Any]:
    """The supervisor's connection isn't open when it forks; a child closes its own when it starts and stops."""
    connections = configure(path, max_age=None)
    query(connections)
    hooks.before_fork()
    before = is_open(connections)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        hooks.after_fork_in_child()
        query(connections)
        hooks.start_child()
        started = is_open(connections)
        query(connections)
        hooks.stop_child()
        os.write(writer, json.dumps([started, is_open(connections)]).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    started, stopped = json.loads(os.read(reader, 100))
    return {"before fork": before, "started": started, "stopped": stopped}


def transactions(path: str) -> dict[str, Any]:
    """A caller's transaction is left alone by a worker in its process; one that a job has left behind is ended."""
    from django.db import transaction

    connections = configure(path, max_age=0)
    with transaction.atomic():
        query(connections)
        hooks.before_fork()
        hooks.start_child(inline=True)
        hooks.start_job(None)
        hooks.end_job(None, None)
        hooks.stop_child()
        callers = is_open(connections)
    hooks.start_child()
    transaction.atomic().__enter__()
    query(connections)
    hooks.end_job(None, None)
    hooks.start_job(None)
    query(connections)
    return {"callers": callers, "left behind": connections["default"].in_atomic_block}


def broken(path: str) -> dict[str, Any]:
    """A database that can't be left fails no job."""
    connections = configure(path, max_age=0)
    query(connections)

    def fail() -> None:
        raise OSError("no route to the database")

    connections["default"].close_if_unusable_or_obsolete = fail
    records: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: records.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("atomiq.worker").addHandler(handler)
    hooks.start_job(None)
    return {"logged": records}


def not_configured(_path: str) -> dict[str, Any]:
    """Django is imported by a library, and nobody uses it."""
    from django.conf import settings
    from django.db import connections

    hooks.before_fork()
    hooks.start_child()
    hooks.start_job(None)
    hooks.end_job(None, None)
    hooks.stop_child()
    return {"connections": len(connections.__dict__.get("databases", ())), "configured": settings.configured}


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](sys.argv[2])))
