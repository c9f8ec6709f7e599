"""atomiq for asyncio: the same names and parameters, awaited, over redis.asyncio.

    queue = aio.Queue("default", connection=aio.connect())
    job = await queue.enqueue(function, 1)
    result = await job.latest_result(timeout=10)

What is a property that asks the server in the synchronous classes is a method here: `await queue.count()`,
`await job.is_finished()`. `in` and `len` of a registry are `contains()` and `count()`.

Not here: workers, `is_async=False`, `Job.transaction` (it takes an AsyncSession by itself), RQ's low-level writes: a
queue's `lpop`, `push_job_id`, `dequeue_any` and the like, a registry's `add`, `Result.create`, `Execution.create`.
`StartedJobRegistry.cleanup` does nothing. Inside of a coroutine job `atomiq.get_current_job` says a synchronous Job.
"""

from __future__ import annotations

from atomiq._core.classes import register
from atomiq._wire.connect import aconnect as connect
from atomiq.aio.command import send_command, send_kill_horse_command, send_shutdown_command, send_stop_job_command
from atomiq.aio.executions import Execution, ExecutionRegistry
from atomiq.aio.group import Group
from atomiq.aio.job import Job, cancel_job, requeue_job
from atomiq.aio.queue import Queue
from atomiq.aio.registry import (
    BaseRegistry,
    CanceledJobRegistry,
    DeferredJobRegistry,
    FailedJobRegistry,
    FinishedJobRegistry,
    ScheduledJobRegistry,
    StartedJobRegistry,
)
from atomiq.aio.results import Result
from atomiq.aio.suspension import is_suspended, resume, suspend

__all__ = [
    "BaseRegistry",
    "CanceledJobRegistry",
    "DeferredJobRegistry",
    "Execution",
    "ExecutionRegistry",
    "FailedJobRegistry",
    "FinishedJobRegistry",
    "Group",
    "Job",
    "Queue",
    "Result",
    "ScheduledJobRegistry",
    "StartedJobRegistry",
    "cancel_job",
    "connect",
    "is_suspended",
    "requeue_job",
    "resume",
    "send_command",
    "send_kill_horse_command",
    "send_shutdown_command",
    "send_stop_job_command",
    "suspend",
]

register(
    **{
        f"aio.{kind.__name__}": kind
        for kind in (ExecutionRegistry, FailedJobRegistry, FinishedJobRegistry, Queue, StartedJobRegistry)
    }
)
