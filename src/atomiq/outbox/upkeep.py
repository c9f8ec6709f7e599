"""Making, looking at and pruning the outbox of a database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, NamedTuple

from atomiq._core.timestamp import check_delay
from atomiq.outbox import sql
from atomiq.outbox.database import Database, Link
from atomiq.outbox.reading import checked_source, wall_ms
from atomiq.outbox.table import DDL, PARKED, WAITING
from atomiq.outbox.trouble import explained, is_database_error


class Figures(NamedTuple):
    """`waiting` and `parked` rows; `lag` is the age of the oldest waiting one in seconds, 0.0 if none waits."""

    waiting: int
    parked: int
    lag: float


class OutboxRow(NamedTuple):
    """A row, without its payload. Times in ms since 1970, 0 for never; `reason` says why it is parked."""

    id: int
    is_parked: bool
    route: str
    queue: str
    job_id: str
    size: int
    created_ms: int
    tries: int
    parked_ms: int
    reason: str


@contextmanager
def _linked(database: Any, *, makes: bool = False) -> Iterator[Link]:
    """A connection, given back in the end; its errors in our words."""
    link = Database.of(database, makes=makes).link()
    try:
        yield link
        link.commit()
    except Exception as error:
        link.rollback()
        known = explained(error) if is_database_error(error) else None
        if known is None:
            raise
        raise known from error
    finally:
        link.close()


def create(database: Any) -> None:
    """Make the outbox's tables where they are missing. Raises OutboxTableVersion: they are there in another version."""
    with _linked(database, makes=True) as link:
        for statement in DDL[link.dialect]:
            link.run(statement)
        link.commit()
        checked_source(link)


def figures(database: Any, route: str | None = None) -> Figures:
    """How many rows wait, for how long, and how many are parked; of one route, or of all. Raises OutboxErrors."""
    with _linked(database) as link:
        if route is None:
            found = link.run(sql.ALL_FIGURES)
        else:
            found = link.run(sql.FIGURES, {"route": route})
    by_state = {int(state): (int(count), int(oldest)) for state, count, oldest in found}
    waiting, oldest_ms = by_state.get(WAITING, (0, 0))
    lag = max(wall_ms() - oldest_ms, 0) / 1000 if waiting else 0.0
    return Figures(waiting, by_state.get(PARKED, (0, 0))[0], lag)


METRICS = """\
# HELP atomiq_outbox_waiting Rows that no relay has sent yet.
# TYPE atomiq_outbox_waiting gauge
atomiq_outbox_waiting {waiting}
# HELP atomiq_outbox_parked Rows that can't be sent.
# TYPE atomiq_outbox_parked gauge
atomiq_outbox_parked {parked}
# HELP atomiq_outbox_lag_seconds Age of the oldest row that waits; 0 if none does.
# TYPE atomiq_outbox_lag_seconds gauge
atomiq_outbox_lag_seconds {lag:.3f}
"""


def metrics(database: Any, route: str | None = None) -> str:
    """The figures in the text format of Prometheus. Raises OutboxErrors."""
    return METRICS.format_map(figures(database, route)._asdict())


def rows(database: Any, *, parked: bool | None = None, many: int = 100) -> list[OutboxRow]:
    """The first rows in their order: parked ones, waiting ones, or all. Raises OutboxErrors."""
    least, most = (PARKED if parked else WAITING), (WAITING if parked is False else PARKED)
    with _linked(database) as link:
        found = link.run(sql.LIST, {"least": least, "most": most, "many": many})
    return [
        OutboxRow(
            int(row_id), state == PARKED, str(route), str(queue), str(job_id), int(size), int(created), int(tries),
            int(parked_ms), str(reason),
        )
        for row_id, state, route, queue, job_id, size, created, tries, parked_ms, reason in found
    ]  # fmt: skip


def prune(database: Any, older_than: timedelta = timedelta(0)) -> None:
    """Delete rows that were parked at least so long ago; rows that were sent are deleted by then anyway.

    Raises:
        InvalidTime: a ValueError; not a timedelta. OutboxErrors.
    """
    until_ms = wall_ms() - int(check_delay(older_than).total_seconds() * 1000)
    with _linked(database) as link:
        link.begin()
        link.run(sql.PRUNE, {"until_ms": until_ms})


def retry(database: Any, ids: Iterable[int]) -> list[int]:
    """Have parked rows of these ids sent after all; says which of them were parked. Raises OutboxErrors."""
    wanted = list(ids)
    if not wanted:
        return []
    with _linked(database) as link:
        link.begin()
        parked = [int(row_id) for (row_id,) in link.run(sql.parked(wanted))]
        link.run(sql.unpark(wanted))
    return parked
