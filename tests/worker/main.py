"""A worker as a process of its own: `python -m tests.worker.main '{"url": …, "queues": […], …}'`."""

from __future__ import annotations

import json
import sys
from typing import Any

import redis
from tests import tasks
from tests.worker import setups

from atomiq.utils import import_attribute
from atomiq.worker import Worker


def main(wish: dict[str, Any]) -> None:
    connection = redis.Redis.from_url(wish["url"])
    options = wish.get("options", {})
    if wish.get("handlers"):
        options["exception_handlers"] = [getattr(tasks, name) for name in wish["handlers"]]
    if wish.get("setup"):
        getattr(setups, wish["setup"])(wish.get("setup_path", ""))
    kind = import_attribute(wish["kind"]) if wish.get("kind") else Worker
    worker = kind(wish["queues"], connection=connection, **options)
    worker.work(**wish.get("work", {}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
