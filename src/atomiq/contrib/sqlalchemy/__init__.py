"""atomiq beside SQLAlchemy 2: jobs that are enqueued when a session commits (docs/transactions.md)."""

from __future__ import annotations

from atomiq.contrib.sqlalchemy.commit import SessionCommit, enqueue_on_commit, source

__all__ = ["SessionCommit", "enqueue_on_commit", "source"]
