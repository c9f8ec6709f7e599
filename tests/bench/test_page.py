"""Verdicts, who is ahead, and the page: worked out from figures, never written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bench.bars import RACES, Figures, Race, ahead, at_most, times, verdicts
from bench.results import Run, load, newest, save
from bench.tables import table

from bench import page, results

HEADER = {
    "scenario": "drain",
    "date": "2026-01-02",
    "machine": {"cores": 2, "cpu": "a CPU", "kernel": "Linux 6", "python": "3.11.7"},
    "server": "redis 7.0.15",
    "rounds": 1,
    "jobs": None,
    "partial": False,
    "steal_percent": 3.0,
    "versions": {"rq": {"rq": "2.12.0", "redis": "8.1.0"}},
}
JOBS_PER_SECOND = Race("drain", "drain", "jobs_per_second", "atomiq process", least=False, width=1)


def drained(peer: str, mode: str, jobs_per_second: float, width: int = 1, **more: Any) -> dict[str, Any]:
    row = {"contender": f"{peer} {mode}", "peer": peer, "mode": mode, "round": 0, "width": width}
    return {**row, "jobs_per_second": jobs_per_second, **more}


def run_of(*rows: dict[str, Any], **header: Any) -> Run:
    return Run({**HEADER, **header}, list(rows))


def figures_of(*rows: dict[str, Any]) -> Figures:
    return Figures({"drain": run_of(*rows)})


def test_a_bar_is_met_or_missed_by_its_figure() -> None:
    assert at_most("b", 110, 110, 60, "us").met is True
    assert at_most("b", 111, 110, 60, "us").met is False
    assert at_most("b", 60, 110, 60, "us").stretch is True
    assert at_most("b", None, 110, 60, "us").met is None


def test_a_ratio_names_the_peer_it_is_of() -> None:
    verdict = times("b", 600, 6, {"contender": "rq simple", "speed": 100}, "speed", 1000)
    assert (verdict.met, verdict.stretch) == (True, False)
    assert "6.0x rq simple" in verdict.measured
    assert times("b", 599, 6, {"contender": "rq simple", "speed": 100}, "speed").met is False
    assert times("b", 599, 6, None, "speed").met is None


def test_drain_is_compared_with_the_best_peer_of_as_many_processes() -> None:
    rows = [drained("atomiq", "process", 6000), drained("huey", "thread", 1001), drained("huey", "two", 9000, width=2)]
    first = verdicts(figures_of(*rows))[0]
    assert "huey thread" in first.goal
    assert first.met is False


def test_who_is_ahead_is_named_best_first_and_by_more_than_nothing() -> None:
    rows = [drained("atomiq", "process", 1000), drained("a", "x", 2000), drained("b", "x", 3000)]
    rows += [drained("c", "x", 1040), drained("d", "x", 9000, width=2)]
    found = ahead(figures_of(*rows), JOBS_PER_SECOND)
    assert [row["peer"] for row in found or []] == ["b", "a"]


def test_nothing_is_said_where_our_own_figure_is_missing() -> None:
    assert ahead(figures_of(drained("a", "x", 1)), JOBS_PER_SECOND) is None
    lines = "\n".join(page.races(figures_of(drained("a", "x", 1))))
    assert all(race.title in lines for race in RACES)
    assert "Nobody" not in lines


def test_what_more_children_can_add_is_worked_out_from_what_a_job_costs() -> None:
    one = drained("atomiq", "process", 10_000, worker_us=60, server_us=40)
    assert "20,000 jobs/s at most, 2.0 times" in page.ceiling(figures_of(one), cores=2)
    assert page.ceiling(figures_of(drained("atomiq", "process", 10_000)), cores=2) == ""


def test_a_contender_that_failed_is_in_the_table_with_its_error() -> None:
    failed = {"contender": "x y", "peer": "x", "mode": "y", "round": 0, "width": 1, "error": "no | such thing"}
    lines = table(run_of(drained("rq", "fork", 50), failed))
    assert len({line.count("|") for line in lines}) == 1
    assert "failed: no / such thing" in lines[-1]


def test_the_newest_run_counts_but_one_of_all_goes_before_one_of_some(tmp_path: Path) -> None:
    for name, partial in (("drain-1", False), ("drain-2", False), ("drain-3", True), ("naps-1", True)):
        scenario = name.split("-")[0]
        run = run_of(scenario=scenario, partial=partial, date=name)
        (tmp_path / f"{name}.jsonl").write_text(f"{results.json.dumps(run.header)}\n")
    assert {name: run.header["date"] for name, run in newest(["drain", "naps", "idle"], tmp_path).items()} == {
        "drain": "drain-2",
        "naps": "naps-1",
    }


def test_a_run_is_kept_and_rendered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    run = run_of(drained("atomiq", "process", 12345), drained("rq", "fork", 57), drained("rq", "simple", 170))
    assert load(save(run)) == run
    monkeypatch.setattr(page, "newest", lambda _names: newest(["drain"], tmp_path))
    text = page.render()
    assert "| **atomiq process** | - | 12,345 |" in text
    assert "| rq | 2.12.0 | redis 8.1.0 |" in text
    assert "216.6x rq fork" in text
    assert "Not to be said" in text
