"""Faults as a layer between a caller and the server: the caller dies before it sends, or after; or the reply is
lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from tests.lua.scene import OVER, Scene

from atomiq._commands.base import Command
from atomiq._commands.claim import Claimed
from atomiq._commands.queues import pause_queue, resume
from atomiq._commands.settle import free, reap
from atomiq._commands.stuck import recover_stuck

R = TypeVar("R")


class Died(Exception):
    """The caller is gone. Nobody will act on what it was told."""


class ReplyLost(Exception):
    """The server acted; the connection broke before its answer arrived."""


class FaultyStore:
    """Runs commands like a Store, with switches. Each switch works once."""

    def __init__(self, run: Callable[[Command[Any]], Any]) -> None:
        self._run = run
        self.die_before = self.die_after = self.lose_reply = False

    def run(self, command: Command[R]) -> R:
        if self.die_before:
            self.die_before = False
            raise Died
        reply = self._run(command)
        if self.die_after:
            self.die_after = False
            raise Died
        if self.lose_reply:
            self.lose_reply = False
            raise ReplyLost
        return reply


def everything_ends(scene: Scene) -> dict[str, str]:
    """The callers of before are dead. Others do what they always do, and every job must come to an end: says how, by
    job id.

    A deferred job may wait on for one that has failed, was canceled or stands in no queue; a created one was put
    nowhere.
    """
    scene.run(resume(scene.keys))
    for queue in "qr":
        scene.run(pause_queue(scene.keys, queue=queue, paused=False))
    for _ in range(500):
        scene.now += OVER
        moved = len(scene.run(reap(scene.keys, queue="q", max_abandoned=9)).requeued)
        moved += len(scene.run(reap(scene.keys, queue="r", max_abandoned=9)).requeued)
        moved += scene.run(free(scene.keys)).freed
        for queue in "qr":
            moved += len(scene.run(recover_stuck(scene.keys, queue=queue, max_abandoned=9)).requeued)
        jobs = scene.claim("q", "r", worker="last", count=20).jobs
        for job in jobs:
            finish(scene, job)
        if not (moved or jobs or _pending(scene)):
            return {name: scene.status(name) or "gone" for name in job_ids(scene)}
    raise AssertionError("it never ends")


def finish(scene: Scene, job: Claimed) -> None:
    assert scene.settle(job, worker="last", started_ms=scene.now, ended_ms=scene.now).word == "ok"


def _pending(scene: Scene) -> bool:
    kinds = ("queue", "intermediate", "wip", "scheduled")
    keys = [getattr(scene.keys, kind)(queue) for kind in kinds for queue in "qr"]
    return bool(scene.redis.exists(*keys, scene.keys.freeing()))


def job_ids(scene: Scene) -> set[str]:
    """Every job that has a hash."""
    names = (raw.decode().removeprefix("rq:job:") for raw in scene.redis.keys("rq:job:*"))
    return {name for name in names if ":" not in name}
