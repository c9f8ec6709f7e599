"""The doctor's scripts, for the catalogue: on a scene that is well, where they change nothing."""

from __future__ import annotations

from typing import Any

from tests.lua.cases import case, crowd, run_next, running
from tests.lua.scene import Scene

from atomiq._commands import doctor
from atomiq._commands.base import Command

PATIENCE = doctor.Patience(100, 120_000, 900_000)


@case("examine_list", prepare=crowd, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    return doctor.examine_list(scene.keys, queue="q", first=-50, last=-1)


@case("examine_registry", prepare=running, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    return doctor.examine_registry(scene.keys, container="wip", queue="q", cursor="0", limit=50)


@case("examine_jobs", prepare=running, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    return doctor.examine_jobs(scene.keys, job_ids=["run", "next", "kid", "heir", "soon"])


@case("examine_job", prepare=running, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    suspects = [doctor.Suspect("run", {doctor.Place("failed", "r")}), doctor.Suspect("kid")]
    return doctor.examine_job(scene.keys, suspects=suspects, patience=PATIENCE)


@case("repair_job", prepare=crowd, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    faults, witness = ["orphan", "double"], "queued 2026-11-21T01:37:08.574000Z  "
    return doctor.repair_job(
        scene.keys, suspect=doctor.Suspect("next"), witness=witness, faults=faults, patience=PATIENCE
    )


@case("examine_things", prepare=running, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    return doctor.examine_things(scene.keys, kind="worker", names=["w", "nobody"])


@case("repair_thing", prepare=running, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    return doctor.repair_thing(scene.keys, kind="worker", name="w", fault="dead", places=["q"])
