"""What a sender knows of the time spares the script work, and changes nothing of what it writes."""

from __future__ import annotations

from typing import Any

import pytest
from tests.lua.scene import ISO, NOW, Scene, new_job

from atomiq._commands import enqueue as commands
from atomiq._commands.enqueue import enqueue

HERE = NOW / 1000


@pytest.fixture(params=["one", "many"])
def jobs(request: pytest.FixtureRequest) -> list[Any]:
    return [new_job("a")] if request.param == "one" else [new_job("a"), new_job("b")]


@pytest.mark.parametrize("ahead", [0, 0.9, -1, 1, -60, 3600, 86_400, -86_400, 365 * 86_400, -HERE])
def test_senders_whose_clocks_differ(
    scene: Scene, jobs: list[Any], ahead: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "time", lambda: HERE + ahead)
    scene.run(enqueue(scene.keys, jobs=jobs))
    assert {scene.field(job.id, "enqueued_at") for job in jobs} == {ISO}


def test_it_is_used(scene: Scene, jobs: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "time", lambda: HERE)
    monkeypatch.setattr(commands, "text_of_second", lambda _: "2000-01-01T00:00:00.")
    scene.run(enqueue(scene.keys, jobs=jobs))
    assert {scene.field(job.id, "enqueued_at") for job in jobs} == {"2000-01-01T00:00:00." + ISO[20:]}
