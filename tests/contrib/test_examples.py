"""Each example, started for real: orders over HTTP, one rolled back, a worker beside it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
from tests.helpers import wait_until

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Example:
    folder: str
    database: str
    prepare: tuple[str, ...]
    serve: tuple[str, ...]
    work: tuple[str, ...]


EXAMPLES = [
    Example("flask_shop", "sqlite:///{}", (), ("-m", "flask", "--app", "shop", "run", "--port", "{port}"),
            ("-m", "atomiq", "worker")),
    Example("fastapi_shop", "sqlite+aiosqlite:///{}", (), ("-m", "uvicorn", "shop:app", "--port", "{port}"),
            ("-m", "atomiq", "worker", "--executor", "async")),
    Example("django_shop", "{}", ("manage.py", "migrate"),
            ("manage.py", "runserver", "--noreload", "127.0.0.1:{port}"), ("manage.py", "atomiqworker")),
]  # fmt: skip


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def running(example: Example, environment: dict[str, str], log: Path) -> Iterator[str]:
    """The example's web server: its address."""
    folder = ROOT / "examples" / example.folder
    for arguments in filter(None, [example.prepare]):
        subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, check=True, capture_output=True)
    port = free_port()
    command = [sys.executable, *(word.format(port=port) for word in example.serve)]
    with log.open("w") as out, subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=out) as server:
        try:
            address = f"http://127.0.0.1:{port}/orders"
            wait_until(lambda: answers(port) or server.poll() is not None, within=30, what=f"{example.folder} answers")
            assert server.poll() is None, log.read_text()
            yield address
        finally:
            server.terminate()
            server.wait(20)


def answers(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def ask(address: str, method: str = "GET") -> Any:
    with urllib.request.urlopen(urllib.request.Request(address, method=method), timeout=20) as answer:
        return json.load(answer)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.folder)
def test_example(example: Example, tmp_path: Path, redis_url: str, redis_connection: redis.Redis) -> None:
    environment = {
        **os.environ,
        "ATOMIQ_URL": redis_url,
        "SHOP_DATABASE": example.database.format(tmp_path / "shop.sqlite"),
        "PYTHONPATH": str(ROOT / "src"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    folder = ROOT / "examples" / example.folder
    log = tmp_path / "server.log"
    with running(example, environment, log) as address:
        kept = ask(f"{address}?item=tea", "POST")["job"]
        with pytest.raises(urllib.error.HTTPError, match=r"40[09]") as refused:
            ask(f"{address}?item=coffee&fail=1", "POST")
        refused.value.close()
        second = ask(f"{address}?item=milk", "POST")["job"]
        waiting = [each.decode() for each in redis_connection.lrange("rq:queue:default", 0, -1)]
        assert waiting == [kept, second], log.read_text()
        assert ask(address) == [["tea", None], ["milk", None]]
        worker = [sys.executable, *example.work, "--burst", "--quiet"]
        subprocess.run(worker, cwd=folder, env=environment, timeout=60, check=True)
        assert ask(address) == [["tea", "1 tea"], ["milk", "1 milk"]]
