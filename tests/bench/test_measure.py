"""The bench's arithmetic, on records made by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.measure import (
    ENQUEUED,
    LAYOUT,
    RAN,
    STARTED,
    Record,
    count_records,
    latencies_ms,
    longest_wait_ms,
    median_rows,
    percentile,
    rate,
    read_records,
)

MS = 1_000_000


def ran(number: int, ms: float, flag: int = RAN) -> Record:
    return Record(int(ms * MS), number, flag, 1)


def test_records_are_read_oldest_first_without_warm_ups_and_without_a_torn_end(tmp_path: Path) -> None:
    file = tmp_path / "records"
    rows = [(3, 1, RAN, 7), (2, 0, STARTED, 7), (1, -1, RAN, 7)]
    file.write_bytes(b"".join(LAYOUT.pack(*row) for row in rows) + b"half")
    assert read_records(file) == [Record(2, 0, STARTED, 7), Record(3, 1, RAN, 7)]
    assert count_records(file) == 3


def test_no_file_is_no_record(tmp_path: Path) -> None:
    assert read_records(tmp_path / "none") == []
    assert count_records(tmp_path / "none") == 0


def test_rate_is_from_the_first_to_the_last() -> None:
    assert rate([ran(0, 1000), ran(1, 1001), ran(2, 1004)]) == pytest.approx(500)


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.001, 1)])
def test_percentile_is_one_of_the_values(share: float, expected: int) -> None:
    assert percentile(range(100, 0, -1), share) == expected


def test_latency_is_from_enqueue_to_the_first_run() -> None:
    rows = [ran(0, 10, ENQUEUED), ran(0, 12.5), ran(0, 90), ran(1, 30, ENQUEUED), ran(2, 50, ENQUEUED), ran(2, 51)]
    assert latencies_ms(rows) == [2.5, 1]


def test_in_order_a_job_waits_for_no_more_than_the_one_before_it() -> None:
    rows = [ran(0, 0), ran(1, 50, STARTED), ran(2, 100), ran(3, 200)]
    assert longest_wait_ms(rows, slow=1) == 100


def test_a_job_kept_behind_the_slow_one_is_seen_by_those_that_overtake_it() -> None:
    rows = [ran(0, 0), ran(1, 1, STARTED), ran(2, 9000), ran(3, 3), ran(4, 4)]
    assert longest_wait_ms(rows, slow=1) == 8999


def test_jobs_kept_behind_the_slow_one_at_the_end_of_the_queue_are_seen_too() -> None:
    rows = [ran(0, 0), ran(1, 1, STARTED), ran(2, 2), ran(3, 9002), ran(4, 9003)]
    assert longest_wait_ms(rows, slow=1) == 9000


def test_what_ran_before_the_slow_one_does_not_count() -> None:
    rows = [ran(0, 500), ran(1, 1), ran(2, 502, STARTED), ran(3, 503)]
    assert longest_wait_ms(rows, slow=2) == 1


def test_medians_of_figures_words_of_the_first_and_errors_kept() -> None:
    rows = [
        {"mode": "fork", "jobs": 1, "again": None, "finished": True},
        {"mode": "fork", "jobs": 9, "again": 4.0, "finished": True},
        {"mode": "fork", "jobs": 2, "again": 2.0, "finished": True, "error": "died"},
    ]
    merged = {"mode": "fork", "jobs": 2, "again": 3.0, "finished": True, "error": "died"}
    assert median_rows(rows) == merged
