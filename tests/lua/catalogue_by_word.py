"""Scripts behind RQ's Job.set_status, Job.retry and Repeat.schedule: see `catalogue`."""

from __future__ import annotations

from typing import Any

from tests.lua.cases import case, crowd, drain_one, failed, run_next, running, take_over
from tests.lua.scene import LEASE, Scene

from atomiq._commands import change
from atomiq._commands.base import Command


@case("set_status", "queued", prepare=failed, meanwhile=run_next)
@case("set_status", "queued-running", prepare=running, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    return change.set_status(scene.keys, job_id="run", status="queued", execution="x1")


@case("set_status", "started", prepare=crowd, meanwhile=take_over)
def _(scene: Scene, job: Any) -> Command[Any]:
    fields = {"worker_name": "w"}
    return change.set_status(
        scene.keys, job_id="run", status="started", execution="x1", worker="w", lease_ms=LEASE, fields=fields
    )


@case("set_status", "finished", prepare=running, meanwhile=run_next)
@case("set_status", "finished-drained", prepare=crowd, meanwhile=drain_one)
def _(scene: Scene, job: Any) -> Command[Any]:
    return change.set_status(scene.keys, job_id="run", status="finished", execution="x1")


@case("set_status", "failed", prepare=running, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    return change.set_status(scene.keys, job_id="run", status="failed", execution="x1")


@case("set_status", "deferred", prepare=crowd, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    return change.set_status(scene.keys, job_id="kid", status="deferred", execution="x1")


@case("run_again", "retry", prepare=running, meanwhile=run_next)
@case("run_again", "retry-drained", prepare=failed, meanwhile=drain_one)
def _(scene: Scene, job: Any) -> Command[Any]:
    return change.run_again(scene.keys, job_id="run", queue="q", by="retry", left=2, token="x1")


@case("run_again", "repeat", prepare=crowd, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    fields = {"repeat_intervals": "[5]"}
    return change.run_again(scene.keys, job_id="run", queue="r", by="repeat", left=1, token="x1", fields=fields)
