"""A brain on a stage: a clock that the test turns, and what the brain asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from atomiq.stations.rules import Rules
from atomiq.worker import events as e
from atomiq.worker import moves as m
from atomiq.worker.brain import Brain

Move = TypeVar("Move")


class Scene:
    """A brain, its clock, and what it asked for."""

    def __init__(self, reorder: Callable[[Sequence[str], str], Sequence[str]] | None = None, **rules: Any) -> None:
        queues = rules.pop("queues", ("high", "low"))
        self.now = 1000.0
        self.brain = Brain(Rules(queues, **rules), reorder or (lambda order, _served: order), lambda: 0.0)
        self.moves: list[m.Move] = []

    def tell(self, event: e.Event, after: float = 0.0) -> list[m.Move]:
        """Turn the clock, tell the event; the moves without log lines."""
        self.now += after
        self.moves = self.brain.on(self.now, event)
        return [move for move in self.moves if not isinstance(move, m.Log)]

    def begin(self) -> Scene:
        """Started, upkeep asked for and done, the first claim asked for."""
        self.tell(e.Begin())
        self.tell(e.Reaped())
        return self

    def give(self, *names: str, **fields: Any) -> list[m.Move]:
        return self.tell(e.Claimed(tuple(e.Taken(name, f"job-{name}", "high", **fields) for name in names)))

    def idle(self, due_in: float | None = None) -> list[m.Move]:
        return self.tell(e.Claimed(due_in=due_in))

    def sweep(self, freed: int = 0) -> None:
        """A burst that would end looks for dependants that nobody told it of, and finds so many."""
        if none(self.moves, m.Free):
            self.until(m.Free)
        self.tell(e.Freed(more=False, freed=freed))

    def signal(self, after: float = 0.0) -> list[m.Move]:
        self.now += after
        return self.tell(e.Signalled("SIGTERM", self.now))

    def wake(self) -> list[m.Move]:
        """Turn the clock to the next timer."""
        at = self.brain.next_wake()
        assert at is not None
        return self.tell(e.Tick(), after=max(0.0, at - self.now))

    def until(self, kind: type[Move], limit: int = 50) -> Move:
        """Let timers fire until a move of this kind is asked for; answers beats and reaps on the way."""
        for _ in range(limit):
            moves = self.wake()
            found = next((move for move in moves if isinstance(move, kind)), None)
            if found is not None:
                return found
            for move in moves:
                if isinstance(move, m.Reap):
                    self.tell(e.Reaped())
        raise AssertionError(f"no {kind.__name__} within {limit} timers")

    def said(self, text: str) -> bool:
        return any(isinstance(move, m.Log) and text in move.text for move in self.moves)


def only(moves: Sequence[m.Move], kind: type[Move]) -> Move:
    found = [move for move in moves if isinstance(move, kind)]
    assert len(found) == 1, moves
    return found[0]


def none(moves: Sequence[m.Move], *kinds: type[Any]) -> bool:
    return not any(isinstance(move, kinds) for move in moves)


QUEUES = ("high", "low")
