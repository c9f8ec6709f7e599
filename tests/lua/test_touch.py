"""touch: fields that say nothing about the state."""

from __future__ import annotations

import pytest
from tests.lua.scene import Scene

from atomiq._commands.change import cancel, delete, touch


def test_the_whole_difference(scene: Scene) -> None:
    scene.put("a")
    command = touch(scene.keys, job_id="a", fields={"meta": b"\x80\x05}", "progress": "0.5"})
    reply, changed = scene.changes(command)
    assert reply == "ok"
    assert changed["rq:job:a"]["progress"] == "0.5"
    assert changed.keys() == {"rq:job:a"}
    assert scene.unchanged(command) == "ok"


def test_gone(scene: Scene) -> None:
    assert scene.unchanged(touch(scene.keys, job_id="a", fields={"meta": b"x"})) == "gone"


def test_only_while_an_execution_owns_the_job(scene: Scene) -> None:
    job = scene.started("a")
    command = touch(scene.keys, job_id="a", fields={"retries_left": 1}, execution=job.execution_id)
    assert scene.run(command) == "ok"
    assert scene.field("a", "retries_left") == "1"
    other = touch(scene.keys, job_id="a", fields={"retries_left": 0}, execution="other")
    assert scene.unchanged(other) == "not_yours"
    scene.run(cancel(scene.keys, job_id="a"))
    assert scene.unchanged(command) == "not_yours"
    scene.run(delete(scene.keys, job_id="a"))
    assert scene.unchanged(command) == "gone"


def test_never_the_status(scene: Scene) -> None:
    with pytest.raises(ValueError, match="status"):
        touch(scene.keys, job_id="a", fields={"status": "finished"})
    with pytest.raises(ValueError, match="at least one"):
        touch(scene.keys, job_id="a", fields={})
