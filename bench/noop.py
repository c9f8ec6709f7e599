"""The job of the benchmarks that measure everything but the job."""

from __future__ import annotations


def work(number: int) -> None:
    """Do nothing."""
