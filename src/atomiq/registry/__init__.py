"""Where jobs are when they are not waiting in their queue (RQ's `rq.registry`).

Counts and lists show what is there now and never change a job: members whose job is forgotten disappear as they are
read, nothing fails or runs again because someone looked.
"""

from __future__ import annotations

from typing import Any

from atomiq._core.settings import DEFAULT_FAILURE_TTL
from atomiq.registry.base import BaseRegistry
from atomiq.registry.kinds import (
    CanceledJobRegistry,
    DeferredJobRegistry,
    FailedJobRegistry,
    FinishedJobRegistry,
    ScheduledJobRegistry,
)
from atomiq.registry.started import StartedJobRegistry

__all__ = [
    "DEFAULT_FAILURE_TTL",
    "BaseRegistry",
    "CanceledJobRegistry",
    "DeferredJobRegistry",
    "FailedJobRegistry",
    "FinishedJobRegistry",
    "ScheduledJobRegistry",
    "StartedJobRegistry",
    "clean_registries",
]


def clean_registries(queue: Any, exception_handlers: Any = None) -> None:
    """Upkeep of a queue's registries (RQ): forget what is over its time, run abandoned jobs again.

    Workers do this by themselves.
    """
    FinishedJobRegistry(queue=queue).cleanup()  # all but the started ones, in the same steps
    StartedJobRegistry(queue=queue).cleanup(exception_handlers=exception_handlers)
