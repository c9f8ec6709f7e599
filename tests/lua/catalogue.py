"""Every script, called once as its wrapper calls it: the cases of the header tests and of the fault matrix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.lua.scene import LEASE, NOW, Scene, ended, held, new_job

from atomiq._commands import alone, change, claim, enqueue, group, queues, settle, views, worker
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


def abandoned(scene: Scene) -> Any:
    job = running(scene)
    scene.now += LEASE
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
    scene.now += LEASE
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


BATCH = [
    new_job("new"),
    new_job("front", at_front=True, ttl=500),
    new_job("waits", depends_on=["new", "next"]),
    new_job("later", "r", due_ms=NOW + 100),
]


@case("enqueue", "batch", prepare=crowd, meanwhile=run_next)
@case("enqueue", "batch-drained", prepare=crowd, meanwhile=drain_one)
def _(scene: Scene, job: Any) -> Command[Any]:
    return enqueue.enqueue(scene.keys, jobs=BATCH, group="h")


@case("enqueue", "unique", prepare=crowd, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    return enqueue.enqueue(scene.keys, jobs=[new_job("new")], unique=True)


@case("enqueue", "again", prepare=failed, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    return enqueue.enqueue(scene.keys, jobs=[new_job("run", call="second"), new_job("late", call="second")])


@case("promote", prepare=crowd, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    scene.now = NOW + 30
    return enqueue.promote(scene.keys, queue="q")


@case("claim", prepare=crowd, meanwhile=cancel_and_requeue)
@case("claim", "canceled", prepare=crowd, meanwhile=cancel_it)
@case("claim", "reaped", prepare=crowd, meanwhile=take_over)
def _(scene: Scene, job: Any) -> Command[Any]:
    return claim.claim(scene.keys, queues=["q", "r"], worker="w", executions=["x1", "x2"], lease_ms=LEASE)


@case("extend", prepare=running, meanwhile=take_over)
@case("extend", "canceled", prepare=running, meanwhile=cancel_it)
def _(scene: Scene, job: Any) -> Command[Any]:
    return claim.extend(scene.keys, worker="w", lease_ms=LEASE, held=[held(job)], worker_ttl=480)


@case("release", prepare=running, meanwhile=run_next)
@case("release", "canceled", prepare=running, meanwhile=cancel_it)
def _(scene: Scene, job: Any) -> Command[Any]:
    return claim.release(scene.keys, worker="w", held=[held(job)])


@case("give_back", prepare=running, meanwhile=run_next)
@case("give_back", "canceled", prepare=running, meanwhile=cancel_it)
def _(scene: Scene, job: Any) -> Command[Any]:
    return claim.give_back(scene.keys, worker="w", executions=[job.execution_id, "x1"])


@case("finish", prepare=running, meanwhile=put_anew)
@case("finish", "many", prepare=many, meanwhile=put_anew)
@case("finish", "drained", prepare=running, meanwhile=drain_one)
def _(scene: Scene, job: Any) -> Command[Any]:
    return settle.settle(scene.keys, settlement=ended(job, result=b"x"))


@case("finish", "nothing-kept", prepare=running, meanwhile=put_anew)
def _(scene: Scene, job: Any) -> Command[Any]:
    return settle.settle(scene.keys, settlement=ended(job, result_ttl=0))


@case("fail", prepare=running, meanwhile=put_anew)
@case("fail", "drained", prepare=running, meanwhile=drain_one)
def _(scene: Scene, job: Any) -> Command[Any]:
    return settle.settle(scene.keys, settlement=ended(job, "failed", exc_string="x"))


@case("fail", "retry", prepare=running, meanwhile=run_next)
@case("fail", "retry-drained", prepare=running, meanwhile=drain_one)
def _(scene: Scene, job: Any) -> Command[Any]:
    return settle.settle(scene.keys, settlement=ended(job, "failed", retry=0))


@case("fail", "stopped", prepare=running, meanwhile=put_anew)
def _(scene: Scene, job: Any) -> Command[Any]:
    return settle.settle(scene.keys, settlement=ended(job, "stopped"))


@case("settle_and_claim", prepare=running, meanwhile=take_over)
@case("settle_and_claim", "drained", prepare=running, meanwhile=drain_one)
def _(scene: Scene, job: Any) -> Command[Any]:
    return settle.settle_and_claim(
        scene.keys, settlement=ended(job), queues=["q", "r"], worker="w", executions=["x1"], lease_ms=LEASE
    )


@case("reap", prepare=abandoned, meanwhile=run_next)
@case("reap", "drained", prepare=abandoned, meanwhile=drain_one)
def _(scene: Scene, job: Any) -> Command[Any]:
    return settle.reap(scene.keys, queue="q")


@case("reap", "poison", prepare=abandoned, meanwhile=put_anew)
def _(scene: Scene, job: Any) -> Command[Any]:
    return settle.reap(scene.keys, queue="q", max_abandoned=0)


@case("free", prepare=freeing, meanwhile=put_anew)
def _(scene: Scene, job: Any) -> Command[Any]:
    return settle.free(scene.keys, limit=30)


@case("cancel", prepare=crowd, meanwhile=run_next)
@case("cancel", "running", prepare=running, meanwhile=put_anew)
def _(scene: Scene, job: Any) -> Command[Any]:
    return change.cancel(scene.keys, job_id="run", enqueue_dependents=True)


@case("stop", prepare=running, meanwhile=take_over)
def _(scene: Scene, job: Any) -> Command[Any]:
    return change.stop(scene.keys, job_id="run")


@case("requeue", prepare=failed, meanwhile=run_next)
@case("requeue", "drained", prepare=failed, meanwhile=drain_one)
def _(scene: Scene, job: Any) -> Command[Any]:
    return change.requeue(scene.keys, job_id="run")


@case("requeue", "deferred", prepare=running, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    return change.requeue(scene.keys, job_id="kid", at_front=True)


@case("delete", prepare=crowd, meanwhile=run_next)
@case("delete", "running", prepare=running, meanwhile=put_anew)
def _(scene: Scene, job: Any) -> Command[Any]:
    return change.delete(scene.keys, job_id="run")


@case("delete", "dependents", prepare=running, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    return change.delete(scene.keys, job_id="run", delete_dependents=True)


@case("touch", prepare=crowd, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    return change.touch(scene.keys, job_id="run", fields={"meta": b"m"})


@case("save_job", prepare=crowd, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    return alone.save_job(scene.keys, job_id="run", fields={"data": b"d", "origin": "q"})


@case("save_job", "new", prepare=crowd)
def _(scene: Scene, job: Any) -> Command[Any]:
    return alone.save_job(scene.keys, job_id="saved", fields={"data": b"d", "origin": "q"})


@case("begin_job", prepare=crowd, meanwhile=take_over)
@case("begin_job", "canceled", prepare=crowd, meanwhile=cancel_it)
def _(scene: Scene, job: Any) -> Command[Any]:
    return alone.begin_job(scene.keys, job_id="run", worker="w", execution="x1", lease_ms=LEASE)


@case("expire", prepare=failed, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    scene.now = NOW + 400 * 86_400_000
    return queues.expire(scene.keys, queue="q")


@case("worker_birth", prepare=running, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    return birth(scene, "v")


@case("worker_beat", prepare=running, meanwhile=take_over)
def _(scene: Scene, job: Any) -> Command[Any]:
    return worker.worker_beat(scene.keys, worker="w", ttl=480, fields={"state": "busy"})


@case("worker_death", prepare=running, meanwhile=run_next)
@case("worker_death", "drained", prepare=running, meanwhile=drain_one)
def _(scene: Scene, job: Any) -> Command[Any]:
    return worker.worker_death(scene.keys, worker="w", queues=["q", "r"])


@case("clean_workers", prepare=running, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    scene.redis.delete(scene.keys.worker("w"))
    return worker.clean_workers(scene.keys, queue="q")


@case("take_turn", prepare=crowd, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    return worker.take_turn(scene.keys, task="t", interval_ms=60_000)


@case("empty_queue", prepare=running, meanwhile=take_over)
def _(scene: Scene, job: Any) -> Command[Any]:
    return queues.empty_queue(scene.keys, queue="q")


@case("empty_queue", "detach", prepare=running, meanwhile=take_over)
def _(scene: Scene, job: Any) -> Command[Any]:
    return queues.empty_queue(scene.keys, queue="q", detach=True)


@case("delete_queue", prepare=running, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    return queues.delete_queue(scene.keys, queue="r")


@case("remove_from_queue", prepare=crowd, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    return queues.remove_from_queue(scene.keys, queue="q", job_id="run")


@case("pause_queue", prepare=crowd, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    return queues.pause_queue(scene.keys, queue="q")


@case("suspend", prepare=crowd, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    return queues.suspend(scene.keys)


@case("resume", prepare=crowd, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    return queues.resume(scene.keys)


@case("group_read", prepare=crowd, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    return group.group_read(scene.keys, name="g")


@case("groups_read", prepare=crowd, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    return group.groups_read(scene.keys)


@case("view_executions", prepare=running, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    return views.view_executions(scene.keys, job_id="run")


@case("view_jobs", prepare=crowd, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    return views.view_jobs(scene.keys, job_ids=["run", "nobody"])


@case("view_queues", prepare=crowd, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    return views.view_queues(scene.keys, queues=["q", "r"])


@case("view_workers", prepare=crowd, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    return views.view_workers(scene.keys)
