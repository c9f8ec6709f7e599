"""How an idle relay waits: for PostgreSQL to notify it, for its own process to wake it, or until it is time to look."""

from __future__ import annotations

import contextlib
import os
import time
import weakref
from typing import Any, Final, Protocol

from atomiq._core.log import get_logger
from atomiq._wire.readable import readable
from atomiq.outbox.database import Database, Link
from atomiq.outbox.table import CHANNEL
from atomiq.outbox.trouble import is_database_error

_LISTENS_AGAIN_S: Final = 5.0
logger = get_logger("outbox")


class Ears:
    """Waits; `wake` ends a wait from a signal handler or another thread."""

    def __init__(self, database: Database, listens: bool = True) -> None:
        self._database = database
        self._listens = listens
        self._link: Link | None = None
        self._tried = -1e9
        self._trouble = ""
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        # Not by `close`: a signal, or a thread that says stop, may come later, when the numbers are another file's.
        weakref.finalize(self, _close, self._read, self._write)

    def wake(self) -> None:
        """End a wait, this one or the next. Safe in a signal handler."""
        with contextlib.suppress(BlockingIOError):  # enough wakes are waiting already
            os.write(self._write, b"!")

    def open(self) -> None:
        """Listen from now on, where the database can notify; what came before is for whoever looks. A database that
        gives no second connection is looked at all the same."""
        if self._link is not None or not self._listens or time.monotonic() - self._tried < _LISTENS_AGAIN_S:
            return
        self._tried = time.monotonic()
        try:
            self._link, self._trouble = self._listening(), ""
        except Exception as error:
            if not is_database_error(error) and not isinstance(error, OSError):
                raise
            trouble = " ".join(str(error).split())
            if trouble != self._trouble:
                self._trouble = trouble
                logger.info("outbox: the database can't notify the relay, which looks by itself: %s", trouble)

    def _listening(self) -> Link | None:
        link = self._database.link()
        try:
            self._listens = link.dialect == "postgresql" and hasattr(link.raw, "fileno")
            if self._listens:
                link.run(f"LISTEN {CHANNEL}")
                link.commit()
                return link
        except BaseException:
            link.close()
            raise
        link.close()
        return None

    def wait(self, seconds: float) -> None:
        """Until something is heard, at most so long."""
        files: list[Any] = [self._read]
        if self._link is not None:
            try:
                if _heard(self._link.raw):  # since the last wait
                    return
                files.append(self._link.raw.fileno())
            except Exception as error:  # noqa: BLE001 - each driver has its own; polling goes on
                text = " ".join(str(error).split())
                logger.info("outbox: lost the connection that listens to PostgreSQL: %s", text)
                self._drop()
        ready = readable(files, seconds)
        if self._read in ready:
            os.read(self._read, 4096)

    def close(self) -> None:
        """Give up the connection. `wake` may be called all the same, and `open` listens again."""
        self._drop()
        self._tried = -1e9

    def _drop(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            try:
                link.close()
            except Exception as error:  # noqa: BLE001 - it is gone already
                logger.debug("outbox: close: %s", error)


def _close(*files: int) -> None:
    for each in files:
        os.close(each)


class _Notified(Protocol):
    def consume_input(self) -> None: ...

    def notifies(self) -> Any: ...


def _heard(raw: Any) -> bool:
    """Whether the database has notified. Raises what the driver raises when the connection is lost."""
    if hasattr(raw, "pgconn"):  # psycopg 3
        protocol: _Notified = raw.pgconn
        protocol.consume_input()
        heard = False
        while protocol.notifies():
            heard = True
        return heard
    raw.poll()
    heard = bool(raw.notifies)
    raw.notifies.clear()
    return heard
