"""Running a job again after it succeeded (RQ's rq.repeat)."""

from __future__ import annotations

from atomiq._core.values import Repeat

__all__ = ["Repeat"]
