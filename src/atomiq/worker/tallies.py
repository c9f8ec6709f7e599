"""What stations have settled and not had counted: told by the supervisor where they can't do it themselves."""

from __future__ import annotations

import logging
import secrets

from atomiq._commands.claim import NO_TALLY, Tally
from atomiq._commands.worker import worker_tally
from atomiq._core.errors import SERVER_AWAY, ServerError
from atomiq._wire.sync import Store
from atomiq.stations.uncounted import Uncounted
from atomiq.worker.posts import Member


class Tallies:
    """For one worker. Never raises: what can't be told now is told with the next beat."""

    def __init__(self, store: Store, name: str, log: logging.Logger) -> None:
        self._store = store
        self._name = name
        self._log = log
        self._members: list[Member] = []
        self._untold: dict[str, Tally] = {}

    def know(self, member: Member) -> None:
        """A station has been born."""
        self._members.append(member)

    def bury(self, member: Member) -> None:
        """It is dead, and its ledger still there."""
        self._members.remove(member)
        uncounted = Uncounted(member.ledger)
        cut_short = uncounted.cut_short(member.token)
        if cut_short is not None:
            self._untold.update([cut_short])
        self._take_over(uncounted)
        self._tell()

    def beat(self) -> None:
        """What they have not told themselves: most tell it within 50 ms, but not one that is at a long job."""
        for member in self._members:
            self._take_over(Uncounted(member.ledger))
        self._tell()

    def _take_over(self, uncounted: Uncounted) -> None:
        tally = uncounted.take_over()
        if tally is not NO_TALLY:
            self._untold[secrets.token_hex(8)] = tally

    def _tell(self) -> None:
        if not self._untold:
            return
        try:
            self._store.run(worker_tally(self._store.keys, worker=self._name, tallies=self._untold))
        except SERVER_AWAY as error:
            self._log.warning("Worker %s: jobs can't be counted now (%s)", self._name, error)
            return
        except ServerError as error:
            self._log.error("Worker %s: jobs can't be counted: %s", self._name, error)
        self._untold.clear()
