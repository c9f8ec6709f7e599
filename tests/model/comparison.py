"""The comparison after every step: server and model say the same, every move is in the table of states, G1 holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine, invariant
from tests.invariants import check_invariants
from tests.lua.keyspace import Keyspace, dump
from tests.lua.scene import NOW, Scene
from tests.model.drawing import QUEUES
from tests.model.model import YEAR, Model

from atomiq._commands import views
from atomiq._core.states import MOVES

COUNTS: Counter[str] = Counter()
"""Steps taken in this process, by name."""

FREED = {("deferred", "queued"), ("deferred", "scheduled"), ("deferred", "canceled"), ("scheduled", "queued")}
"""Moves that come along with those of others: dependants that go on, jobs that are due."""

PARTS = {
    "claim": ("claim", "promote"),
    "settle_and_claim": ("finish", "fail", "wait", "claim", "promote", "delete"),
    "worker_death": ("release",),
    "empty_queue": ("delete", "remove_from_queue"),
}


@cache
def allowed_moves(transition: str) -> set[tuple[str, str]]:
    """Pairs of statuses; of a script that makes several moves, one after the other too."""
    moves = FREED | {
        (origin, target)
        for move in MOVES
        if move.transition in PARTS.get(transition, (transition,))
        for origin in move.origins
        for target in move.targets
    }
    if transition in PARTS:
        moves |= {(a, d) for a, b in moves for c, d in moves if b == c}
    return moves


class Comparison(RuleBasedStateMachine):
    """A world on a server and its model, and the comparison of both."""

    connection: Any = None

    def __init__(self) -> None:
        super().__init__()
        self.connection.flushdb()
        self.scene = Scene(self.connection)
        self.keys = self.scene.keys
        self.model = Model(NOW)
        self.before: dict[str, str] = {}
        self.transition = ""
        self.shuffled = False
        self.log: list[str] = []

    @invariant()
    def both_say_the_same(self) -> None:
        COUNTS[self.transition or "other"] += 1
        with self.told():
            self._compare()

    @contextmanager
    def told(self) -> Iterator[None]:
        """A failure says what has happened in this world."""
        try:
            yield
        except AssertionError as error:
            error.add_note("after:\n" + "\n".join(self.log))
            raise

    def _compare(self) -> None:
        space = dump(self.connection)
        hashes = {
            key.removeprefix("rq:job:"): entry.value
            for key, entry in space.items()
            if key.startswith("rq:job:") and entry.type == "hash"
        }
        moved = self._dependants(space, hashes)
        assert {name: fields["status"] for name, fields in hashes.items()} == {
            name: job.status for name, job in self.model.jobs.items()
        }
        for name, job in self.model.jobs.items():
            self._same(job, hashes[name])
        self._lists(space, exactly=not (moved or self.shuffled))
        self.shuffled = False
        self._orphans(space)
        self._moves({name: fields["status"] for name, fields in hashes.items()})
        self._in_order()

    def _same(self, job: Any, fields: dict[str, str]) -> None:
        said = (fields["origin"], fields["retries_left"], fields["repeats_left"])
        assert said == (job.queue, str(job.retries_left), str(job.repeats_left)), job
        counts = (int(fields.get("attempts", 0)), int(fields.get("abandoned", 0)))
        assert counts == (job.attempts, job.abandoned), job
        assert fields.get("execution", "") == job.execution or job.status != "started", job

    def _dependants(self, space: Keyspace, hashes: dict[str, dict[str, str]]) -> bool:
        """Who went on because of others? Each must be allowed to; who must go on may wait only while somebody frees
        the rest."""
        noted = space["rq:atomiq:freeing"].value if "rq:atomiq:freeing" in space else {}
        for parent, note in noted.items():
            if note == "deleted" and parent not in self.model.jobs:
                self.model.tell(parent, "deleted")
        moved = False
        for name, job in self.model.jobs.items():
            if job.status != "deferred" or name not in hashes:
                continue
            actual = hashes[name]["status"]
            gone = {one for one in job.open if one not in self.model.jobs}
            if actual == "deferred":
                assert (job.open and not job.doomed) or set(job.spec.deps) & noted.keys(), f"{job} must not wait"
                continue
            moved = True
            if actual == "canceled":
                assert job.doomed or (gone and not job.spec.allow), f"{job} was canceled"
                job.status, job.deadline = "canceled", self.model.now + YEAR * 1000
            else:
                assert all(self.model.is_met(one, job.spec.allow) for one in job.open), f"{job} must wait"
                job.struck = set(job.spec.deps)
                self.model.put(job, job.due)
                assert job.status == actual
        return moved

    def _lists(self, space: Keyspace, *, exactly: bool) -> None:
        for queue, expected in self.model.lists.items():
            key = self.keys.queue(queue)
            actual = space[key].value if key in space else []
            if exactly:
                assert actual == expected, f"{queue}: {actual}, not {expected}"
            assert Counter(actual) == Counter(expected)
            self.model.lists[queue] = actual

    def _orphans(self, space: Keyspace) -> None:
        members = {member for key, entry in space.items() if key.startswith("rq:wip:") for member in entry.value}
        for lease in list(self.model.orphans):
            if f"{lease.job}:{lease.execution}" not in members:
                del self.model.orphans[lease]

    def _moves(self, statuses: dict[str, str]) -> None:
        """Every change of a status is one that the table of states allows."""
        allowed = allowed_moves(self.transition)
        for name in statuses.keys() | self.before.keys():
            was, now = self.before.get(name, "gone"), statuses.get(name, "gone")
            assert was == now or (was, now) in allowed, f"{self.transition}: {name} went from {was} to {now}"
        self.before = statuses

    def _in_order(self) -> None:
        expired = self.scene.expired
        problems = check_invariants(self.connection, expired=expired, now_ms=self.model.now)
        assert not problems, problems
        for name in list(expired):
            if not check_invariants(self.connection, expired=expired - {name}, now_ms=self.model.now):
                expired.discard(name)
        if any(job.status == "started" for job in self.model.jobs.values()):
            counts = self.scene.store.run(views.view_queues(self.keys, queues=QUEUES))
            assert sum(one.started for one in counts) >= 1
