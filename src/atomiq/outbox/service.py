"""`atomiq relay`: passes for as long as it is wanted, with pauses that grow while nothing can be done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import Any, Final

from atomiq._core.errors import AtomiqError, InvalidOption, OutboxError, ServerError
from atomiq._core.log import get_logger
from atomiq.outbox.reading import ROWS
from atomiq.outbox.relay import Passed, Relay
from atomiq.outbox.trouble import is_database_error
from atomiq.outbox.waiting import Ears

SHORTEST_PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 2.0
LONGEST_TROUBLE_PAUSE_S: Final = 5.0
logger = get_logger("outbox")


class Service:
    """A relay that runs until it is told to stop.

    Args:
        database: a URL, a SQLAlchemy Engine, a Django connection or a callable that returns a new DB-API connection.
        connection: redis.Redis of the queues.
        route: which rows. Default ''.
        batch: rows in one pass at most, up to 1,000. Default 1,000.
        listens: let PostgreSQL notify it. Default True; a pooler in transaction mode can't.
    """

    def __init__(
        self, database: Any, connection: Any, route: str = "", *, batch: int = ROWS, listens: bool = True
    ) -> None:
        self.relay = Relay(database, connection, route)
        if batch < 1:
            raise InvalidOption(f"batch must be a number from 1 to {ROWS:,}, not {batch!r}")
        self.batch = min(batch, ROWS)
        self.total = Passed()
        self._ears = Ears(self.relay.database, listens)
        self._stopped = threading.Event()
        self._pause = SHORTEST_PAUSE_S
        self._trouble = ""
        self._servers_trouble = False
        """The last one was the server's: a pass that had no row in hand didn't ask it, and shows nothing."""

    def run(self, *, burst: bool = False) -> Passed:
        """Move rows until `stop`; with `burst` only until none is left that can be sent. Says what was done.

        Raises:
            OutboxError: at its start the table is missing or of another version. Later, and when the database or the
                server is away, it tries again. With `burst` every error is raised.
        """
        try:
            if burst:
                while not self._stopped.is_set() and self._one_pass().more:
                    pass
                return self.total
            self._start()
            while not self._stopped.is_set():
                if self._step():
                    self._ears.wait(self._pause)
            return self.total
        finally:
            self.relay.close()
            self._ears.close()

    def stop(self) -> None:
        """End after the pass that is under way. Safe in a signal handler."""
        self._stopped.set()
        self._ears.wake()

    def stop_at_signals(self) -> Callable[[], None]:
        """SIGTERM and SIGINT mean `stop`. Only in the main thread. Says a function that undoes it."""
        before = {number: signal.signal(number, lambda *_: self.stop()) for number in (signal.SIGTERM, signal.SIGINT)}

        def undo() -> None:
            for number, handler in before.items():
                signal.signal(number, handler)

        return undo

    def _start(self) -> None:
        try:
            self.relay.link()
        except OutboxError:
            raise
        except Exception as error:
            if not is_database_error(error):
                raise
            self._note(error)

    def _step(self) -> bool:
        """One pass; whether there is time to wait before the next."""
        try:
            self._ears.open()
            passed = self._one_pass()
        except Exception as error:
            if not is_trouble(error):
                raise
            self._note(error)
            self._pause = min(self._pause * 2, LONGEST_TROUBLE_PAUSE_S)
            return True
        if self._trouble and (passed.read or not self._servers_trouble):
            logger.info("outbox: relay works again")
            self._trouble = ""
        self._pause = SHORTEST_PAUSE_S if passed.read else min(self._pause * 2, LONGEST_PAUSE_S)
        return not passed.more

    def _one_pass(self) -> Passed:
        passed = self.relay.pass_once(self.batch)
        self.total.read += passed.read
        self.total.sent += passed.sent
        self.total.parked += passed.parked
        self.total.postponed += passed.postponed
        return passed

    def _note(self, error: Exception) -> None:
        """Say each trouble once."""
        trouble = f"{type(error).__name__}: {' '.join(str(error).split())}"
        self._servers_trouble = isinstance(error, ServerError)
        if trouble != self._trouble:
            self._trouble = trouble
            logger.warning("outbox: rows wait, the relay tries again: %s", trouble)


def is_trouble(error: Exception) -> bool:
    """Whether it may pass by itself: a database or a server that is away, full, read-only ..."""
    return isinstance(error, ServerError | OutboxError | OSError) or (
        not isinstance(error, AtomiqError) and is_database_error(error)
    )
