"""Queues compare and sort by their names."""

from __future__ import annotations

from typing import NoReturn


class NamedQueue:
    """Something with a name."""

    name: str

    def __eq__(self, other: object) -> bool:
        return self.name == other.name if isinstance(other, NamedQueue) else _not_a_queue(other)

    def __lt__(self, other: object) -> bool:
        return self.name < other.name if isinstance(other, NamedQueue) else _not_a_queue(other)

    def __le__(self, other: object) -> bool:
        return self.name <= other.name if isinstance(other, NamedQueue) else _not_a_queue(other)

    def __gt__(self, other: object) -> bool:
        return self.name > other.name if isinstance(other, NamedQueue) else _not_a_queue(other)

    def __ge__(self, other: object) -> bool:
        return self.name >= other.name if isinstance(other, NamedQueue) else _not_a_queue(other)

    def __hash__(self) -> int:
        return hash(self.name)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}({self.name!r})"

    def __str__(self) -> str:
        return f"<{self.__class__.__name__} {self.name}>"


def _not_a_queue(other: object) -> NoReturn:
    raise TypeError(f"a queue can't be compared with {type(other).__name__}")
