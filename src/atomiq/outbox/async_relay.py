"""The nudge in an event loop: passes over an AsyncEngine, in a task."""

from __future__ import annotations

import asyncio
import importlib
import time
from typing import Any, Final

from atomiq._commands.base import Command
from atomiq._commands.views import view_time_ms
from atomiq._core.errors import ScriptError
from atomiq._core.log import get_logger
from atomiq._wire.aio import AsyncStore
from atomiq._wire.sync import Store
from atomiq.outbox.committing import Committing, pauses
from atomiq.outbox.database import AlchemyLink, is_in_memory, prepared
from atomiq.outbox.reading import Batch, checked_source, read
from atomiq.outbox.relay import settle
from atomiq.outbox.sending import WINDOW_MS, Outcome, Sending, ServerClock, TooLate, sending

IDLE_S: Final = 3.0
"""Who has had no work for so long is forgotten, with its engine; the next nudge makes another."""
FIRST_BACK_OFF_S: Final = 0.1
LONGEST_BACK_OFF_S: Final = 10.0
TRIES: Final = 10
"""After this many failures in a row the rows are left to a relay, or to the next nudge."""
logger = get_logger("outbox")


class AsyncRelay:
    """`Relay` over an AsyncEngine. `connection` is a redis.asyncio.Redis, or a redis.Redis, which threads then use."""

    def __init__(self, engine: Any, connection: Any, route: str) -> None:
        self._engine = importlib.import_module("sqlalchemy.ext.asyncio").AsyncEngine(engine)
        self.route = route
        self._store: Any = None
        try:
            self._store = AsyncStore.of(connection)
            self._run = self._store.run
        except TypeError:
            self._store = Store.of(connection)
            self._run = self._run_in_thread
        self._source = ""
        self._clock = ServerClock()

    async def _run_in_thread(self, command: Command[Any]) -> Any:
        return await asyncio.to_thread(self._store.run, command)

    async def drain(self) -> int:
        """Passes until nothing is left that can be sent now; how many rows were in hand. Raises what `Relay` raises."""
        total = 0
        async with self._engine.connect() as connection:
            await connection.run_sync(prepared)
            while True:
                count, more = await self._pass(connection)
                total += count
                if not more:
                    return total

    async def _pass(self, connection: Any) -> tuple[int, bool]:
        if not self._source:
            self._source = await connection.run_sync(lambda one: checked_source(AlchemyLink(one)))
        if self._clock.is_stale:
            self._clock.heard(await self._run(view_time_ms()))
        not_after_ms = self._clock.now_ms + WINDOW_MS
        batch: Batch = await connection.run_sync(lambda one: read(AlchemyLink(one), self.route))
        if not batch.rows and not batch.unfit:
            await connection.rollback()
            return 0, False
        try:
            outcome = await self._send(batch, not_after_ms)
        except TooLate:
            await connection.rollback()
            return 0, True
        await connection.run_sync(lambda one: settle(AlchemyLink(one), batch, outcome))
        await connection.commit()
        count = len(batch.rows) + len(batch.unfit)
        return count, batch.more and bool(outcome.sent or outcome.parked or batch.unfit)

    async def _send(self, batch: Batch, not_after_ms: int) -> Outcome:
        steps: Sending = sending(self._store.keys, self._source, batch.rows, not_after_ms, self._clock)
        try:
            command = next(steps)
            while True:
                try:
                    reply = await self._run(command)
                except ScriptError as error:
                    command = steps.throw(error)
                else:
                    command = steps.send(reply)
        except StopIteration as end:
            outcome: Outcome = end.value
            return outcome


class AsyncNudger:
    """The relay of one AsyncEngine, server and route in one event loop; its task lives while there is work."""

    def __init__(self, engine: Any, connection: Any, route: str, loop: asyncio.AbstractEventLoop) -> None:
        if engine.dialect.name == "sqlite" and is_in_memory(engine.url.database, engine.url.query):
            raise TypeError("a SQLite database in memory is seen by nobody else")
        self._relay = AsyncRelay(engine, connection, route)
        self._loop = loop
        self._asked = False
        self._committing = Committing()
        self._task: asyncio.Task[None] | None = None
        self._nudged = time.monotonic()

    @property
    def is_over(self) -> bool:
        """Whether its loop is closed, or it has no work and was not nudged for a while."""
        works = self._task is not None and not self._task.done()
        return self._loop.is_closed() or (not works and time.monotonic() - self._nudged > IDLE_S)

    def nudge(self, committing: Any = None) -> None:
        """Have a look soon; and again until that transaction is over. Called in the loop."""
        self._asked, self._nudged = True, time.monotonic()
        self._committing.add(committing)
        if self._task is None or self._task.done():
            self._task = self._loop.create_task(self._work())

    async def _work(self) -> None:
        failures = 0
        while self._asked and failures < TRIES:
            self._asked = False
            try:
                await self._move()
                failures = 0
            except Exception as error:  # noqa: BLE001 - whatever it is, the rows wait for a relay
                logger.warning("outbox: rows wait: %s: %s", type(error).__name__, " ".join(str(error).split()))
                failures += 1
                self._asked = True
                await asyncio.sleep(min(FIRST_BACK_OFF_S * 2 ** (failures - 1), LONGEST_BACK_OFF_S))

    async def _move(self) -> None:
        for pause in pauses():
            again = self._committing.go_on()
            await self._relay.drain()
            if not again:
                return
            await asyncio.sleep(pause)

    async def settle(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        """In that loop: wait for what is under way, at most so long."""
        if self._loop is loop and self._task is not None:
            await asyncio.wait([self._task], timeout=seconds)

    def finish(self, seconds: float) -> None:
        """The loop's business: a task that it cancels leaves the rows to a relay."""
