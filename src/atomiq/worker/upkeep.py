"""What any worker does for all: other workers' expired leases, registries, dead workers, leftovers. Each step is
bounded and may be done twice; a turn lasts exactly one interval, so that a fleet does it once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence

from atomiq._commands.group import group_read, groups_read
from atomiq._commands.queues import expire
from atomiq._commands.settle import GROUP_PAUSE_MS, Freed, Reaped, free, reap
from atomiq._commands.stuck import recover_stuck
from atomiq._commands.worker import clean_workers, take_turn
from atomiq._core.errors import ScriptError
from atomiq._wire.sync import Store
from atomiq.worker import events as e
from atomiq.worker.own_store import any_lease, any_stuck, anything_open, clock, first_end

LEASES_AT_A_TIME = 100
STEPS_AT_A_TIME = 20
"""A worker with a long way to go lets its loop turn in between."""
GROUPS_AT_A_TIME = 100
SMALL, LARGE = 1, 5
"""What it costs to read a group, and a page of a large one or of a queue's registries."""
COST_AT_A_TIME = STEPS_AT_A_TIME * LARGE
"""Of a cleaning, whatever it is of: many queues, or large groups, are no reason not to extend leases meanwhile."""


class Upkeep:
    """For the queues of one worker."""

    def __init__(
        self,
        store: Store,
        name: str,
        queues: Sequence[str],
        log: logging.Logger,
        max_abandoned: int,
        policy: str,
        on_clean: Callable[[], None],
        instead: Callable[[], None] | None = None,
    ) -> None:
        """`instead`: what a subclass of the user's does when it is time to clean."""
        self._store = store
        self._name = name
        self._queues = queues
        self._log = log
        self._max_abandoned = max_abandoned
        self._policy = policy
        self._on_clean = on_clean
        self._instead = instead
        self._rest: Iterator[int] | None = None
        """What is left of a cleaning. The turns are taken, so nobody else will."""
        self._spoilt: dict[str, str] = {}
        """Keys that could not be cleaned the last time, and why: said once."""

    def reap(self, server_now: float | None) -> tuple[list[str], float | None, bool]:
        """Take expired leases back. Says the jobs that were abandoned for the last time, in how many seconds the first
        lease that runs now is over, and whether dependants still wait to be freed. `server_now`: seconds of the
        server's clock, None when it isn't known."""
        if not anything_open(self._store, self._queues):
            return [], None, False
        failed = self._recover() if any_stuck(self._store, self._queues) else []
        first: float | None = None
        more = self._finish_what_others_began()
        if not any_lease(self._store, self._queues):
            return failed, None, more
        server_now = clock(self._store) if server_now is None else server_now
        for queue in self._queues:
            end = first_end(self._store, queue)
            if end is not None and end <= server_now:
                try:
                    failed += self._reap_queue(queue)
                except ScriptError:  # one entry that nobody understands must not end worker after worker
                    self._log.exception("Worker %s: the leases of queue %s can't be judged", self._name, queue)
                    continue
                end = first_end(self._store, queue)
            if end is not None:
                first = end if first is None else min(first, end)
        return failed, None if first is None else first - server_now, more

    def _recover(self) -> list[str]:
        """What RQ's workers took and never started. Says the jobs that were failed."""
        failed: list[str] = []
        for queue in self._queues:
            try:
                done = self._store.run(
                    recover_stuck(self._store.keys, queue=queue, max_abandoned=self._max_abandoned, policy=self._policy)
                )
            except ScriptError:
                self._log.exception("Worker %s: the intermediate list of queue %s can't be judged", self._name, queue)
                continue
            for job_id in (*done.requeued, *done.retried):
                self._log.warning("Worker %s: job %s was taken, never started, and is run again", self._name, job_id)
            for job_id in done.failed:
                self._log.error("Worker %s: job %s was taken, never started, and is failed", self._name, job_id)
            failed += done.failed
        return failed

    def _finish_what_others_began(self) -> bool:
        """Says whether there is more of it."""
        return all(self.free().more for _ in range(STEPS_AT_A_TIME))

    def reap_first(self, queue: str, count: int) -> list[str]:
        """Take so many leases back, those first that have been over for longest. Says the jobs that failed of it."""
        try:
            return self._reap_step(queue, count).failed
        except ScriptError:
            self._log.exception("Worker %s: the leases of queue %s can't be judged", self._name, queue)
            return []

    def _reap_queue(self, queue: str) -> list[str]:
        failed: list[str] = []
        for _ in range(STEPS_AT_A_TIME):
            done = self._reap_step(queue, LEASES_AT_A_TIME)
            failed += done.failed
            if not done.more:
                break
        return failed

    def _reap_step(self, queue: str, count: int) -> Reaped:
        most, policy = self._max_abandoned, self._policy
        done = self._store.run(reap(self._store.keys, queue=queue, max_abandoned=most, policy=policy, limit=count))
        for job_id in (*done.requeued, *done.retried):
            self._log.warning("Worker %s: job %s lost its worker and is run again", self._name, job_id)
        for job_id in done.failed:
            self._log.error("Worker %s: job %s lost its worker and is not run again", self._name, job_id)
        return done

    def clean(self, interval: float) -> e.Cleaned:
        """Registries, dead workers and groups, where it is anybody's turn, or the rest of where it was ours."""
        if self._instead is not None:
            try:
                self._instead()
            except Exception:  # noqa: BLE001  an override may raise anything
                self._log.exception("Worker %s: its maintenance tasks failed", self._name)
            return e.Cleaned(any=True, more=False)
        rest, self._rest, left = self._rest or self._turns(interval), None, COST_AT_A_TIME
        if rest is None:
            return e.Cleaned(any=False, more=False)
        for cost in rest:
            left -= cost
            if left <= 0:
                self._rest = rest
                break
        self._on_clean()
        return e.Cleaned(any=True, more=self._rest is not None)

    def _turns(self, interval: float) -> Iterator[int] | None:
        """The cleaning of all that it is our turn to clean."""
        queues = [queue for queue in self._queues if self._is_our_turn(f"clean:{queue}", interval)]
        if not queues:
            return None
        return self._cleaning(queues, groups=self._is_our_turn("groups", interval))

    def _is_our_turn(self, task: str, interval: float) -> bool:
        return self._store.run(take_turn(self._store.keys, task=task, interval_ms=round(interval * 1000)))

    def clean_now(self) -> None:
        """The same, whoever's turn it is, and all of it."""
        for _ in self._cleaning(self._queues, groups=True):
            pass
        self._on_clean()

    def _cleaning(self, queues: Sequence[str], groups: bool) -> Iterator[int]:
        """Step for step; says what each has cost."""
        for queue in queues:
            yield from self._clean_queue(queue)
        if groups:
            yield from self._unless_spoilt(self._store.keys.groups(), self._clean_groups())

    def _clean_queue(self, queue: str) -> Iterator[int]:
        keys = self._store.keys
        registries = (keys.finished(queue), keys.failed(queue), keys.deferred(queue), keys.canceled(queue))
        self._log.info("Worker %s: cleaning registries for queue: %s", self._name, queue)
        yield from self._unless_spoilt(keys.worker_set(queue), self._forget_workers(queue))
        try:
            yield from self._expire(queue)
        except ScriptError:  # of one of them: the others are cleaned all the same
            for key in registries:
                yield from self._unless_spoilt(key, self._expire(queue, only=key))
        else:
            self._spoilt = {key: why for key, why in self._spoilt.items() if key not in registries}

    def _unless_spoilt(self, key: str, steps: Iterator[int]) -> Iterator[int]:
        """Clean what is at `key`. A key that nobody understands must not end worker after worker, each at its turn."""
        try:
            yield from steps
        except ScriptError as error:
            if self._spoilt.get(key) != str(error):
                self._spoilt[key] = str(error)
                self._log.error("Worker %s: %s can't be cleaned and is left as it is: %s", self._name, key, error)
        else:
            self._spoilt.pop(key, None)

    def _forget_workers(self, queue: str) -> Iterator[int]:
        self._store.run(clean_workers(self._store.keys, queue=queue))
        yield from ()

    def _expire(self, queue: str, only: str = "") -> Iterator[int]:
        offset, more = 0, True
        while more:
            done = self._store.run(expire(self._store.keys, queue=queue, offset=offset, only=only))
            offset, more = done.next_offset, done.more
            yield LARGE

    def _clean_groups(self) -> Iterator[int]:
        """Take out the members whose job has expired: its hash, which named the group, is gone."""
        keys, groups_at = self._store.keys, ""
        while groups_at != "0":
            page = self._store.run(groups_read(keys, cursor=groups_at or "0", limit=GROUPS_AT_A_TIME))
            groups_at = page.cursor
            for name in page.names:
                yield from self._unless_spoilt(keys.group(name), self._clean_group(name))

    def _clean_group(self, name: str) -> Iterator[int]:
        at = ""
        while at != "0":
            at = self._store.run(group_read(self._store.keys, name=name, cursor=at or "0")).cursor
            yield SMALL if at == "0" else LARGE

    def free(self) -> Freed:
        return self._store.run(free(self._store.keys, pause_ms=GROUP_PAUSE_MS))
