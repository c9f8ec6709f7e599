"""Scripts behind RQ's primitives of registries, executions and the intermediate list: see `catalogue`."""

from __future__ import annotations

from typing import Any

from tests.lua.cases import cancel_it, case, crowd, drain_one, failed, put_anew, run_next, running, take_over
from tests.lua.scene import Scene

from atomiq._commands import registry, stuck
from atomiq._commands.base import Command


def taken_by_rq(scene: Scene) -> None:
    """RQ's worker has popped a job and gone; and it was noted an hour ago."""
    crowd(scene)
    scene.redis.lmove(scene.keys.queue("q"), scene.keys.intermediate("q"))
    scene.run(stuck.recover_stuck(scene.keys, queue="q"))
    scene.now += 3_600_000


@case("enter_registry", prepare=crowd, meanwhile=run_next)
@case("enter_registry", "failed", prepare=failed, meanwhile=put_anew)
def _(scene: Scene, job: Any) -> Command[Any]:
    return registry.enter_registry(
        scene.keys, registry=scene.keys.finished("q"), queue="q", status="finished", job_id="run", ttl=60, keep=60
    )


@case("enter_registry", "canceled", prepare=crowd, meanwhile=cancel_it)
def _(scene: Scene, job: Any) -> Command[Any]:
    return registry.enter_registry(
        scene.keys, registry=scene.keys.failed("q"), queue="q", status="failed", job_id="run", ttl=60, keep=60
    )


@case("leave_registry", prepare=failed, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    return registry.leave_registry(
        scene.keys, registry=scene.keys.failed("q"), queue="q", status="failed", job_id="run"
    )


@case("leave_registry", "nothing-kept", prepare=failed, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    return registry.leave_registry(
        scene.keys, registry=scene.keys.failed("q"), queue="q", status="failed", job_id="run", delete=True
    )


@case("drop_executions", prepare=running, meanwhile=run_next)
@case("drop_executions", "drained", prepare=running, meanwhile=drain_one)
def _(scene: Scene, job: Any) -> Command[Any]:
    return registry.drop_executions(scene.keys, queue="q", job_id="run", execution_id=job.execution_id)


@case("beat_execution", prepare=running, meanwhile=take_over)
@case("beat_execution", "canceled", prepare=running, meanwhile=cancel_it)
def _(scene: Scene, job: Any) -> Command[Any]:
    return registry.beat_execution(
        scene.keys, queue="q", job_id="run", execution_id=job.execution_id, worker="w", lease_ms=60_000
    )


@case("recover_stuck", prepare=taken_by_rq, meanwhile=run_next)
@case("recover_stuck", "canceled", prepare=taken_by_rq, meanwhile=cancel_it)
def _(scene: Scene, job: Any) -> Command[Any]:
    return stuck.recover_stuck(scene.keys, queue="q")


@case("recover_stuck", "failed", prepare=taken_by_rq, meanwhile=put_anew)
def _(scene: Scene, job: Any) -> Command[Any]:
    return stuck.recover_stuck(scene.keys, queue="q", policy="fail")
