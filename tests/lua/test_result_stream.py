"""What the result stream of a job takes of the server's memory, and that it is RQ's all the same.

XADD makes a stream with room for 4 KiB, so every finished job of RQ's takes about 5 KiB until its result expires: at
1,000 jobs a second and 500 seconds 2.5 GB of nothing.
"""

from __future__ import annotations

import pytest
from tests.lua.scene import Scene, ended

from atomiq._commands.settle import pack_exception, settle

SMALL = 1000
"""Bytes. Names, times and a few words."""


def memory(scene: Scene, job_id: str = "a") -> int:
    return int(scene.redis.memory_usage(scene.keys.results(job_id)) or 0)


def types(scene: Scene, job_id: str = "a") -> list[bytes]:
    return [entry[b"type"] for _, entry in scene.redis.xrange(scene.keys.results(job_id))]


@pytest.mark.parametrize(
    ("outcome", "settings"),
    [
        ("finished", {"result": b"42"}),
        ("finished", {"result": None}),
        ("failed", {"exc_string": "Traceback: ValueError", "retry": "never"}),
        ("retried", {"result": b"r", "retry": 0}),
        ("exhausted", {"result": b"r"}),
    ],
)
def test_one_result_takes_what_is_in_it(scene: Scene, outcome: str, settings: dict) -> None:
    scene.settle(scene.started("a"), outcome, **settings)
    assert 0 < memory(scene) < SMALL
    assert len(types(scene)) == 1
    assert not scene.redis.exists(scene.keys.made())


def test_all_runs_of_a_job_are_in_it(scene: Scene) -> None:
    """The second result finds a stream, and is added to it."""
    scene.settle(scene.started("a"), "retried", retry=0, result=b"r")
    scene.settle(scene.take(), "retried", retry=0, result=b"r")
    scene.settle(scene.take(), result=b"42")
    assert types(scene) == [b"4", b"4", b"1"]
    assert not scene.redis.exists(scene.keys.made())


def test_a_repeated_job_has_its_last_ten(scene: Scene) -> None:
    scene.settle(scene.started("a", repeats_left="12", repeat_intervals="0"), result=b"0")
    for run in range(1, 13):
        scene.settle(scene.take(), result=str(run).encode())
    assert len(types(scene)) == 10


@pytest.mark.parametrize("size", [2250, 2251, 100_000])
def test_a_large_value_is_whole(scene: Scene, size: int) -> None:
    """base64 of 2,250 bytes is the largest that is copied."""
    scene.settle(scene.started("a"), result=b"x" * size)
    [(_, entry)] = scene.redis.xrange(scene.keys.results("a"))
    assert len(entry[b"return_value"]) == (size + 2) // 3 * 4
    assert not scene.redis.exists(scene.keys.made())


def test_a_long_traceback_is_whole(scene: Scene) -> None:
    text = "".join(f"line {number * 7919 % 100_003}\n" for number in range(3000))
    scene.settle(scene.started("a"), "failed", exc_string=text, retry="never")
    [(_, entry)] = scene.redis.xrange(scene.keys.results("a"))
    packed = pack_exception(text)
    assert len(packed) > 3000
    assert entry[b"exc_string"] == (packed.encode() if isinstance(packed, str) else packed)


def test_what_a_broken_off_script_left_is_nobodys_result(scene: Scene) -> None:
    """A user who may not COPY breaks the script off behind XADD. The entry of that job must not become another's."""
    scene.redis.xadd(scene.keys.made(), {"type": "1", "return_value": "not yours"})
    scene.run(settle(scene.keys, settlement=ended(scene.started("a"), result=b"42")))
    [(_, entry)] = scene.redis.xrange(scene.keys.results("a"))
    assert entry[b"return_value"] == b"NDI="
    assert not scene.redis.exists(scene.keys.made())
