"""Every script, called once as its wrapper calls it: the cases of the header tests and of the fault matrix."""

from __future__ import annotations

from typing import Any

from tests.lua import (
    catalogue_by_hand,
    catalogue_by_word,
    catalogue_of_cron,
    catalogue_of_doctor,
    catalogue_of_outbox,
    catalogue_of_raw,
)
from tests.lua.cases import (
    CASES,
    Case,
    abandoned,
    birth,
    cancel_and_requeue,
    cancel_it,
    case,
    crowd,
    drain_one,
    failed,
    freeing,
    many,
    put_anew,
    run_next,
    running,
    take_over,
    to_be_stopped,
)
from tests.lua.scene import LEASE, NOW, Scene, ended, held, new_job, plain_job

from atomiq._commands import alone, change, claim, enqueue, group, queues, settle, views, worker
from atomiq._commands.base import Command

__all__ = [
    "CASES",
    "Case",
    "catalogue_by_hand",
    "catalogue_by_word",
    "catalogue_of_cron",
    "catalogue_of_doctor",
    "catalogue_of_outbox",
    "catalogue_of_raw",
]

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


@case("enqueue", "plain", prepare=crowd, meanwhile=run_next)
@case("enqueue", "plain-freeing", prepare=freeing, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    return enqueue.enqueue(scene.keys, jobs=[plain_job("new")])


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
@case("release", "stopped", prepare=to_be_stopped, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    return claim.release(scene.keys, worker="w", held=[held(job)])


@case("give_back", prepare=running, meanwhile=run_next)
@case("give_back", "canceled", prepare=running, meanwhile=cancel_it)
@case("give_back", "stopped", prepare=to_be_stopped, meanwhile=run_next)
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


@case("wait", prepare=running, meanwhile=run_next)
@case("wait", "canceled", prepare=running, meanwhile=cancel_it)
def _(scene: Scene, job: Any) -> Command[Any]:
    return settle.settle(scene.keys, settlement=ended(job, "waiting", retry=500, result=b"[]"))


@case("settle_and_claim", "waiting", prepare=running, meanwhile=drain_one)
def _(scene: Scene, job: Any) -> Command[Any]:
    return settle.settle_and_claim(
        scene.keys,
        settlement=ended(job, "waiting", retry=500, result=b"[]"),
        queues=["q", "r"],
        worker="w",
        executions=["x1"],
        lease_ms=LEASE,
    )


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


@case("worker_note", prepare=running, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    return worker.worker_note(scene.keys, worker="w", ttl=480, verb="set", field="state", value="idle")


@case("worker_tally", prepare=running, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    return worker.worker_tally(scene.keys, worker="w", tallies={"t1": claim.Tally(2, 1, 1500)})


@case("scheduler_beat", prepare=crowd)
def _(scene: Scene, _: None) -> Command[Any]:
    return worker.scheduler_beat(scene.keys, name="s", ttl=61, fields={"pid": 7})


@case("worker_death", prepare=running, meanwhile=run_next)
@case("worker_death", "stopped", prepare=to_be_stopped, meanwhile=run_next)
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


def followed(scene: Scene) -> Any:
    """A group that somebody waits for, one member still open."""
    scene.enqueue(new_job("first"), new_job("last"), group="g")
    scene.enqueue(new_job("then", "r", after="g", when="ended"))
    job = scene.take("q")
    scene.settle(job)
    return job


@case("group_progress", prepare=followed, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    return group.group_progress(scene.keys, name="g")


@case("group_leave", prepare=followed, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    return group.group_leave(scene.keys, name="g", job_id="last")


@case("free", "groups", prepare=followed, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    return settle.free(scene.keys)


@case("enqueue", "after", prepare=followed, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    return enqueue.enqueue(scene.keys, jobs=[new_job("new"), new_job("then2", after="g", when="finished")], group="g")


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
