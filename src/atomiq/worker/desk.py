"""The worker's dealings with the server about its executions: what it holds, and the commands that change that.

Each method sends one command and says what the brain is to be told. Errors of the server pass through.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from typing import Final

from atomiq._commands.base import plain
from atomiq._commands.claim import Claim, Claimed, claim, extend, release
from atomiq._commands.settle import Settled, Settlement, settle, settle_and_claim
from atomiq._commands.views import view_job
from atomiq._commands.worker import worker_beat
from atomiq._core.errors import ServerOutOfMemory
from atomiq._core.ids import new_execution_id
from atomiq._core.timestamp import format_ms
from atomiq._wire.sync import Store
from atomiq.executors.job_log import JobLog
from atomiq.worker import events as e
from atomiq.worker import moves as m
from atomiq.worker.own_store import clock
from atomiq.worker.settle import NOT_TAKEN, Abandonment, Holding, in_its_place, settlement, taken
from atomiq.worker.tallies import Tallies

OFFSET_KEPT: Final = 600.0
"""Seconds until an idle worker asks for the server's clock again."""


class Desk:
    """For one worker. `lease`, `worker_ttl` (of the worker's hash): seconds."""

    def __init__(
        self,
        store: Store,
        name: str,
        lease: float,
        worker_ttl: int,
        abandonment: Abandonment,
        job_log: JobLog,
        log: logging.Logger,
    ) -> None:
        self.holdings: dict[str, Holding] = {}
        self.tallies = Tallies(store, name, log)
        self._store = store
        self._name = name
        self._lease_ms = round(lease * 1000)
        self._worker_ttl = worker_ttl
        self._abandonment = abandonment
        self._job_log = job_log
        self._log = log
        self._unanswered: tuple[str, ...] = ()
        self._server_offset: float | None = None
        self._offset_until = 0.0
        self.answered_at = 0.0
        """Monotonic time of the server's last answer to a claim or a sign of life; 0 before the first."""

    def server_time(self) -> float | None:
        """Now, in seconds of the server's clock; None until it has told."""
        return None if self._server_offset is None else time.monotonic() + self._server_offset

    def claim(self, ask: m.Claim) -> e.Claimed:
        command = claim(
            self._store.keys,
            queues=ask.queues,
            worker=self._name,
            executions=self._claim_ids(ask),
            lease_ms=self._lease_ms,
            pass_on=ask.pass_on,
        )
        return self._claimed(self._store.run(command))

    def settle(self, move: m.Settle, kill_after: float) -> Iterator[e.Event]:
        """Tell how an execution ended; with the next claim in the same step, if one is wanted."""
        holding = self.holdings[move.execution_id]
        self.know(holding)
        end = settlement(holding, move.verdict, self._name, kill_after, self._abandonment)
        try:
            settled, more = self._send(end, move.claim)
        except NOT_TAKEN as error:
            end = in_its_place(holding, end, error, self._name, self._log)
            settled, more = self._send(end, move.claim)
        del self.holdings[move.execution_id]
        self._job_log.settled(holding.claimed, end, settled, holding.took)
        yield e.Settled(move.execution_id, settled.word, settled.more)
        if more is not None:
            yield self._claimed(more)

    def know(self, holding: Holding) -> None:
        """Read the hash of a job that somebody else has claimed for this worker, if it isn't known yet."""
        claimed = holding.claimed
        if not claimed.fields:
            found = self._store.run(view_job(self._store.keys, job_id=claimed.job_id)) or {}
            attempt = int(found.get(b"attempts") or 1)
            holding.claimed = Claimed(claimed.queue, claimed.job_id, claimed.execution_id, attempt, found)

    def release(self, execution_ids: Sequence[str]) -> Iterator[e.Event]:
        held = [self.holdings[name].held for name in execution_ids]
        words = self._store.run(release(self._store.keys, worker=self._name, held=held))
        for name, word in zip(execution_ids, words, strict=True):
            job_id = self.holdings.pop(name).claimed.job_id
            self._log.info("Worker %s: job %s given back to its queue", self._name, job_id)
            yield e.Settled(name, word)

    def extend(self, execution_ids: Sequence[str]) -> e.Extended:
        held = [self.holdings[name] for name in execution_ids if name in self.holdings]
        if not held:  # stations have settled all of them a moment ago
            return e.Extended()
        since = min(holding.claimed_at for holding in held)
        command = extend(
            self._store.keys,
            worker=self._name,
            lease_ms=self._lease_ms,
            held=[holding.held for holding in held],
            worker_ttl=self._worker_ttl,
            working_ms=round((time.monotonic() - since) * 1000),
        )
        answer = self._store.run(command)
        self.answered_at = time.monotonic()
        self._server_offset = answer.now_ms / 1000 - time.monotonic()
        self.tallies.beat()
        return e.Extended(tuple(answer.lost), tuple(answer.stop), answer.reborn)

    def beat(self, move: m.Beat) -> Iterator[e.Event]:
        if not move.state and not move.stopping:
            yield from self._touch()
            self.tallies.beat()
            return
        fields: dict[str, str] = {"state": move.state} if move.state else {}
        if move.stopping:
            fields["shutdown_requested_date"] = format_ms(round(time.time() * 1000))
        beat = worker_beat(self._store.keys, worker=self._name, ttl=self._worker_ttl, fields=fields)
        word = self._store.run(beat)
        self.answered_at = time.monotonic()
        if word == "gone":
            yield e.Extended(reborn=True)

    def _touch(self) -> Iterator[e.Event]:
        """The beat of a worker that rests, day and night: two commands, where a script would make five of it."""
        key = self._store.keys.worker(self._name)
        if not self._store.run(plain("EXPIRE", (key, self._worker_ttl), int)):
            yield e.Extended(reborn=True)
            return
        if self._server_offset is None or time.monotonic() > self._offset_until:
            self._offset_until = time.monotonic() + OFFSET_KEPT
            self._server_offset = clock(self._store) - time.monotonic()
        now_ms = round((time.monotonic() + self._server_offset) * 1000)
        try:
            self._store.run(plain("HSET", (key, "last_heartbeat", format_ms(now_ms), "beat", now_ms), int))
        except ServerOutOfMemory:  # the script's first write needs none
            self._store.run(worker_beat(self._store.keys, worker=self._name, ttl=self._worker_ttl))
        self.answered_at = time.monotonic()

    def _send(self, end: Settlement, ask: m.Claim | None) -> tuple[Settled, Claim | None]:
        if ask is None:
            return self._store.run(settle(self._store.keys, settlement=end)), None
        command = settle_and_claim(
            self._store.keys,
            settlement=end,
            queues=ask.queues,
            worker=self._name,
            executions=self._claim_ids(ask),
            lease_ms=self._lease_ms,
            pass_on=ask.pass_on,
        )
        return self._store.run(command)

    def _claim_ids(self, ask: m.Claim) -> tuple[str, ...]:
        """A claim whose answer was lost is made again with the same ids: the server then answers as it did."""
        if not self._unanswered:
            self._unanswered = tuple(new_execution_id() for _ in range(ask.count))
        return self._unanswered

    def _claimed(self, answer: Claim) -> e.Claimed:
        self._unanswered = ()
        now = self.answered_at = time.monotonic()
        self._server_offset = answer.now_ms / 1000 - now
        for claimed in answer.jobs:
            self.holdings[claimed.execution_id] = Holding(claimed, now, answer.now_ms)
        due_in = max(0.0, (answer.next_due_ms - answer.now_ms) / 1000) if answer.next_due_ms else None
        return e.Claimed(tuple(taken(claimed) for claimed in answer.jobs), answer.more, answer.suspended, due_in)
