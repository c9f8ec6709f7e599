"""COMMITs that go on: SQLAlchemy's connections tell of one when it begins, and of its end nobody."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

PAUSES_S: Final = (0.002, 0.01, 0.05)
"""Between two looks for its rows. The last one goes on for as long as the COMMIT does: a slow disk may take seconds."""


class Committing:
    """Transactions that were being committed when a nudge came."""

    def __init__(self) -> None:
        self._transactions: list[Any] = []

    def add(self, transaction: Any) -> None:
        """One with SQLAlchemy's `is_active`, which is false once it is committed or has failed; None: it is over."""
        if transaction is not None:
            self._transactions.append(transaction)

    def go_on(self) -> bool:
        """Whether any is still under way. Ask before a look: after no, that look sees the rows of all."""
        self._transactions = [each for each in self._transactions if each.is_active]
        return bool(self._transactions)


def pauses() -> Iterator[float]:
    """Seconds to wait after each look."""
    yield from PAUSES_S
    while True:
        yield PAUSES_S[-1]
