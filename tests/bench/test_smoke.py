"""One part of the bench with a handful of jobs: real worker, real server, figures that make sense."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bench.arena import Arena
from bench.contenders import Contender
from bench.peers import PEERS
from bench.processes import BenchError
from bench.scenarios import SCENARIOS
from bench.server import tcp_server

from bench import arena

JOBS = 12


@pytest.fixture
def field(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Arena]:
    """A server, and this interpreter as everybody's environment: nothing is installed."""
    monkeypatch.setattr(arena, "environment", lambda _peer: Path(sys.executable).parent)
    with tcp_server() as url:
        found = Arena(url, tmp_path)
        yield found
        found.connection.close()


def contender(peer: str, mode: str) -> Contender:
    found = next(one for one in PEERS if one.name == peer)
    return Contender(found, next(one for one in found.modes if one.name == mode))


def run(scenario: str, field: Arena, one: Contender, jobs: int = JOBS) -> dict[str, Any]:
    return SCENARIOS[scenario].measure(field, one, jobs)


@pytest.mark.parametrize(("peer", "mode", "jobs"), [("atomiq", "inline", 2000), ("rq", "simple", 200)])
def test_drain(field: Arena, peer: str, mode: str, jobs: int) -> None:
    """So many jobs that the server's account is opened long before the last of them."""
    figures = run("drain", field, contender(peer, mode), jobs)
    assert figures["jobs"] == jobs
    assert figures["jobs_per_second"] > 1
    assert figures["ran_twice"] == 0
    assert figures["round_trips"] > 0
    assert sorted(row.number for row in field.records()) == list(range(jobs))


def test_enqueue(field: Arena) -> None:
    """So many that they outweigh a buffer of 20 kB that the server happens to free meanwhile."""
    figures = run("enqueue", field, contender("atomiq", "inline"), 2000)
    assert figures["round_trips"] == pytest.approx(1, abs=0.2)
    assert figures["bulk_round_trips"] < 1
    assert figures["bytes"] > 50


def test_a_worker_that_does_not_start_is_reported_with_what_it_said(field: Arena) -> None:
    broken = contender("atomiq", "inline")
    field.url = "redis://127.0.0.1:1/0"
    with (
        field.worker(broken) as tree,
        pytest.raises(BenchError, match=r"0 of 1 jobs when its worker ended; it said last: .*127\.0\.0\.1:1"),
    ):
        field.first_job(tree)
