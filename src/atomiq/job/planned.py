"""What `Job` and `aio.Job` have in common when they speak to the server: RQ's low-level steps as commands, each one
atomic step here, and what replies mean."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from atomiq._commands.base import Command
from atomiq._commands.change import Changed, run_again, set_status
from atomiq._commands.enqueue import Enqueued, enqueue
from atomiq._commands.views import Hash
from atomiq._core.cadence import interval_after
from atomiq._core.errors import InvalidJobOperation, InvalidOption
from atomiq._core.ids import new_execution_id
from atomiq._core.keys import Keys
from atomiq._core.record import Value
from atomiq._core.settings import DEFAULT_TIMEOUT
from atomiq._core.states import JobStatus
from atomiq._core.timestamp import utcformat
from atomiq.job.base import BaseJob

LONGEST_RUN: Final = 7 * 86400
LEASE_MARGIN: Final = 60
NOBODY: Final = "somebody"
"""The worker of a job that was called started by somebody who gave no name."""


class Plan(NamedTuple):
    """A further run: the command, and what the job will be then as far as this process knows."""

    command: Command[tuple[str, str]]
    left: int
    status: JobStatus


def status_of(word: Any) -> JobStatus:
    """A status from its word. Raises InvalidOption, a ValueError: there is no such status."""
    try:
        return JobStatus(word)
    except ValueError as error:
        raise InvalidOption(f"{word!r} is no status; there are {', '.join(JobStatus)}") from error


def lease_of(job: BaseJob) -> int:
    """Seconds after which a job that nobody else looks after counts as abandoned: its time limit and a minute."""
    timeout = job.timeout or DEFAULT_TIMEOUT
    return (timeout if timeout > 0 else LONGEST_RUN) + LEASE_MARGIN


def status_command(keys: Keys, job: BaseJob, status: JobStatus) -> Command[str]:
    """Move a job into the container of a status."""
    if status is not JobStatus.STARTED:
        return set_status(keys, job_id=job.id, status=status.value, execution=new_execution_id())
    return _start(keys, job, job.worker_name or NOBODY, {})


def preparation(keys: Keys, job: BaseJob, worker_name: str) -> Command[str]:
    """Note who runs a job, and since when; both the job and the server."""
    now = datetime.now(UTC)
    job.worker_name, job.last_heartbeat, job.started_at = worker_name, now, now
    said = utcformat(now)
    return _start(keys, job, worker_name, {"worker_name": worker_name, "last_heartbeat": said, "started_at": said})


def _start(keys: Keys, job: BaseJob, worker: str, fields: dict[str, Value]) -> Command[str]:
    return set_status(
        keys,
        job_id=job.id,
        status=JobStatus.STARTED.value,
        worker=worker,
        execution=new_execution_id(),
        lease_ms=lease_of(job) * 1000,
        fields=fields,
    )


def retry_plan(keys: Keys, job: BaseJob, queue: str) -> Plan:
    """The retry that is next. Raises InvalidJobOperation: none is left."""
    left = job.retries_left or 0
    if left < 1:
        raise InvalidJobOperation(f"Cannot retry job {job.id}: no retries left")
    front = bool(job.enqueue_at_front_on_retry)
    return _plan(keys, job, queue, "retry", left, front, job.get_retry_interval())


def repeat_plan(keys: Keys, job: BaseJob, queue: str) -> Plan:
    """The repetition that is next. Raises InvalidOption, a ValueError: none is left."""
    left = job.repeats_left or 0
    if left < 1:
        raise InvalidOption(f"Cannot schedule job {job.id}: no repeats left")
    return _plan(keys, job, queue, "repeat", left, False, interval_after(job.repeat_intervals, job.repeats_done))


def _plan(keys: Keys, job: BaseJob, queue: str, by: str, left: int, front: bool, interval: int) -> Plan:
    fields = job.changed_fields(include_meta=True, include_result=False)
    for counted in ("retries_left", "repeats_left", "origin"):
        fields.pop(counted, None)
    token = new_execution_id()
    command = run_again(keys, job_id=job.id, queue=queue, by=by, left=left, token=token, at_front=front, fields=fields)
    return Plan(command, left - 1, JobStatus.SCHEDULED if interval else JobStatus.QUEUED)


def registration(keys: Keys, job: BaseJob) -> Command[list[Enqueued]]:
    """Have a job wait for those it depends on. Raises InvalidJobOperation: it belongs to no queue."""
    if not job.origin:
        raise InvalidJobOperation(f"job {job.id} can't wait for others: it has no origin, the queue that it will go to")
    return enqueue(keys, jobs=[job.to_new_job()])


def note_canceled(job: BaseJob, changed: Changed | None) -> None:
    """The job is canceled, as far as is known: None is said of a command in a pipeline. Raises InvalidJobOperation: it
    was canceled already, or is gone."""
    if changed is not None and changed.word == "already":
        raise InvalidJobOperation(f"Cannot cancel already canceled job: {job.id}")
    if changed is not None and changed.word == "gone":
        raise InvalidJobOperation(f"Cannot cancel job {job.id}: it is gone")
    job.remember_status(JobStatus.CANCELED)


def check_requeued(job: BaseJob, changed: Changed) -> None:
    """Raises InvalidJobOperation: the job was not in the failed registry of its queue."""
    if changed.word != "ok":
        raise InvalidJobOperation(f"Cannot requeue job {job.id}: it is not in the failed registry of {job.origin}")


def are_met(job: BaseJob, dependencies: list[Hash | None]) -> bool:
    """Whether a job could run as far as these go, the hashes of what it depends on, None for what is gone."""
    done = {JobStatus.FINISHED.value.encode()}
    if job.allow_dependency_failures:
        done |= {JobStatus.FAILED.value.encode(), JobStatus.STOPPED.value.encode()}
    return all(raw is None or raw.get(b"status") in done for raw in dependencies)
