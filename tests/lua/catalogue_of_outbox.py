"""The step that sends rows of an outbox: see `catalogue`."""

from __future__ import annotations

from typing import Any

from tests.lua.cases import case, crowd, run_next
from tests.lua.scene import NOW, Scene, new_job

from atomiq._commands.base import Command
from atomiq._commands.outbox import deliver


@case("enqueue", "rows", prepare=crowd, meanwhile=run_next)
def _(scene: Scene, job: Any) -> Command[Any]:
    jobs = [new_job("row1"), new_job("soon", call="anew"), new_job("row2")]
    return deliver(
        scene.keys,
        source="source",
        rows=["1.a", "2.b", "3.c"],
        jobs=jobs,
        unique=True,
        group=None,
        not_after_ms=10 * NOW,
    )
