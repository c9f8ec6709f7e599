"""RQ's intermediate list of a queue (`rq.intermediate_queue`).

atomiq's workers never use it: a claim moves a job from its queue to the started registry in one step. RQ's workers, on
the same keys, leave there what they took and did not start. Our workers' upkeep puts back what is stuck there.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from atomiq._commands.base import as_is, plain, text, texts
from atomiq._commands.stuck import GRACE_MS, recover_stuck
from atomiq._core.choices import CHOICES
from atomiq._core.settings import DEFAULT_MAX_ABANDONED
from atomiq._wire.sync import Store

GRACE = timedelta(milliseconds=GRACE_MS)
KEPT = 86_400


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

    def set_first_seen(self, job_id: str) -> bool:
        """Note that an id was seen here, for a day (RQ); False if that is noted already."""
        now = datetime.now(UTC).timestamp()
        command = plain("SET", (self.get_first_seen_key(job_id), now, "NX", "EX", KEPT), bool)
        return Store.of(self.connection).run(command)

    def get_first_seen(self, job_id: str) -> datetime | None:
        """When RQ's maintenance first saw an id here, aware UTC; None if it has not."""
        seen = Store.of(self.connection).run(plain("GET", (self.get_first_seen_key(job_id),), as_is))
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

    def cleanup(self, worker: Any, queue: Any) -> None:
        """Deal with what is stuck here (RQ): an id that nobody has started for a minute after it was first seen, and
        that no living worker of RQ's can be about to start.

        It goes back to the front of its queue; it is failed (or retried, by its Retry) only if the worker or the job
        says so (`abandoned="fail"`), or as a poison job. Ids without a job are dropped. What waits for its minute is
        noted where RQ notes it.
        """
        store = Store.of(self.connection)
        command = recover_stuck(
            store.keys,
            queue=queue.name,
            max_abandoned=getattr(worker, "max_abandoned", DEFAULT_MAX_ABANDONED),
            policy=getattr(worker, "abandoned", CHOICES.abandoned),
        )
        if store.run(command).waiting:
            for job_id in self.get_job_ids():
                self.set_first_seen(job_id)
