"""The outbox: jobs written into the database, in the transaction of the rows that they are about (docs/outbox.md).

    with Session(engine) as session, session.begin():
        session.add(order)
        outbox.enqueue(session, queue, send_receipt, order.id, retry=Retry(3))

The complete job, its id too, becomes a row of the table `atomiq_outbox`. It is moved to Redis after COMMIT, by a thread
of this process that is nudged, or by `atomiq relay`; after ROLLBACK there is nothing to move. Exactly one job per row.

`where` is what the caller's transaction is made with: a DB-API connection or cursor (psycopg, psycopg2, pymysql,
MySQLdb, sqlite3), a SQLAlchemy Session, scoped_session or Connection, a Django connection
(`django.db.connections[alias]`); for `outbox.aio` an AsyncSession or AsyncConnection.

    enqueue(where, queue, func, *args, **options) -> Job            options as `Queue.enqueue`, without `pipeline`
    enqueue_at(where, queue, datetime, func, *args, **options) -> Job
    enqueue_in(where, queue, timedelta, func, *args, **options) -> Job
    enqueue_many(where, queue, job_datas, group_id=None) -> list[Job]
    enqueue_job(where, queue, job, at_front=False, unique=False) -> Job
    on_route(route) -> Outbox                                       the same five, for rows of another route
    nudge(database, connection, route="") -> None                   after COMMIT on a DB-API connection; never raises
    figures(database, route=None) -> Figures                        waiting, parked, lag in seconds
    metrics(database, route=None) -> str                            the same as Prometheus reads it
    create(database) / prune(database, older_than) / rows(database, ...) / retry(database, ids)
    metadata, table, meta_table                                     SQLAlchemy Core, for Alembic

Sessions, SQLAlchemy connections and Django nudge by themselves after their commit. `database` is a URL
('postgresql://...', 'mysql://...', 'sqlite:///path'), a SQLAlchemy Engine, a Django connection, or a callable that
returns a new DB-API connection; `connection` is the queue's redis connection.
"""

from __future__ import annotations

from typing import Any

from atomiq.outbox import aio
from atomiq.outbox.alchemy import make_tables
from atomiq.outbox.nudging import finish, nudge
from atomiq.outbox.outbox import Outbox
from atomiq.outbox.service import Service
from atomiq.outbox.upkeep import Figures, OutboxRow, create, figures, metrics, prune, retry, rows

_default = Outbox()
enqueue = _default.enqueue
enqueue_at = _default.enqueue_at
enqueue_in = _default.enqueue_in
enqueue_many = _default.enqueue_many
enqueue_job = _default.enqueue_job


def on_route(route: str) -> Outbox:
    """The same five for rows of another route."""
    return Outbox(route)


def __getattr__(name: str) -> Any:
    """`metadata`, `table` and `meta_table` are made when they are asked for: SQLAlchemy need not be installed."""
    if name in ("metadata", "table", "meta_table"):
        found = dict(zip(("metadata", "table", "meta_table"), make_tables(), strict=True))
        globals().update(found)
        return found[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "Figures",
    "Outbox",
    "OutboxRow",
    "Service",
    "aio",
    "create",
    "enqueue",
    "enqueue_at",
    "enqueue_in",
    "enqueue_job",
    "enqueue_many",
    "figures",
    "finish",
    "make_tables",
    "metrics",
    "nudge",
    "on_route",
    "prune",
    "retry",
    "rows",
]
