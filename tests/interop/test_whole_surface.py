"""All of RQ 2.12's public names and parameters, by introspection of the installed one."""

from __future__ import annotations

import importlib
from typing import Any

import redis
from scripts.differences import NAMES
from tests.interop.surface import departures, how_many

AT_MOST = 25
"""Deliberate differences, by the project's own bar."""


def test_every_public_name_and_parameter_is_here_or_a_listed_difference() -> None:
    found = departures()
    unlisted = {name: what for name, what in found.items() if name not in NAMES}
    assert not unlisted, "\n".join(f"{name}: {what}" for name, what in unlisted.items())
    assert not set(NAMES) - set(found), "listed as a difference, and is none"


def test_the_list_of_differences_is_short_and_says_why() -> None:
    assert len(NAMES) < AT_MOST
    assert all(here and why for here, why in NAMES.values())


def test_the_comparison_is_not_empty() -> None:
    assert how_many() > 800


def add(x: int) -> int:
    return x


def made(package: str, connection: redis.Redis) -> dict[str, Any]:
    """One object of each class that users hold in their hands, made the way users make it."""
    top, job, group, repeat, cron, scheduler, pool, results, executions, registry = (
        importlib.import_module(package + name)
        for name in (
            "",
            ".job",
            ".group",
            ".repeat",
            ".cron",
            ".scheduler",
            ".worker_pool",
            ".results",
            ".executions",
            ".registry",
        )
    )
    queue = top.Queue("surface", connection=connection)
    task = job.Job.create(add, args=(1,), connection=connection, origin="surface")
    return {
        "Queue": queue,
        "Job": task,
        "Retry": job.Retry(max=2),
        "Repeat": repeat.Repeat(times=2),
        "Callback": job.Callback(add),
        "Dependency": job.Dependency(jobs=["a"]),
        "Group": group.Group.create(connection),
        "Webhook": top.Webhook("http://localhost:1/", job_status=job.JobStatus.FAILED),
        "Worker": top.Worker([queue], connection=connection),
        "SimpleWorker": top.SimpleWorker([queue], connection=connection),
        "RQScheduler": scheduler.RQScheduler([queue], connection),
        "CronScheduler": cron.CronScheduler(connection),
        "CronJob": cron.CronJob("surface", func=add, args=(1,), interval=60),
        "WorkerPool": pool.WorkerPool([queue], connection),
        "Result": results.Result(task.id, results.Result.Type.SUCCESSFUL, connection),
        "Execution": executions.Execution("e", task.id, connection),
        **{name: getattr(registry, name)(queue=queue) for name in dir(registry) if name.endswith("JobRegistry")},
    }


def test_every_public_attribute_of_an_object(redis_connection: redis.Redis) -> None:
    """Attributes that only the constructor makes are not seen in the class."""
    theirs, ours = made("rq", redis_connection), made("atomiq", redis_connection)
    missing = [
        f"{name}.{attribute}"
        for name, value in theirs.items()
        for attribute in vars(value)
        if not attribute.startswith("_") and attribute not in dir(ours[name])
    ]
    assert missing == []
