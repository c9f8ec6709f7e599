"""RQ's intermediate list of a queue (`rq.intermediate_queue`), its reading side.

atomiq's workers never use it: a claim moves a job from its queue to the started registry in one step. RQ's workers, on
the same keys, leave there what they took and did not start; RQ's maintenance looks after it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from atomiq._commands.base import plain, text, texts
from atomiq._wire.sync import Store

GRACE = timedelta(minutes=1)


class IntermediateQueue:
    """Ids that RQ's workers have taken from a queue and not started yet (RQ).

    Args:
        queue_key: key of the queue, `rq:queue:<name>`.
        connection: a redis.Redis.
    """

    def __init__(self, queue_key: str, connection: Any) -> None:
        self.queue_key = queue_key
        self.connection = connection
        self.key = self.get_intermediate_queue_key(queue_key)

    @classmethod
    def get_intermediate_queue_key(cls, queue_key: str) -> str:
        """Key of the list that belongs to a queue's key."""
        return f"{queue_key}:intermediate"

    def get_first_seen_key(self, job_id: str) -> str:
        """Key of when RQ's maintenance first saw an id here."""
        return f"{self.key}:first_seen:{job_id}"

    def get_first_seen(self, job_id: str) -> datetime | None:
        """When RQ's maintenance first saw an id here, aware UTC; None if it has not."""
        seen = Store.of(self.connection).run(plain("GET", (self.get_first_seen_key(job_id),), lambda reply: reply))
        return None if seen is None else datetime.fromtimestamp(float(text(seen)), UTC)

    def should_be_cleaned_up(self, job_id: str) -> bool:
        """Whether an id has been here for more than a minute."""
        seen = self.get_first_seen(job_id)
        return seen is not None and datetime.now(UTC) - seen > GRACE

    def get_job_ids(self) -> list[str]:
        """Ids in it."""
        return Store.of(self.connection).run(plain("LRANGE", (self.key, 0, -1), texts))

    def remove(self, job_id: str) -> None:
        """Take an id out of it."""
        Store.of(self.connection).run(plain("LREM", (self.key, 1, job_id), int))
