"""Settlements that the worker's hash doesn't count yet: those of calls that were not full. A later call tells them.

They are sums in the station's ledger, so that its supervisor can tell them while a long job keeps the station from it,
or when it has died. What each side has told is a sum as well, which only grows, and only under the ledger's lock. What
the station tells is noted with the number of its call before it is sent, and counts as told when that is answered:
after a death in between the supervisor tells it once more under the same name, and the server counts it once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from atomiq._commands.claim import NO_TALLY, Tally
from atomiq.stations.ledger import UNCOUNTED, Ledger, execution_id
from atomiq.stations.task import Outcome

# Places of words. Each of the sums has three: ended well, ended badly, milliseconds.
_FINISHED, _FAILED, _WORKED = range(UNCOUNTED, UNCOUNTED + 3)
_SENT: Final = _FINISHED
"""What the station has settled without its being counted."""
_TOLD: Final = UNCOUNTED + 3
"""What of that the server is known to have heard from the station."""
_TELLING: Final = UNCOUNTED + 6
"""The same when the call under way has been answered, if there is one."""
_TAKEN_OVER: Final = UNCOUNTED + 9
"""What the supervisor tells."""
_CALL: Final = UNCOUNTED + 12
"""The call under way that carries a tally; 0: none does."""


def call_number(number: int, claims: bool) -> int:
    """What stands for the call that settles this number, or that claims it as its first."""
    return number << 1 | claims


class Uncounted:
    """Of one station. Sums may fall short for a while, after a settlement that the server refuses: then the next tally
    is smaller."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._words = ledger.words

    # --- the station's side

    def add(self, outcome: Outcome) -> None:
        """It is being sent, or has been taken. Nothing, if its call counts it, or it is no end."""
        words, end = self._words, outcome.end
        if not (outcome.full or outcome.uncounted or end.outcome == "waiting"):
            outcome.uncounted = True
            words[_FINISHED if end.outcome == "finished" else _FAILED] += 1
            if end.ended_ms > end.started_ms:
                words[_WORKED] += end.ended_ms - end.started_ms

    def drop(self, outcome: Outcome) -> None:
        """The server has not taken it after all."""
        words, end = self._words, outcome.end
        if outcome.uncounted:
            outcome.uncounted = False
            words[_FINISHED if end.outcome == "finished" else _FAILED] -= 1
            words[_WORKED] -= max(0, end.ended_ms - end.started_ms)

    def take(self, number: int, *, claims: bool) -> Tally:
        """What this call is to tell: nothing while another is under way that tells something. Asked again of the same
        call it says the same."""
        words, call = self._words, call_number(number, claims)
        if words[_CALL]:
            return self._under_way() if words[_CALL] == call else NO_TALLY
        if not any(self._rest()):
            return NO_TALLY
        with self._ledger.locked():
            rest = self._rest()
            for place, count in enumerate(rest):
                words[_TELLING + place] = words[_TOLD + place] + count
            words[_CALL] = call  # last: a death before it has told nothing
        return Tally(*rest)

    def heard(self, number: int, *, claims: bool) -> None:
        """The call has been answered."""
        words = self._words
        if words[_CALL] != call_number(number, claims):
            return
        with self._ledger.locked():
            for place in range(3):
                words[_TOLD + place] = words[_TELLING + place]
            words[_CALL] = 0  # last: a death before it has the call told again

    # --- the supervisor's side

    def take_over(self) -> Tally:
        """What the station has not begun to tell; it won't any more."""
        if not any(self._rest()):
            return NO_TALLY
        with self._ledger.locked():
            rest = self._rest()
            for place, count in enumerate(rest):
                self._words[_TAKEN_OVER + place] += count
        return Tally(*rest)

    def cut_short(self, token: str) -> tuple[str, Tally] | None:
        """What the station, which is dead, may or may not have told, with the name that the server knows it by.
        `token`: the station's."""
        call = self._words[_CALL]
        if not call:
            return None
        name = execution_id(token, call >> 1)
        return f"claim:{name}" if call & 1 else name, self._under_way()

    # --- both

    def _rest(self) -> Sequence[int]:
        words = self._words
        told = _TELLING if words[_CALL] else _TOLD
        return [max(0, words[_SENT + at] - words[told + at] - words[_TAKEN_OVER + at]) for at in range(3)]

    def _under_way(self) -> Tally:
        return Tally(*(self._words[_TELLING + place] - self._words[_TOLD + place] for place in range(3)))
