"""RQ's deprecated `rq.maintenance`."""

from __future__ import annotations

import warnings
from typing import Any


def clean_intermediate_queue(worker: Any, queue: Any) -> None:
    """Deprecated (RQ): `queue.intermediate_queue.cleanup(worker, queue)`."""
    text = "clean_intermediate_queue is deprecated. Use IntermediateQueue.cleanup instead."
    warnings.warn(text, DeprecationWarning, stacklevel=2)
    queue.intermediate_queue.cleanup(worker, queue)
