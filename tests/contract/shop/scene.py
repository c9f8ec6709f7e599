"""`python -m tests.contract.shop.scene URL FOLDER EXECUTOR`: jobs that require rows of a real Django database.

A process of its own because Django is configured once for a process. Prints what it saw.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import redis

from atomiq import Queue
from atomiq.exceptions import InvalidInput
from atomiq.requires import RowExists
from atomiq.worker import Worker


def configure(folder: Path) -> Any:
    import django
    from django.conf import settings

    engine = "django.db.backends.sqlite3"
    files = {"default": "first.db", "second": "second.db", "broken": "no/such/folder/x.db"}
    databases = {alias: {"ENGINE": engine, "NAME": str(folder / name)} for alias, name in files.items()}
    settings.configure(DATABASES=databases, INSTALLED_APPS=["tests.contract.shop"], USE_TZ=True)
    django.setup()
    from django.db import connections
    from tests.contract.shop.models import Order

    for alias in ("default", "second"):
        with connections[alias].schema_editor() as editor:
            editor.create_model(Order)
    return Order


def refusal(*args: Any, **kwargs: Any) -> str:
    try:
        RowExists(*args, **kwargs)
    except InvalidInput as error:
        return f"{type(error).__name__}: {error}"
    return "accepted"


def main(url: str, folder: str, executor: str) -> None:
    order = configure(Path(folder))
    connection = redis.Redis.from_url(url)
    queue = Queue(connection=connection)
    order.objects.create(id=1, number="A-1")
    order(id=2, number="A-2", hidden=True).save()
    order.objects.using("second").create(id=3, number="A-3")
    few: dict[str, Any] = {"tries": 2, "backoff": 0, "error_retries": 1}
    function, coroutine = "tests.tasks.add", "tests.tasks.later"
    made = {
        "pk": queue.enqueue(function, 1, requires=RowExists(order, 1, **few)),
        "by name": queue.enqueue(function, 1, requires=RowExists("tests.contract.shop.models:Order", 1, **few)),
        "filters": queue.enqueue(function, 1, requires=RowExists(order, number__startswith="A", **few)),
        "both": queue.enqueue(function, 1, requires=RowExists(order, 1, number="A-2", **few)),
        "left out by a manager": queue.enqueue(function, 1, requires=RowExists(order, 2, **few)),
        "other database": queue.enqueue(function, 1, requires=RowExists(order, 3, using="second", **few)),
        "coroutine": queue.enqueue(coroutine, 1, requires=RowExists(order, 1, **few)),
        "absent": queue.enqueue(function, 1, requires=RowExists(order, 9, **few)),
        "error": queue.enqueue(function, 1, requires=RowExists(order, 1, using="broken", **few)),
    }
    Worker([queue], connection=connection, executor=executor).work(burst=True)
    seen = {}
    for name, job in made.items():
        text = str(job.latest_result().exc_string or "").strip()
        seen[name] = [job.get_status().value, text.splitlines()[-1].rpartition("errors.")[2] if text else ""]
    refused = {
        "no column": refusal(order, nonsense=1),
        "no number": refusal(order, "x"),
        "unsaved": refusal(order, order(number="new").pk),
        "session": refusal(order, 1, session_factory="tests.contract.mapped.new_session"),
    }
    print(json.dumps({"seen": seen, "refused": refused}))


if __name__ == "__main__":
    main(*sys.argv[1:])
