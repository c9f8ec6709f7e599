"""Jobs that a station had ended when it was killed, of which the server has not heard.

A station says how a job ended without waiting for the answer. What it has sent dies with its connection if the server
has not read it; the job stays started, nobody runs it, and nobody extends its lease. So that lease is made to be over,
and the job goes the way of any other whose worker went away.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Iterator, Sequence
from typing import Final

from atomiq._commands.base import as_is, fields, plain, text
from atomiq._core.errors import SERVER_AWAY
from atomiq._wire.sync import Store
from atomiq.stations.ledger import number_of
from atomiq.worker import events as e
from atomiq.worker.posts import Member

PAUSE: Final = 0.1
"""Seconds from a station's death until it is looked what it has left: by then the server has read what it will read."""
LATER: Final = 1.0
"""Seconds until the next look, when the server could not be reached."""
_LONG_AGO: Final = 1
"""The end of a lease that is over, in seconds since the epoch."""


class Unheard:
    """For one worker. `ours`: executions that it will settle itself; `reap`: takes so many of a queue's leases back,
    those first that have been over for longest, and says which jobs have failed of it."""

    def __init__(
        self,
        store: Store,
        name: str,
        log: logging.Logger,
        ours: Container[str],
        reap: Callable[[str, int], Sequence[str]],
        tell: Callable[[e.Event], None],
    ) -> None:
        self._store = store
        self._name = name
        self._log = log
        self._ours = ours
        self._reap = reap
        self._tell = tell
        self._dead: dict[str, tuple[int, float]] = {}
        """Token of a station -> the last number that it has started, when to look."""

    def bury(self, member: Member, now: float) -> None:
        """A station was killed; the numbers that it has not started are somebody else's concern."""
        self._dead[member.token] = member.ledger.started, now + PAUSE

    def due_at(self) -> float | None:
        """None when nobody is left to be looked after."""
        return min((due for _, due in self._dead.values()), default=None)

    def go_on(self, now: float) -> None:
        """Look after those whose time has come. Raises nothing that passes by itself."""
        due = {token: started for token, (started, at) in self._dead.items() if now >= at}
        if not due:
            return
        try:
            for queue in set(self._end_leases(due)):
                self._take_back(queue)
        except SERVER_AWAY as error:
            self._log.warning("Worker %s: it can't be seen now what a dead child has left (%s)", self._name, error)
            self._dead.update({token: (started, now + LATER) for token, started in due.items()})
            return
        for token in due:
            del self._dead[token]

    def _end_leases(self, due: dict[str, int]) -> Iterator[str]:
        """Says the queues in which there may be some."""
        keys = self._store.keys
        held = self._store.run(plain("HGETALL", (keys.worker_executions(self._name),), fields))
        for execution, job_id in ((text(name), text(value)) for name, value in held.items()):
            token = execution[:16]
            if token not in due or execution in self._ours or number_of(execution) > due[token]:
                continue
            origin = self._store.run(plain("HGET", (keys.job(job_id), "origin"), as_is))
            if origin is None:  # deleted meanwhile
                continue
            queue, member = text(origin), f"{job_id}:{execution}"
            # Only if it is there: what has been settled meanwhile is not.
            self._store.run(plain("ZADD", (keys.wip(queue), "XX", _LONG_AGO, member), int))
            yield queue

    def _take_back(self, queue: str) -> None:
        """No other lease of the queue: after an absence of the server their owners get the time to extend them."""
        ended = self._store.run(plain("ZCOUNT", (self._store.keys.wip(queue), "-inf", _LONG_AGO), int))
        failed = self._reap(queue, ended) if ended else ()
        if failed:
            self._tell(e.Failed(tuple(failed)))
