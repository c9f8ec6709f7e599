"""A worker's executors as its arguments name them."""

from __future__ import annotations

from typing import Any

import pytest

from atomiq.worker.engine import CONCURRENCY, Engine, executors_of


class TestExecutors:
    @pytest.mark.parametrize(
        ("wanted", "concurrency", "expected"),
        [
            ("process", None, {"process": 1}),
            ("process", 4, {"process": 4}),
            ("thread", None, {"thread": 8}),
            ("async", None, {"async": 100}),
            ("process:2,async:50", None, {"process": 2, "async": 50}),
            (" process : 2 , thread ", None, {"process": 2, "thread": 8}),
            ({"fork": 3, "async": 10}, None, {"fork": 3, "async": 10}),
            ("inline", None, {"inline": 1}),
            ("inline", 1, {"inline": 1}),
        ],
    )
    def test_named(self, wanted: Any, concurrency: int | None, expected: dict[str, int]) -> None:
        assert executors_of(wanted, concurrency) == expected

    @pytest.mark.parametrize(
        ("wanted", "concurrency", "text"),
        [
            ("proces", None, "no executor 'proces'"),
            ("", None, "no executor ''"),
            ({}, None, "no executor"),
            ("process:x", None, "behind the colon"),
            ("process,process", None, "twice"),
            ("process:0", None, "between 1"),
            ("process", 0, "between 1"),
            ("process", 100_000, "between 1"),
            ("process:2,async:2", 3, "concurrency is for one executor"),
            ("process:2", 3, "concurrency is for one executor"),
            ("inline", 2, "inline runs one job at a time"),
            ("inline,process", None, "inline runs one job at a time"),
        ],
    )
    def test_refused(self, wanted: Any, concurrency: int | None, text: str) -> None:
        with pytest.raises(ValueError, match=text):
            executors_of(wanted, concurrency)

    def test_every_executor_has_a_default(self) -> None:
        for kind, count in CONCURRENCY.items():
            assert executors_of(kind, None) == {kind: count}


class TestEngine:
    def test_children(self) -> None:
        engine = Engine.of("process:2,async:50,thread:4,spawn:1")
        assert engine.stations() == [("process", 1, 2), ("async", 50, 1), ("thread", 4, 1), ("spawn", 1, 1)]
        assert engine.first == "process"
        assert engine.forks == 0

    def test_the_supervisor_claims_for_forks_only_if_there_are_no_others(self) -> None:
        assert Engine.of("fork:3").forks == 3
        assert Engine.of("async:2,fork:3").forks == 0
        assert Engine.of("fork:3,async:2").forks == 0
        assert Engine.of("fork:3,async:2").first == "fork"

    def test_sizes(self) -> None:
        engine = Engine.of("process", None, 10, "512M", "1G")
        assert engine.recycling.max_jobs == 10
        assert engine.recycling.max_memory == 512 * 2**20
        assert engine.memory_limit == 2**30

    @pytest.mark.parametrize("arguments", [(None, 0), (None, None, "much"), (None, None, None, "x")])
    def test_nonsense(self, arguments: tuple[Any, ...]) -> None:
        with pytest.raises(ValueError, match=r"max_jobs_per_child|size"):
            Engine.of("process", *arguments)
