"""Running a job again after it succeeded (RQ's rq.repeat)."""

from __future__ import annotations

from typing import Any

from atomiq._core import values

__all__ = ["Repeat"]


class Repeat(values.Repeat):
    __doc__ = values.Repeat.__doc__

    @classmethod
    def schedule(cls, job: Any, queue: Any, pipeline: Any = None) -> None:
        """Count one of a job's repetitions and put it into `queue` now, or later by its interval, in one step (RQ).
        Workers do so by themselves when a job with repetitions succeeds.

        Raises:
            InvalidOption: a ValueError; no repetition is left.
            NoSuchJobError: the job is gone.
        """
        job.repeat(queue, pipeline)
