"""A worker as a process of its own: `python -m tests.worker.main '{"url": …, "queues": […], "simple": false, …}'`."""

from __future__ import annotations

import json
import sys
from typing import Any

import redis
from tests import tasks

from atomiq.worker import SimpleWorker, Worker


def main(wish: dict[str, Any]) -> None:
    connection = redis.Redis.from_url(wish["url"])
    make = SimpleWorker if wish.get("simple") else Worker
    options = wish.get("options", {})
    if wish.get("handlers"):
        options["exception_handlers"] = [getattr(tasks, name) for name in wish["handlers"]]
    worker = make(wish["queues"], connection=connection, **options)
    worker.work(**wish.get("work", {}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
