"""How many jobs run in forks of their own at a time, and which of them wait for their turn."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from atomiq._commands.claim import Claimed
from atomiq.executors.fork import Call
from atomiq.executors.outcome import time_limit
from atomiq.worker import events as e
from atomiq.worker.children import Children
from atomiq.worker.engine import Engine
from atomiq.worker.settle import Holding


class ForkSlots:
    """For one worker. `call`: makes the call of a claimed job, which asks at SIGTERM whether it is to end."""

    def __init__(
        self,
        children: Children,
        engine: Engine,
        call: Callable[[Claimed, Callable[[], bool]], Call],
        holdings: dict[str, Holding],
        tell: Callable[[e.Event], None],
    ) -> None:
        self._children = children
        self._slots = engine.executors.get("fork", 1)
        self._call = call
        self._holdings = holdings
        self._tell = tell
        self._spare = children.spare(lambda claimed: call(claimed, children.shuts_down))
        self._running: set[str] = set()
        self._waiting: deque[str] = deque()

    def start(self, execution_id: str) -> None:
        """Start the child of a job, as soon as there is room for it."""
        self._waiting.append(execution_id)
        self._go_on()

    def ended(self, execution_id: str) -> None:
        """Its child has reported, or is dead."""
        self._running.discard(execution_id)
        self._go_on()

    @property
    def crowded(self) -> bool:
        """More jobs wait than could run: of those that are for others, no more are to be claimed."""
        return len(self._waiting) > self._slots

    def drop(self, execution_id: str) -> bool:
        """It is not wanted any more. False if it doesn't wait here."""
        if execution_id not in self._waiting:
            return False
        self._waiting.remove(execution_id)
        self._tell(e.CallEnded(execution_id, reported=False))
        return True

    def give_up(self) -> None:
        """What waits here goes back to its queue."""
        while self._waiting:
            self._tell(e.CallEnded(self._waiting.popleft(), reported=False, released=True))

    def _go_on(self) -> None:
        while self._waiting and len(self._running) < self._slots:
            execution_id = self._waiting.popleft()
            holding = self._holdings.get(execution_id)
            if holding is None:
                continue
            call = self._call(holding.claimed, self._children.shuts_down)
            try:
                holding.child = self._children.start(execution_id, call, self._spare.take(holding.claimed))
            except OSError as error:
                self._tell(e.NotStarted(execution_id, error.strerror or str(error)))
                continue
            self._running.add(execution_id)
            self._tell(e.Limited(execution_id, time_limit(holding.claimed)))
            self._spare.prepare()
