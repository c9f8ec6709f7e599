"""The statements, with `:name` for values. Numbers that are put into the text are our own, never a user's text."""
# ruff: noqa: S608 - names of tables and our own numbers are all that is put into a statement

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from atomiq.outbox.table import CHANNEL, COLUMNS, META_TABLE, PARKED, TABLE, WAITING

_NAME: Final = re.compile(r":([a-z_]+\d*)")
_SESSION_ID: Final = {"postgresql": "pg_backend_pid()", "mysql": "CONNECTION_ID()", "sqlite": "0"}
_GIVEN: Final = ("version", "route", "queue", "job_id", "token", "size", "created_ms", "payload")
_ALSO: Final = ("session_id", "state", "tries", "not_before_ms", "parked_ms", "reason")
INLINE_PAYLOAD: Final = 32_768
"""Payloads up to this size come with their rows; larger ones are fetched by themselves, as many as fit into memory."""
READ: Final = ("id", "version", "session_id", "queue", "job_id", "token", "size", "created_ms", "tries", "payload")


@lru_cache(maxsize=256)
def insert(dialect: str, rows: int, tells: bool = True) -> str:
    """Several rows, whose values are named `<column><number>`. `tells`: the relays, at COMMIT, where that can be."""
    row = f"{_SESSION_ID[dialect]}, {WAITING}, 0, 0, 0, ''"
    values = ", ".join(f"({', '.join(f':{name}{number}' for name in _GIVEN)}, {row})" for number in range(rows))
    text = f"INSERT INTO {TABLE} ({', '.join(_GIVEN + _ALSO)}) VALUES {values}"
    return f"{text} RETURNING pg_notify('{CHANNEL}', route)" if tells and dialect == "postgresql" else text


def take(lock: str) -> str:
    """Rows in order behind one, locked; `lock` is FOR UPDATE SKIP LOCKED, less, or nothing."""
    payload = f"CASE WHEN size <= {INLINE_PAYLOAD} THEN payload END"
    return (
        f"SELECT {', '.join(READ[:-1])}, {payload} FROM {TABLE} WHERE route = :route AND state = {WAITING} "
        f"AND not_before_ms <= :now_ms AND id > :after ORDER BY id LIMIT :many {lock}"
    )


BEFORE: Final = (
    f"SELECT id, session_id FROM {TABLE} WHERE route = :route AND state = {WAITING} AND not_before_ms <= :now_ms "
    "AND id < :last ORDER BY id"
)
COLUMNS_THERE: Final = f"SELECT {', '.join(COLUMNS)} FROM {TABLE} WHERE 1 = 0"
META: Final = f"SELECT name, value FROM {META_TABLE}"
SET_META: Final = f"INSERT INTO {META_TABLE} (name, value) VALUES (:name, :value)"
FIGURES: Final = f"SELECT state, COUNT(*), MIN(created_ms) FROM {TABLE} WHERE route = :route GROUP BY state"
ALL_FIGURES: Final = f"SELECT state, COUNT(*), MIN(created_ms) FROM {TABLE} GROUP BY state"
PRUNE: Final = f"DELETE FROM {TABLE} WHERE state = {PARKED} AND parked_ms <= :until_ms"
PARK: Final = (
    f"UPDATE {TABLE} SET state = {PARKED}, parked_ms = :now_ms, reason = :reason, tries = tries + 1 WHERE id = :id"
)
POSTPONE: Final = f"UPDATE {TABLE} SET tries = tries + :failures, not_before_ms = :not_before_ms WHERE id = :id"
LIST: Final = (
    f"SELECT id, state, route, queue, job_id, size, created_ms, tries, parked_ms, reason FROM {TABLE} "
    "WHERE state >= :least AND state <= :most ORDER BY id LIMIT :many"
)


def among(ids: Iterable[int]) -> str:
    return ", ".join(str(int(each)) for each in ids)


def beside(statement: str, session_ids: Iterable[int]) -> str:
    """What `take` made, or BEFORE, without the rows that these database connections wrote."""
    held = among(session_ids)
    return statement.replace(" ORDER BY", f" AND session_id NOT IN ({held}) ORDER BY") if held else statement


def payloads(ids: Iterable[int]) -> str:
    return f"SELECT id, payload FROM {TABLE} WHERE id IN ({among(ids)})"


def delete(ids: Iterable[int]) -> str:
    return f"DELETE FROM {TABLE} WHERE id IN ({among(ids)})"


def tokens(ids: Iterable[int]) -> str:
    return f"SELECT id, token FROM {TABLE} WHERE id IN ({among(ids)})"


def parked(ids: Iterable[int]) -> str:
    return f"SELECT id FROM {TABLE} WHERE state = {PARKED} AND id IN ({among(ids)})"


def unpark(ids: Iterable[int]) -> str:
    return (
        f"UPDATE {TABLE} SET state = {WAITING}, parked_ms = 0, reason = '', not_before_ms = 0, tries = 0 "
        f"WHERE state = {PARKED} AND id IN ({among(ids)})"
    )


def of_jobs(count: int) -> str:
    """Rows of some jobs, named `:job0` and so on."""
    names = ", ".join(f":job{number}" for number in range(count))
    return f"SELECT job_id, id, state FROM {TABLE} WHERE job_id IN ({names})"


@lru_cache(maxsize=512)
def positional(statement: str, mark: str) -> tuple[str, Sequence[str]]:
    """The statement with `mark` (`?` or `%s`) in place of each `:name`, and the names in their order."""
    return _NAME.sub(mark, statement), tuple(_NAME.findall(statement))
