"""The scripts about cron entries, called once as their wrappers call them."""

from __future__ import annotations

from typing import Any

from tests.lua.cases import case, crowd, drain_one, run_next
from tests.lua.scene import NOW, Scene, new_job

from atomiq._commands import cron
from atomiq._commands.base import Command

SCHEDULE = '{"interval": 60}'


def entry(scene: Scene) -> None:
    """An entry that has been looked after since NOW."""
    crowd(scene)
    scene.run(sync(scene))


def sync(
    scene: Scene, schedule: str = SCHEDULE, scheduler: str = "S", takes: bool = True, definition: bytes = b"{}"
) -> Command[cron.EntryReply]:
    return cron.cron_sync(
        scene.keys, name="nightly", schedule=schedule, definition=definition, scheduler=scheduler, takes=takes
    )


def fire(
    scene: Scene, job_id: str = "fired", tick: int = NOW, before: int | None = None, **settings: Any
) -> Command[cron.EntryReply]:
    given = {"schedule": SCHEDULE, "due_ms": tick, "overlap": "allow", **settings}
    return cron.cron_fire(
        scene.keys, name="nightly", before_ms=before, tick_ms=tick, job=new_job(job_id, ttl=3000), **given
    )


def beat(scene: Scene, name: str = "S", **settings: Any) -> Command[int]:
    return cron.cron_beat(scene.keys, name=name, ttl=120, fields={"name": name}, **settings)


def fire_next(scene: Scene, job: Any) -> None:
    """Another process decides the tick after this one."""
    scene.now += 60_000
    scene.run(fire(scene, "other", NOW + 60_000, NOW))


@case("cron_fire", prepare=entry, meanwhile=fire_next)
@case("cron_fire", "drained", prepare=entry, meanwhile=drain_one)
def _(scene: Scene, job: Any) -> Command[Any]:
    return fire(scene)


@case("cron_fire", "held", prepare=entry, meanwhile=drain_one)
def _(scene: Scene, job: Any) -> Command[Any]:
    scene.run(fire(scene, "first", overlap="queue_one"))
    scene.now += 60_000
    return fire(scene, tick=NOW + 60_000, before=NOW, overlap="queue_one")


@case("cron_run", prepare=entry, meanwhile=run_next)
@case("cron_run", "drained", prepare=entry, meanwhile=drain_one)
def _(scene: Scene, job: Any) -> Command[Any]:
    return cron.cron_run(scene.keys, name="nightly", job=new_job("by-hand"))


@case("cron_sync", prepare=entry, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    return sync(scene, '{"interval": 5}')


@case("cron_pause", prepare=entry, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    return cron.cron_pause(scene.keys, name="nightly")


@case("cron_pause", "resume", prepare=entry, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    scene.run(cron.cron_pause(scene.keys, name="nightly"))
    return cron.cron_pause(scene.keys, name="nightly", paused=False)


@case("cron_beat", prepare=entry, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    return beat(scene)


@case("view_cron", prepare=entry, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    return cron.view_cron(scene.keys)
