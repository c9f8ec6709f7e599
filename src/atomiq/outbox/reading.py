"""What a relay reads: the next rows, locked, and which of them it has to leave for later."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from atomiq._core.errors import OutboxTableVersion
from atomiq._core.settings import BYTES_PER_ENQUEUE_COMMAND, JOBS_PER_ENQUEUE_COMMAND
from atomiq.outbox import drivers, sql
from atomiq.outbox.database import Link
from atomiq.outbox.rows import BadRow, Outgoing, load
from atomiq.outbox.table import PARKED, SCHEMA_VERSION, TABLE
from atomiq.outbox.trouble import explained, is_database_error

ROWS: Final = JOBS_PER_ENQUEUE_COMMAND
_JOBS_PER_QUESTION: Final = 500
_SIZE: Final = sql.READ.index("size")


@dataclass(slots=True)
class Batch:
    """Rows that are locked: `rows` to send, in order, `unfit` by id with the reason, and whether there may be more."""

    rows: list[Outgoing] = field(default_factory=list)
    unfit: dict[int, str] = field(default_factory=dict)
    more: bool = False


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


def checked_source(link: Link) -> str:
    """The name under which servers know this outbox; it is made when the first relay comes.

    Raises:
        OutboxTableMissing, OutboxTableVersion: OutboxErrors.
    """
    try:
        link.run(sql.COLUMNS_THERE)
        meta = dict(link.run(sql.META))
        missing = {"version": str(SCHEMA_VERSION), "source": uuid.uuid4().hex}
        for name in missing.keys() - meta.keys():
            link.run(sql.SET_META, {"name": name, "value": missing[name]})
        link.commit()
    except Exception as error:
        link.rollback()
        if not is_database_error(error):
            raise
        if "IntegrityError" in {kind.__name__ for kind in type(error).__mro__}:
            return checked_source(link)  # another relay was first
        known = explained(error)
        if known is None:
            raise
        raise known from error
    meta = missing | meta
    if meta["version"] != str(SCHEMA_VERSION):
        raise OutboxTableVersion(
            f"the table {TABLE} is of version {meta['version']}, this atomiq knows {SCHEMA_VERSION}: "
            "migrate it, or install the atomiq that it was made for (docs/outbox.md)"
        )
    return str(meta["source"])


def read(link: Link, route: str, many: int = ROWS) -> Batch:
    """The next rows of a route, at most `many` and 32 MB, locked in the transaction that this begins. On SQLite they
    are not: its one lock would keep every writer waiting for the server, and sending a row twice does no harm."""
    values = {"route": route, "now_ms": wall_ms()}
    seen: set[int] = set()
    held: set[int] = set()
    while True:
        found = link.run(sql.beside(link.take, held), {**values, "after": max(seen, default=0), "many": many})
        if not found:
            return Batch()
        if link.dialect == "postgresql":
            # Not for the session: behind a pooler it is others' too.
            link.run(f"SET LOCAL idle_in_transaction_session_timeout = {drivers.LONGEST_SILENCE_S * 1000}")
        batch = Batch(more=len(found) == many)
        for row in _with_payloads(link, found, batch):
            seen.add(int(row[0]))
            try:
                batch.rows.append(load(row))
            except BadRow as error:
                batch.unfit[int(row[0])] = str(error)
        had_rows = bool(batch.rows)
        held |= _leave_out_of_order(link, batch, values, seen, held)
        _leave_dependants(link, batch)
        if batch.rows or batch.unfit or not (had_rows and batch.more):
            return batch
        # All of them wait for rows that come later, or that a frozen relay has: others shall not wait with them.
        link.rollback()


def _with_payloads(link: Link, found: Sequence[Any], batch: Batch) -> list[Any]:
    """As many of the rows as fit into memory, each with its payload."""
    size, fit = 0, 0
    for row in found:
        size += int(row[_SIZE])
        if fit and size > BYTES_PER_ENQUEUE_COMMAND:
            batch.more = True
            break
        fit += 1
    rows = [tuple(row) for row in found[:fit]]
    large = [int(row[0]) for row in rows if row[-1] is None]
    if not large:
        return rows
    payloads = {int(row_id): payload for row_id, payload in link.run(sql.payloads(large))}
    return [(*row[:-1], payloads.get(int(row[0])) if row[-1] is None else row[-1]) for row in rows]


def _leave_out_of_order(
    link: Link, batch: Batch, values: dict[str, Any], seen: set[int], held: Iterable[int]
) -> set[int]:
    """Leave rows behind one of the same database connection that another relay has in hand, and we have not seen. Says
    which connections these are, beside those of `held`, whose rows were not read."""
    if link.dialect == "sqlite" or not batch.rows:
        return set()
    first: dict[int, int] = {}
    for row_id, session_id in link.run(sql.beside(sql.BEFORE, held), {**values, "last": max(seen)}):
        if row_id not in seen:
            first.setdefault(session_id, row_id)
    if first:
        batch.rows = [row for row in batch.rows if row.id < first.get(row.session_id, row.id + 1)]
    return set(first)


def _leave_dependants(link: Link, batch: Batch) -> None:
    """Leave rows whose job depends on one that is in the outbox still and isn't sent with it: on the server, a job that
    isn't there counts as done."""
    named = {each for row in batch.rows for each in row.job.depends_on}
    if not named:
        return
    going = {row.id for row in batch.rows}
    there = [each for each in _rows_of_jobs(link, named) if each[1] not in going]
    parked = {str(job_id): row_id for job_id, row_id, state in there if state == PARKED}
    left = {str(job_id) for job_id, _, state in there if state != PARKED}
    kept: list[Outgoing] = []
    for row in batch.rows:
        stuck = next((each for each in row.job.depends_on if each in parked), None)
        if stuck is not None:
            batch.unfit[row.id] = (
                f"depends on job {stuck}, whose row {parked[stuck]} is parked; retry that one first, then this one"
            )
        elif left.intersection(row.job.depends_on):
            left.add(row.job.id)
        else:
            kept.append(row)
    batch.rows = kept


def _rows_of_jobs(link: Link, job_ids: Iterable[str]) -> list[Any]:
    found: list[Any] = []
    ids = sorted(job_ids)
    for start in range(0, len(ids), _JOBS_PER_QUESTION):
        part = ids[start : start + _JOBS_PER_QUESTION]
        found += link.run(sql.of_jobs(len(part)), {f"job{number}": job_id for number, job_id in enumerate(part)})
    return found
