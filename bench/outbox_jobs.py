"""What the jobs of the outbox storm do: look whether their row is visible, and note that they ran."""

from __future__ import annotations

import os
import time
from typing import Any

from atomiq.outbox.drivers import connect, run

_connections: dict[int, tuple[Any, str]] = {}


def arrived(url: str, notes: str, number: int, part: int) -> None:
    """Append one line for this run, in one write: number, part, whether the transaction's row was visible."""
    visible = int(_is_visible(url, number))
    line = f"{number} {part} {visible}\n".encode()
    note = os.open(notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(note, line)
    finally:
        os.close(note)


def note_start(path: str) -> None:
    """Append when it started, in ns."""
    note = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(note, f"{time.time_ns()}\n".encode())
    finally:
        os.close(note)


def _is_visible(url: str, number: int) -> bool:
    """Connections are killed in the storm; a new one is made then, and asked once more."""
    for _ in range(20):
        try:
            pid = os.getpid()
            if pid not in _connections:
                _connections[pid] = connect(url)
            connection, driver = _connections[pid]
            found = run(connection, driver, "SELECT number FROM storm_rows WHERE number = :number", {"number": number})
            connection.rollback()
            return bool(found)
        except Exception:  # noqa: BLE001 - each driver has its own
            _connections.pop(os.getpid(), None)
    raise ConnectionError("the database can't be asked")
