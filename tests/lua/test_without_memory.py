"""A server at its maxmemory: it takes no more jobs, and what runs goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.lua.scene import LEASE, Scene, ended, held
from tests.lua.test_claim import born

from atomiq._commands.base import Command
from atomiq._commands.change import stop
from atomiq._commands.claim import NO_TALLY, Claimed, Tally, claim, extend, give_back, release
from atomiq._commands.registry import beat_execution
from atomiq._commands.settle import settle, settle_and_claim
from atomiq._commands.worker import take_turn, worker_beat
from atomiq._core.errors import ServerOutOfMemory

TALLY = Tally(1, 1, 1)
Making = Callable[[Scene, Claimed], Command[Any]]


@contextmanager
def without_memory(scene: Scene) -> Iterator[None]:
    before = scene.redis.config_get("maxmemory")["maxmemory"]
    scene.redis.config_set("maxmemory", 1)
    try:
        with pytest.raises(ServerOutOfMemory):
            scene.put("more")
        yield
    finally:
        scene.redis.config_set("maxmemory", before)


def taking(scene: Scene) -> dict[str, Any]:
    return {"queues": ["q"], "worker": "w", "executions": ["next"], "lease_ms": LEASE, "tally": TALLY}


GOES_ON: dict[str, Making] = {
    "extend": lambda scene, job: extend(scene.keys, worker="w", lease_ms=LEASE, held=[held(job)], worker_ttl=300),
    "beat_execution": lambda scene, job: beat_execution(
        scene.keys, queue="q", job_id=job.job_id, execution_id=job.execution_id, worker="w", lease_ms=LEASE
    ),
    "worker_beat": lambda scene, _: worker_beat(scene.keys, worker="w", ttl=300),
    "stop": lambda scene, job: stop(scene.keys, job_id=job.job_id),
    "finish": lambda scene, job: settle(scene.keys, settlement=ended(job), tally=TALLY),
    "fail": lambda scene, job: settle(scene.keys, settlement=ended(job, "failed"), tally=TALLY),
    "settle_and_claim": lambda scene, job: settle_and_claim(scene.keys, settlement=ended(job), **taking(scene)),
    "settle_and_claim, quick": lambda scene, job: settle_and_claim(
        scene.keys, settlement=ended(job), **{**taking(scene), "tally": NO_TALLY}, full=False
    ),
    "claim": lambda scene, _: claim(scene.keys, **taking(scene)),
    "release": lambda scene, job: release(scene.keys, worker="w", held=[held(job)]),
    "take_turn": lambda scene, _: take_turn(scene.keys, task="upkeep", interval_ms=9000),
    "give_back": lambda scene, job: give_back(scene.keys, worker="w", executions=[job.execution_id]),
}


@pytest.mark.parametrize("name", GOES_ON)
def test_what_runs_goes_on(scene: Scene, name: str) -> None:
    """Heartbeats were refused, while leases were judged and jobs claimed: whatever ran for longer than its lease was
    killed by its own worker, and run once more by another."""
    born(scene)
    job = scene.started()
    scene.put("b")
    scene.now += 1
    with without_memory(scene):
        _, changed = scene.changes(GOES_ON[name](scene, job))
    assert changed
    assert not scene.redis.exists(scene.keys.made())
