"""The scenes that scripts are called in: what the catalogue is written with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.lua.scene import LEASE, NOW, OVER, Scene, new_job

from atomiq._commands import change, settle, worker
from atomiq._commands.base import Command

Step = Callable[[Scene], Any]


@dataclass(frozen=True)
class Case:
    """`prepare` makes the scene and gives what `command` needs; `meanwhile` is what others do before the call comes a
    second time."""

    script: str
    label: str
    prepare: Step
    command: Callable[[Scene, Any], Command[Any]]
    meanwhile: Callable[[Scene, Any], Any] | None = None

    def __str__(self) -> str:
        return f"{self.script}-{self.label}" if self.label else self.script


CASES: list[Case] = []


def case(script: str, label: str = "", *, prepare: Step, meanwhile: Callable[[Scene, Any], Any] | None = None) -> Any:
    def register(command: Callable[[Scene, Any], Command[Any]]) -> Callable[[Scene, Any], Command[Any]]:
        CASES.append(Case(script, label, prepare, command, meanwhile))
        return command

    return register


def crowd(scene: Scene) -> None:
    """A bit of everything, on two queues, with a worker that has a name."""
    scene.run(birth(scene, "w"))
    scene.enqueue(
        new_job("run", ttl=3000),
        new_job("next"),
        new_job("kid", depends_on=["run"]),
        new_job("brave", "r", depends_on=["run"], allow_failure=True),
        new_job("heir", "r", depends_on=["run", "next"]),
        new_job("soon", due_ms=NOW + 20, group_id="g"),
        new_job("late", due_ms=NOW + 500_000),
        group="g",
    )


def birth(scene: Scene, name: str, incarnation: str = "first") -> Command[str]:
    return worker.worker_birth(
        scene.keys,
        worker=name,
        queues=["q", "r"],
        fields={"pid": 1},
        ttl=480,
        lease_ms=LEASE,
        incarnation=incarnation,
    )


def running(scene: Scene) -> Any:
    crowd(scene)
    return scene.take("q")


def to_be_stopped(scene: Scene) -> Any:
    job = running(scene)
    scene.run(change.stop(scene.keys, job_id=job.job_id))
    return job


def abandoned(scene: Scene) -> Any:
    job = running(scene)
    scene.now += OVER
    return job


def failed(scene: Scene) -> Any:
    job = running(scene)
    scene.settle(job, "failed")
    return job


def many(scene: Scene) -> Any:
    scene.enqueue(new_job("run"), *(new_job(f"c{number}", "r", depends_on=["run"]) for number in range(150)))
    return scene.take("q")


def freeing(scene: Scene) -> Any:
    job = many(scene)
    scene.settle(job)
    return job


def take_over(scene: Scene, job: Any) -> None:
    """Others reap the job once its lease is over, and one of them runs it."""
    scene.now += OVER
    scene.run(settle.reap(scene.keys, queue="q"))
    scene.claim("q", worker="other")


def run_next(scene: Scene, job: Any) -> None:
    scene.claim("q", "r", worker="other", count=2)


def cancel_it(scene: Scene, job: Any) -> None:
    scene.run(change.cancel(scene.keys, job_id="run"))


def cancel_and_requeue(scene: Scene, job: Any) -> None:
    cancel_it(scene, job)
    scene.run(change.requeue(scene.keys, job_id="run"))
    scene.claim("q", worker="other")


def put_anew(scene: Scene, job: Any) -> None:
    scene.put("run", call="anew")


def drain_one(scene: Scene, job: Any) -> None:
    for taken in scene.claim("q", worker="other").jobs:
        scene.settle(taken, worker="other")
