"""Scripts behind RQ's primitives of a queue, and behind its locks: see `catalogue`."""

from __future__ import annotations

from typing import Any

from tests.lua.cases import cancel_it, case, crowd, run_next, running
from tests.lua.scene import Scene

from atomiq._commands import raw
from atomiq._commands.base import Command


def locked(scene: Scene) -> None:
    scene.run(raw.take_lock(scene.keys, key=scene.keys.scheduler_lock("q"), owner="me", ttl=60))


def expired(scene: Scene) -> None:
    crowd(scene)
    scene.vanish("next")


@case("dequeue", prepare=crowd, meanwhile=run_next)
@case("dequeue", "canceled", prepare=crowd, meanwhile=cancel_it)
def _(scene: Scene, job: Any) -> Command[Any]:
    return raw.dequeue(scene.keys, queues=["q", "r"])


@case("pop_job_id", prepare=crowd, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    return raw.pop_job_id(scene.keys, queues=["q", "r"])


@case("push_job_id", prepare=crowd, meanwhile=run_next)
@case("push_job_id", "canceled", prepare=crowd, meanwhile=cancel_it)
def _(scene: Scene, job: Any) -> Command[Any]:
    return raw.push_job_id(scene.keys, queue="r", job_id="soon")


@case("enqueue_dependents", prepare=running, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    return raw.enqueue_dependents(scene.keys, job_id="run", status="finished")


@case("compact_queue", prepare=expired, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    return raw.compact_queue(scene.keys, queue="q")


@case("take_lock", prepare=crowd, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    return raw.take_lock(scene.keys, key=scene.keys.scheduler_lock("q"), owner="me", ttl=60)


@case("free_lock", prepare=locked)
def _(scene: Scene, job: Any) -> Command[Any]:
    return raw.free_lock(scene.keys, key=scene.keys.scheduler_lock("q"), owner="me")


@case("view_scheduler", prepare=running, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    return raw.view_scheduler(scene.keys, queue="q")
