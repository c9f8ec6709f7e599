"""How many commands of one event loop are on their way at a time.

Each of them has a connection of its own, and redis-py opens as many as are asked for: a `gather` of some thousand
enqueues took all descriptors that a process may have, and left them open.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Final

MOST: Final = 32
"""Many enough for a server that is some milliseconds away; more connections cost more than they gain."""
LOOKS: Final = 3
STALLED: Final = 1.5
"""Seconds. When none of those under way has come to its end for so long, the others don't wait for them: the server or
the network is in trouble, and each of them is to hear of it as soon as it would alone."""


class Turns:
    """Of one pool of connections in one event loop.

    Take: lower `free` if it isn't 0, else `await wait()`; and `give` what was got.
    """

    __slots__ = ("_looks", "_waiting", "free")

    def __init__(self, pool: Any) -> None:
        own = getattr(pool, "max_connections", None)
        self.free = min(MOST, own) if isinstance(own, int) and own > 0 else MOST
        self._waiting: deque[asyncio.Future[bool]] = deque()
        self._looks: int | None = None
        """How often we have looked in vain whether one has ended; None while nobody waits."""

    async def wait(self) -> bool:
        """False if nothing was got, and one goes on all the same."""
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[bool] = loop.create_future()
        self._waiting.append(turn)
        if self._looks is None:
            self._looks = 0
            loop.call_later(STALLED / LOOKS, self._look, loop)
        try:
            return await turn
        except BaseException:
            if not turn.done():  # a coroutine that is closed, not cancelled
                self._waiting.remove(turn)
            elif not turn.cancelled() and turn.result():  # it came in the same moment
                self.give()
            raise

    def give(self) -> None:
        """One of those under way has come to its end."""
        if self._looks is not None:
            self._looks = 0
        if not self._pass_on(True):
            self.free += 1

    def _pass_on(self, got: bool) -> bool:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(got)
                return True
        return False

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Not only once: a loop that is busy, with the tasks of a large `gather` itself, has heard nothing before the
        first look."""
        if not self._waiting:
            self._looks = None
            return
        self._looks = (self._looks or 0) + 1
        while self._looks >= LOOKS and self._pass_on(False):
            pass
        loop.call_later(STALLED / LOOKS, self._look, loop)
