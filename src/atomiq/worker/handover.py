"""Jobs that are for another executor than the one that claims: from the station that has claimed them to one of their
kind, as soon as it has room. Until they have ended the supervisor answers for them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from atomiq.stations.mail import Passed
from atomiq.worker import events as e
from atomiq.worker.posts import Member
from atomiq.worker.settle import Holding, taken


class Handover:
    """For one worker. `kinds`: of its stations; `members`: those that live; `crowded`: more wait for forks of their own
    than there is room for."""

    def __init__(
        self,
        kinds: Sequence[str],
        members: Callable[[], list[Member]],
        holdings: dict[str, Holding],
        tell: Callable[[e.Event], None],
        crowded: Callable[[], bool],
    ) -> None:
        self._waiting: dict[str, deque[Passed]] = {kind: deque() for kind in kinds}
        self._members = members
        self._holdings = holdings
        self._tell = tell
        self._crowded = crowded

    def take(self, passed: Passed) -> None:
        """From the station that has claimed it."""
        holding = Holding(passed.claimed, passed.claimed_at, passed.claimed_ms)
        self._holdings[passed.execution_id] = holding
        self._tell(e.HandedOver(taken(holding.claimed)))

    def give(self, holding: Holding) -> bool:
        """To a station of its kind; False if there are none of it."""
        kind = holding.claimed.fields.get(b"executor", b"").decode("utf-8", "replace")
        if kind not in self._waiting:
            return False
        self._waiting[kind].append(Passed.of(holding.claimed, holding.claimed_at, holding.claimed_ms))
        self.deal(kind)
        return True

    def has_for(self, kind: str) -> bool:
        """Jobs wait for a station of this kind."""
        return bool(self._waiting.get(kind))

    def again(self, name: str, kind: str) -> None:
        """The station that was to run it has ended before it began: the next one may."""
        holding = self._holdings.get(name)
        if holding is not None:
            self._waiting[kind].appendleft(Passed.of(holding.claimed, holding.claimed_at, holding.claimed_ms))

    def drop(self, name: str) -> bool:
        """It is not wanted any more. False if it doesn't wait here."""
        for waiting in self._waiting.values():
            for passed in waiting:
                if passed.execution_id == name:
                    waiting.remove(passed)
                    self._tell(e.CallEnded(name, reported=False))
                    return True
        return False

    def give_up(self) -> None:
        """What waits here goes back to its queue."""
        for waiting in self._waiting.values():
            while waiting:
                self._tell(e.CallEnded(waiting.popleft().execution_id, reported=False, released=True))

    def deal(self, kind: str) -> None:
        """There may be room for what waits."""
        waiting = self._waiting.get(kind)
        for member in self._members():
            if member.kind != kind or member.ledger.draining:
                continue
            while waiting and len(member.guests) < member.ledger.slots:
                passed = waiting.popleft()
                member.guests.add(passed.execution_id)
                member.mail("run", *passed)
        self.hold_or_go_on()

    def hold_or_go_on(self) -> None:
        """Stations claim no more while what they have handed over before finds no room."""
        members = self._members()
        room = dict.fromkeys(self._waiting, 0)
        for member in members:
            room[member.kind] = room.get(member.kind, 0) + member.ledger.slots
        hold = self._crowded() or any(len(waiting) > room[kind] for kind, waiting in self._waiting.items())
        for member in members:
            if member.ledger.on_hold != hold:
                member.ledger.hold(hold)
