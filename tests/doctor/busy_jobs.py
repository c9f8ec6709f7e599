"""Jobs of a busy fleet."""

from __future__ import annotations

from atomiq import get_current_job


def add(one: int, other: int) -> int:
    return one + other


def fail_at_first(number: int) -> int:
    """Fails as long as more retries are left than `number` % 3."""
    job = get_current_job()
    assert job is not None
    if (job.retries_left or 0) > number % 3:
        raise RuntimeError("not yet")
    return number


def fail() -> None:
    raise RuntimeError("never")
