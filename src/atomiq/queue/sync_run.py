"""is_async=False: the job runs in the calling thread, and its state goes the same way as a worker's (RQ's run_sync).

Unlike a worker it doesn't retry or repeat, and no time limit is set, as in RQ.
"""

from __future__ import annotations

import sys
import time
import traceback
from typing import Any

from atomiq._commands.alone import begin_job
from atomiq._commands.settle import Settlement, settle
from atomiq._core.errors import JobIsRunning, NoSuchJobError
from atomiq._core.ids import new_execution_id
from atomiq._core.settings import DEFAULT_RESULT_TTL, UNSERIALIZABLE_RETURN_VALUE_PAYLOAD
from atomiq._core.states import JobStatus
from atomiq._core.timestamp import from_ms
from atomiq._wire.sync import Store
from atomiq.job import Job

WORKER_NAME = "sync"
_LONGEST_RUN = 7 * 86400
_LEASE_MARGIN = 60


def run_in_this_thread(store: Store, job: Job, death_penalty_class: Any) -> None:
    """Run a stored job and settle it.

    An exception of the function is recorded, not raised; one of a callback is raised. KeyboardInterrupt and SystemExit
    are recorded and raised.
    """
    execution_id = new_execution_id()
    seconds = job.timeout if job.timeout and job.timeout > 0 else _LONGEST_RUN
    lease_ms = (seconds + _LEASE_MARGIN) * 1000
    word, started_ms = store.run(
        begin_job(store.keys, job_id=job.id, worker=WORKER_NAME, execution=execution_id, lease_ms=lease_ms)
    )
    if word == "busy":
        raise JobIsRunning(f"job {job.id} is running elsewhere")
    if word == "gone":
        raise NoSuchJobError(f"No such job: {job.key}")
    job.worker_name = WORKER_NAME
    job.started_at = from_ms(started_ms)
    settlement = Settlement(
        job_id=job.id,
        queue=job.origin,
        execution_id=execution_id,
        worker=WORKER_NAME,
        outcome="finished",
        result_ttl=job.get_result_ttl(DEFAULT_RESULT_TTL),
        failure_ttl=job.failure_ttl,
        started_ms=started_ms,
        retry="never",
    )
    begun = time.monotonic()
    interrupt: BaseException | None = None
    result: Any = None
    try:
        result = job.perform()
        settlement.result = None if result is None else _dump_result(job, result)
    except BaseException as error:  # noqa: BLE001 - recorded; what is no Exception is raised again below
        settlement.outcome = "failed"
        settlement.exc_string = traceback.format_exc()
        failure = sys.exc_info()
        interrupt = None if isinstance(error, Exception) else error
    settlement.ended_ms = started_ms + int((time.monotonic() - begun) * 1000)
    settled = store.run(settle(store.keys, settlement=settlement))
    job.ended_at = from_ms(settlement.ended_ms)
    if settled.word in ("ok", "already"):
        job.remember_status(JobStatus.FINISHED if settlement.outcome == "finished" else JobStatus.FAILED)
    if settlement.outcome == "finished":
        job.execute_success_callback(death_penalty_class, result)
    else:
        job.execute_failure_callback(death_penalty_class, *failure)
    if interrupt is not None:
        raise interrupt


def _dump_result(job: Job, result: Any) -> bytes:
    try:
        dumped: bytes = job.serializer.dumps(result)
    except Exception:  # noqa: BLE001 - a serializer may raise anything
        dumped = job.serializer.dumps(UNSERIALIZABLE_RETURN_VALUE_PAYLOAD)
    return dumped
