"""A backend for Django's Tasks: `django.tasks` of Django 6, or the package django-tasks, which has the same interface.

    TASKS = {"default": {"BACKEND": "atomiq.contrib.django.tasks.AtomiqBackend", "QUEUES": ["default", "mail"]}}

`QUEUES` are queues of atomiq's settings. `OPTIONS` may have `JOB`, a dict of what `Queue.create_job` takes (`timeout`,
`result_ttl`, `retry` ...), and `ON_COMMIT`, as in the settings. A task that waits for COMMIT has no `enqueued_at` yet;
its signal `task_enqueued` is sent when it is enqueued.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from traceback import format_exception
from typing import Any, Final

from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from atomiq._core.errors import InvalidName, NoSuchJobError
from atomiq._core.timestamp import utcformat, utcparse
from atomiq.contrib.django.commit import DjangoCommit, when_sent
from atomiq.contrib.django.conf import get_connection, on_commit_of, queue_names, queue_settings
from atomiq.contrib.django.queues import get_queue
from atomiq.job import Job, JobStatus, get_current_job

FRAMEWORK: Final = "django.tasks" if importlib.util.find_spec("django.tasks") else "django_tasks"
_base: Any = importlib.import_module(f"{FRAMEWORK}.backends.base")
_names: Any = importlib.import_module("django.tasks.base" if FRAMEWORK == "django.tasks" else "django_tasks.base")
_signals: Any = importlib.import_module(f"{FRAMEWORK}.signals")
_exceptions: Any = importlib.import_module(f"{FRAMEWORK}.exceptions")

Status: Any = _names.TaskResultStatus
DoesNotExist: Any = getattr(_exceptions, "TaskResultDoesNotExist", None) or _exceptions.ResultDoesNotExist
_RUN: Final = f"{__name__}.run_task"
_META: Final = "django_task"
_ENDED_BADLY: Final = (JobStatus.FAILED, JobStatus.STOPPED, JobStatus.CANCELED)


class AtomiqBackend(_base.BaseTaskBackend):
    """Tasks as jobs. Priorities are not supported: give what is urgent a queue of its own."""

    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = False

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        super().__init__(alias, params)
        self.options = params.get("OPTIONS") or {}

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        """Enqueue a task; when the transaction commits, if one is open. Raises what `Queue.enqueue` raises."""
        self.validate_task(task)
        result = self._result(task, "", Status.READY, list(args), dict(kwargs))
        given = {name: self.options[name] for name in ("ON_COMMIT",) if name in self.options}
        queue = get_queue(task.queue_name, **({"on_commit": on_commit_of(given)} if given else {}))
        call = (task.module_path, self.alias, task.priority, result.args, result.kwargs)
        shown = [*map(repr, result.args), *(f"{name}={value!r}" for name, value in result.kwargs.items())]
        options = {"description": f"{task.module_path}({', '.join(shown)})", **(self.options.get("JOB") or {})}
        job: Job = queue.create_job(_RUN, call, **options)
        if task.run_after is not None:
            queue.schedule_job(job, task.run_after)
        else:
            queue.enqueue_job(job)
        object.__setattr__(result, "id", job.id)
        if job.known_status is JobStatus.CREATED and isinstance(queue.on_commit, DjangoCommit):
            when_sent(queue.on_commit, job, partial(self._say_enqueued, result, job))
        else:
            self._say_enqueued(result, job)
        return result

    def _say_enqueued(self, result: Any, job: Job) -> None:
        object.__setattr__(result, "enqueued_at", _enqueued_at(job))
        _signals.task_enqueued.send(type(self), task_result=result)

    def get_result(self, result_id: str) -> Any:
        """The result of an id, for as long as the job is kept. Raises the framework's "does not exist"."""
        asked: list[Any] = []
        for name in sorted(self.queues) or queue_names():
            connection = get_connection(name)
            if connection in asked:
                continue
            asked.append(connection)
            try:
                job = Job.fetch(result_id, connection=connection, serializer=queue_settings(name).get("SERIALIZER"))
            except (NoSuchJobError, InvalidName, TypeError):
                continue
            if job.called_name == _RUN and job.args[1] == self.alias:
                return self.result_of(job)
        raise DoesNotExist(result_id)

    def result_of(self, job: Job) -> Any:
        """What a job says about its task."""
        path, _alias, priority, args, kwargs = job.args
        task = import_string(path)
        task = task.using(queue_name=job.origin, backend=self.alias, **({"priority": priority} if priority else {}))
        known = job.get_meta(refresh=False).get(_META, {})
        state = job.get_status(refresh=False)
        result = self._result(task, job.id, _status(state), args, kwargs)
        ran = state in (JobStatus.STARTED, JobStatus.FINISHED) or state in _ENDED_BADLY
        failed = known.get("errors", [])
        values: dict[str, Any] = {
            "enqueued_at": _enqueued_at(job),
            "started_at": utcparse(known["started_at"].encode()) if "started_at" in known else job.started_at,
            "last_attempted_at": job.started_at,
            "finished_at": job.ended_at if result.is_finished else None,
            "worker_ids": [error["worker"] for error in failed],
            "errors": [_names.TaskError(exception_class_path=each["class"], traceback=each["text"]) for each in failed],
        }
        if ran and job.worker_name and not (state in _ENDED_BADLY and len(failed) == job.attempts):
            values["worker_ids"].append(job.worker_name)
        if state is JobStatus.FINISHED:
            values["_return_value"] = job.return_value()
        for name, value in values.items():
            object.__setattr__(result, name, value)
        return result

    def check(self, **kwargs: Any) -> Iterator[Any]:
        """Every queue must be one of the settings'."""
        yield from super().check(**kwargs) or ()
        for name in sorted(self.queues):
            try:
                queue_settings(name)
            except ImproperlyConfigured as error:
                yield checks.Error(f"TASKS[{self.alias!r}]: {error}", id="atomiq.E003")

    def _result(self, task: Any, job_id: str, status: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        return _names.TaskResult(
            task=task, id=job_id, status=status, enqueued_at=None, started_at=None, finished_at=None,
            last_attempted_at=None, args=args, kwargs=kwargs, backend=self.alias, errors=[], worker_ids=[],
        )  # fmt: skip


def run_task(path: str, alias: str, _priority: int, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """What a worker calls: the task of this name. Its signals are sent here."""
    job = get_current_job()
    assert job is not None
    task = import_string(path).using(backend=alias)
    backend = task.get_backend()
    job.remember_status(JobStatus.STARTED)
    result = backend.result_of(job)
    _signals.task_started.send(type(backend), task_result=result)
    try:
        context = [_names.TaskContext(task_result=result)] if task.takes_context else []
        value = _normal(task.call(*context, *args, **kwargs))
    except BaseException as error:
        _note(job, error)
        if not job.retries_left:
            _ended(backend, result, job, Status.FAILED, None)
        raise
    _ended(backend, result, job, Status.SUCCESSFUL, value)
    return value


def _ended(backend: Any, result: Any, job: Job, status: Any, value: Any) -> None:
    said = backend.result_of(job)
    for name, known in (("status", status), ("errors", said.errors), ("_return_value", value),
                        ("finished_at", datetime.now(said.started_at.tzinfo))):  # fmt: skip
        object.__setattr__(result, name, known)
    _signals.task_finished.send(type(backend), task_result=result)


def _note(job: Job, error: BaseException) -> None:
    """Keep what TaskError says, and who ran it, with the job."""
    known = job.get_meta(refresh=False).setdefault(_META, {})
    if job.started_at is not None:
        known.setdefault("started_at", utcformat(job.started_at))
    kind = type(error)
    text = "".join(format_exception(error)).encode("utf-8", "backslashreplace").decode()
    said = {"class": f"{kind.__module__}.{kind.__qualname__}", "text": text, "worker": job.worker_name}
    known.setdefault("errors", []).append(said)
    job.save_meta()


def _normal(value: Any) -> Any:
    """A return value as JSON has it, as the framework says."""
    normalize: Any = importlib.import_module(
        "django.utils.json" if FRAMEWORK == "django.tasks" else "django_tasks.utils"
    ).normalize_json
    return normalize(value)


def _enqueued_at(job: Job) -> datetime | None:
    return None if job.known_status is JobStatus.CREATED else job.enqueued_at or job.created_at


def _status(state: JobStatus) -> Any:
    if state is JobStatus.FINISHED:
        return Status.SUCCESSFUL
    if state in _ENDED_BADLY:
        return Status.FAILED
    return Status.RUNNING if state is JobStatus.STARTED else Status.READY
