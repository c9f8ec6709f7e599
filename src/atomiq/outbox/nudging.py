"""The nudge after COMMIT: a thread of this process moves the rows at once. It never fails or blocks the request."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from atomiq._core.log import get_logger
from atomiq._wire.siblings import server_of
from atomiq.outbox.async_relay import AsyncNudger
from atomiq.outbox.committing import Committing, pauses
from atomiq.outbox.database import Database
from atomiq.outbox.relay import Relay

IDLE_S: Final = 3.0
"""A thread without work ends; the next nudge starts another."""
FIRST_BACK_OFF_S: Final = 0.05
LONGEST_BACK_OFF_S: Final = 10.0
AT_EXIT_S: Final = 2.0
logger = get_logger("outbox")


class Nudger:
    """The relay of one database, server and route in this process; its thread lives while there is work."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._changed = threading.Condition()
        self._asked = self._stopped = self._in_trouble = False
        self._committing = Committing()
        self._thread: threading.Thread | None = None

    @property
    def is_over(self) -> bool:
        """Whether its thread has ended."""
        with self._changed:
            return self._thread is None

    def nudge(self, committing: Any = None) -> None:
        """Have a look soon; and again until that transaction is over."""
        with self._changed:
            self._asked, self._stopped = True, False
            self._committing.add(committing)
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="atomiq outbox", daemon=True)
                thread.start()  # fails where the system gives no more threads; the next nudge tries again
                self._thread = thread
            self._changed.notify_all()

    def finish(self, seconds: float) -> None:
        """Wait until what was asked is done, at most so long, and end the thread."""
        deadline = time.monotonic() + seconds
        with self._changed:
            self._changed.wait_for(lambda: not self._asked or self._in_trouble or self._thread is None, seconds)
            self._stopped = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(max(deadline - time.monotonic(), 0.1))

    def _run(self) -> None:
        back_off = FIRST_BACK_OFF_S
        try:
            while True:
                try:
                    with self._changed:
                        self._asked = False
                    self._move()
                    self._in_trouble = False
                    back_off = FIRST_BACK_OFF_S
                except Exception as error:  # noqa: BLE001 - whatever it is, the rows wait for a relay
                    logger.warning("outbox: rows wait: %s: %s", type(error).__name__, " ".join(str(error).split()))
                    self._relay.close()
                    with self._changed:
                        self._in_trouble = True
                        self._changed.notify_all()
                        self._changed.wait_for(lambda: self._stopped, back_off)
                        self._asked = not self._stopped
                    back_off = min(back_off * 2, LONGEST_BACK_OFF_S)
                if self._is_over():
                    return
        finally:
            self._relay.close()

    def _move(self) -> None:
        for pause in pauses():
            with self._changed:
                again = self._committing.go_on()
            self._relay.drain()
            if not again:
                break
            with self._changed:
                self._changed.wait(pause)
        if self._relay.database.is_shared:
            self._relay.close()

    def _is_over(self) -> bool:
        with self._changed:
            self._changed.notify_all()
            if not self._asked and not self._stopped:
                self._changed.wait_for(lambda: self._asked or self._stopped, IDLE_S)
            if self._asked and not self._stopped:
                return False
            self._thread = None
            self._changed.notify_all()
            return True


class NudgeAfter:
    """What is called with the database after a commit. Two of the same server and route are one."""

    def __init__(self, connection: Any, route: str) -> None:
        self._connection, self._route = connection, route
        self.key = (server_of(connection), route)

    def __call__(self, database: Any, committing: Any = None) -> None:
        _nudge(database, self._connection, self._route, committing)


_nudgers: dict[Any, Nudger | AsyncNudger] = {}
_lock = threading.Lock()


def nudge(database: Any, connection: Any, route: str = "") -> None:
    """Move committed rows soon, in a thread of this process; in a running event loop's task, if the database is an
    AsyncEngine. Never raises, and never waits: what can't be moved now is logged, tried again, and left to
    `atomiq relay`.

    Args:
        database: a URL, a SQLAlchemy Engine, a Django connection or a callable that returns a new DB-API connection.
        connection: redis.Redis of the queue, `queue.connection`.
        route: that of the rows.
    """
    _nudge(database, connection, route, None)


def _nudge(database: Any, connection: Any, route: str, committing: Any) -> None:
    try:
        engine = getattr(database, "sync_engine", database)
        if getattr(getattr(engine, "dialect", None), "is_async", False):
            loop = asyncio.get_running_loop()
            key: Any = (engine, server_of(connection), route, loop)
            _wake(key, lambda: AsyncNudger(engine, connection, route, loop), committing)
        else:
            found = Database.of(engine)
            key = (found.key, server_of(connection), route)
            _wake(key, lambda: Nudger(Relay(found, connection, route)), committing)
    except Exception as error:  # noqa: BLE001 - the rows are committed, the request has succeeded
        logger.debug("outbox: nobody here can move the rows, a relay will: %s: %s", type(error).__name__, error)


def _wake(key: Any, make: Callable[[], Nudger | AsyncNudger], committing: Any) -> None:
    with _lock:
        for other in [each for each in _nudgers if _nudgers[each].is_over]:
            del _nudgers[other]
        if key not in _nudgers:
            _nudgers[key] = make()
        _nudgers[key].nudge(committing)


def finish(seconds: float = AT_EXIT_S) -> None:
    """Wait until rows that were nudged for are moved, at most so long, and end the threads. Called at exit."""
    with _lock:
        all_of_them = list(_nudgers.values())
        _nudgers.clear()
    for each in all_of_them:
        each.finish(seconds)


async def finish_in_loop(seconds: float = AT_EXIT_S) -> None:
    """`finish` for what the running loop was nudged for."""
    with _lock:
        all_of_them = list(_nudgers.values())
    for each in all_of_them:
        if isinstance(each, AsyncNudger):
            await each.settle(asyncio.get_running_loop(), seconds)


def _forget() -> None:
    """In a child after fork: the threads are the parent's, and the lock may be held by one of them."""
    global _lock  # noqa: PLW0603 - a lock that is held can't be taken over
    _lock = threading.Lock()
    _nudgers.clear()


atexit.register(finish)
os.register_at_fork(after_in_child=_forget)
