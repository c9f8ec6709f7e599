"""Back-off strategies, for `Retry(backoff=...)` and for preconditions (`atomiq.requires`).

Retry(max=5, backoff=Exponential(1, factor=2, max=60, jitter=True))
"""

from __future__ import annotations

from atomiq._core.backoff import Backoff, Constant, Exponential, Fibonacci, Linear

__all__ = ["Backoff", "Constant", "Exponential", "Fibonacci", "Linear"]
