"""A relay's passes: read and lock rows, send them, delete them, commit. Who dies in between leaves the rows for the
next, and the server knows those that were sent (docs/decisions/0021-outbox.md)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final

from atomiq._commands.outbox import forget_rows, remembered_rows
from atomiq._commands.views import view_time_ms
from atomiq._core.errors import ScriptError
from atomiq._core.log import get_logger
from atomiq._wire.sync import Store
from atomiq.outbox import sql
from atomiq.outbox.database import Database, Link
from atomiq.outbox.reading import ROWS, Batch, checked_source, read, wall_ms
from atomiq.outbox.sending import WINDOW_MS, Outcome, Sending, ServerClock, TooLate, sending
from atomiq.outbox.table import LONGEST_REASON

SWEEP_EVERY_S: Final = 10.0
_SWEEPS: Final = 100
logger = get_logger("outbox")


@dataclass(slots=True)
class Passed:
    """What one pass did. `more`: there may be more rows. `read` is how many it had in hand."""

    read: int = 0
    sent: int = 0
    parked: int = 0
    postponed: int = 0
    more: bool = False


class Relay:
    """Moves committed rows of one route to the server, one connection at a time. Not for use by several threads.

    Args:
        database: a Database or what makes one.
        connection: redis.Redis of the queues.
        route: which rows. Default ''.
    """

    def __init__(self, database: Any, connection: Any, route: str = "") -> None:
        self.database = Database.of(database)
        self.route = route
        self._store = Store.of(connection)
        self._link: Link | None = None
        self._source = ""
        self._clock = ServerClock()
        self._swept = time.monotonic() - SWEEP_EVERY_S
        self._gone: tuple[int, list[str]] = (0, [])

    def link(self) -> Link:
        """The connection; a new one is checked. Raises OutboxErrors, or what the driver raises."""
        if self._link is None:
            link = self.database.link()
            try:
                self._source = self._source or checked_source(link)
            except BaseException:
                link.close()
                raise
            self._link = link
        return self._link

    def pass_once(self, many: int = ROWS) -> Passed:
        """One pass. After any error nothing is locked any more, and the next pass has a new connection.

        Raises:
            OutboxError: the table can't be used; ServerError: the server can't; or what the driver raises.
        """
        try:
            passed = self._pass(self.link(), many)
            if time.monotonic() - self._swept >= SWEEP_EVERY_S and (passed.read or not self._clock.is_stale):
                self._swept = time.monotonic()
                self._sweep(self.link())
            return passed
        except BaseException:
            self.close()
            self._source = ""
            raise

    def drain(self) -> Passed:
        """Passes until nothing is left that can be sent now. Raises what `pass_once` raises."""
        total = Passed()
        while True:
            passed = self.pass_once()
            total.read += passed.read
            total.sent += passed.sent
            total.parked += passed.parked
            total.postponed += passed.postponed
            if not passed.more:
                return total

    def _pass(self, link: Link, many: int) -> Passed:
        # Taken before the rows are read: what is sent later than this much after it is refused.
        not_after_ms = 0 if self._clock.is_stale else self._clock.now_ms + WINDOW_MS
        batch = read(link, self.route, many)
        if not batch.rows and not batch.unfit:
            link.rollback()
            return Passed()
        if not not_after_ms:  # only now there is a reason to ask; read again, after the answer
            link.rollback()
            self._clock.heard(self._store.run(view_time_ms()))
            return Passed(more=True)
        try:
            outcome = self.send(batch, not_after_ms)
        except TooLate:
            link.rollback()
            return Passed(read=len(batch.rows), more=True)
        settle(link, batch, outcome)
        link.commit()
        postponed = len(outcome.postponed) + len(outcome.busy)
        done = len(outcome.sent) + len(outcome.parked) + postponed + len(batch.unfit)
        return Passed(
            read=len(batch.rows) + len(batch.unfit),
            sent=outcome.enqueued,
            parked=len(outcome.parked) + len(batch.unfit),
            postponed=postponed,
            more=batch.more and done > 0,
        )

    def send(self, batch: Batch, not_after_ms: int) -> Outcome:
        """Send the rows of a batch. Raises ServerErrors, TooLate."""
        steps: Sending = sending(self._store.keys, self._source, batch.rows, not_after_ms, self._clock)
        try:
            command = next(steps)
            while True:
                try:
                    reply = self._store.run(command)
                except ScriptError as error:
                    command = steps.throw(error)
                else:
                    command = steps.send(reply)
        except StopIteration as end:
            outcome: Outcome = end.value
            return outcome

    def _sweep(self, link: Link) -> None:
        """Have the server forget rows that are gone, once nobody can still have them in hand.

        Rows that are locked while they are sent: a window after that. On SQLite, a window after they were seen to be
        gone.
        """
        keys, now_ms = self._store.keys, self._store.run(view_time_ms())
        self._clock.heard(now_ms)
        seen_ms, seen = self._gone
        if seen:
            if seen_ms + WINDOW_MS >= now_ms:
                return
            for start in range(0, len(seen), ROWS):
                self._store.run(forget_rows(keys, source=self._source, rows=seen[start : start + ROWS]))
            self._gone = (0, [])
        if link.dialect == "sqlite":
            many = self._store.run(
                remembered_rows(keys, source=self._source, until_ms=now_ms - WINDOW_MS, limit=_SWEEPS * ROWS)
            )
            starts = range(0, len(many), ROWS)
            self._gone = (now_ms, [name for start in starts for name in gone_rows(link, many[start : start + ROWS])])
            return
        for _ in range(_SWEEPS):
            names = self._store.run(remembered_rows(keys, source=self._source, until_ms=now_ms - WINDOW_MS, limit=ROWS))
            gone = gone_rows(link, names)
            link.rollback()
            if gone:
                self._store.run(forget_rows(keys, source=self._source, rows=gone))
            if len(names) < ROWS or not gone:
                return

    def close(self) -> None:
        """Give the database connection up; what it had locked is free."""
        link, self._link = self._link, None
        if link is not None:
            try:
                link.rollback()
            except Exception as error:  # noqa: BLE001 - a connection that is broken may say so in any way
                logger.debug("outbox: rollback: %s", error)
            try:
                link.close()
            except Exception as error:  # noqa: BLE001 - the same
                logger.debug("outbox: close: %s", error)


def settle(link: Link, batch: Batch, outcome: Outcome) -> None:
    """Delete what was sent, park and postpone the others. Nothing is committed yet."""
    link.begin()
    if outcome.sent:
        link.run(sql.delete(outcome.sent))
    now_ms = wall_ms()
    for row_id, reason in (batch.unfit | outcome.parked).items():
        logger.error("outbox: row %d is parked: %s", row_id, reason)
        link.run(sql.PARK, {"now_ms": now_ms, "reason": reason[:LONGEST_REASON], "id": row_id})
    for failures, postponed in ((1, outcome.postponed), (0, outcome.busy)):
        for row_id, not_before_ms in postponed.items():
            link.run(sql.POSTPONE, {"not_before_ms": not_before_ms, "failures": failures, "id": row_id})


def gone_rows(link: Link, names: list[str]) -> list[str]:
    """Of names of rows those that are in the table no more."""
    ids = [int(name.partition(".")[0]) for name in names]
    there = {f"{row_id}.{token}" for row_id, token in link.run(sql.tokens(ids))} if ids else set()
    return [name for name in names if name not in there]
