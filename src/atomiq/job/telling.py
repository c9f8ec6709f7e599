"""Whom a job tells of its end: callbacks in this process, webhooks over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from atomiq._core.callref import import_attribute
from atomiq._core.states import JobStatus
from atomiq.job.waiting import WaitingJob
from atomiq.timeouts import JobTimeoutException
from atomiq.webhook import Webhook, restore_webhooks


class TellingJob(WaitingJob):
    """A job's callbacks and webhooks."""

    connection: Any

    @property
    def success_callback(self) -> Callable[..., Any] | None:
        """The function called on success, imported; None if there is none. Raises InvalidFunction, a ValueError."""
        return import_attribute(self.success_callback_name) if self.success_callback_name else None

    @property
    def failure_callback(self) -> Callable[..., Any] | None:
        """The function called on failure, imported; None if there is none. Raises InvalidFunction, a ValueError."""
        return import_attribute(self.failure_callback_name) if self.failure_callback_name else None

    @property
    def stopped_callback(self) -> Callable[..., Any] | None:
        """The function called on a stop, imported; None if there is none. Raises InvalidFunction, a ValueError."""
        return import_attribute(self.stopped_callback_name) if self.stopped_callback_name else None

    def execute_success_callback(self, death_penalty_class: Any, result: Any) -> None:
        """Call the success callback with (job, connection, result), within its time limit (RQ)."""
        callback = self.success_callback
        if callback is not None:
            with death_penalty_class(self.success_callback_timeout, JobTimeoutException, job_id=self.id):
                callback(self, self.connection, result)

    def execute_failure_callback(self, death_penalty_class: Any, *exc_info: Any) -> None:
        """Call the failure callback with (job, connection, type, value, traceback), within its time limit (RQ)."""
        callback = self.failure_callback
        if callback is not None:
            with death_penalty_class(self.failure_callback_timeout, JobTimeoutException, job_id=self.id):
                callback(self, self.connection, *exc_info)

    def execute_stopped_callback(self, death_penalty_class: Any) -> None:
        """Call the stopped callback with (job, connection), within its time limit (RQ)."""
        callback = self.stopped_callback
        if callback is not None:
            with death_penalty_class(self.stopped_callback_timeout, JobTimeoutException, job_id=self.id):
                callback(self, self.connection)

    @property
    def webhooks(self) -> list[Any]:
        """Its webhooks, as `Webhook` (RQ). Stored ones that can't be read count as none, with a warning."""
        found: list[Any] | None = self.__dict__.get("webhooks")
        if found is None:
            found = self.__dict__["webhooks"] = restore_webhooks(self.raw.get(b"webhooks"), self.id)
        return found

    @webhooks.setter
    def webhooks(self, webhooks: list[Any]) -> None:
        self.__dict__["webhooks"] = webhooks

    def send_webhooks(self, status: JobStatus | str, *, exc_string: str | None = None) -> None:
        """Send its webhooks for this status now, one after the other (RQ). Workers call it once the state is stored;
        one that fails is logged. Raises nothing."""
        for webhook in self.webhooks:
            if webhook.job_status == status:
                webhook.send(self, exc_string=exc_string)


def webhook_of(given: Any) -> Webhook:
    """One of `enqueue(webhooks=...)` as ours; RQ's own serve as well."""
    return given if isinstance(given, Webhook) else Webhook.from_dict(given.to_dict())
