"""Worker classes as users of RQ have them, and what they have noted."""

from __future__ import annotations

import os
from typing import Any

from atomiq import Queue, SimpleWorker, Worker


class Notes:
    """Each call of a method is a line in the list `notes` of the server, from whichever process."""

    connection: Any

    def note(self, what: str) -> None:
        self.connection.rpush("notes", what)


class Loop(Notes, Worker):
    """Overrides what RQ's loop calls in the worker's own process."""

    def dequeue_job_and_maintain_ttl(self, timeout: Any, max_idle_time: Any = None) -> Any:
        self.note(f"dequeue {timeout} {max_idle_time}")
        return super().dequeue_job_and_maintain_ttl(timeout, max_idle_time)

    def execute_job(self, job: Any, queue: Any) -> None:
        self.note(f"execute {job.id} {queue.name}")
        super().execute_job(job, queue)

    def fork_work_horse(self, job: Any, queue: Any) -> None:
        super().fork_work_horse(job, queue)
        self.note(f"fork {self.horse_pid != os.getpid()}")

    def monitor_work_horse(self, job: Any, queue: Any) -> None:
        super().monitor_work_horse(job, queue)
        self.note(f"monitored {job.get_status().value}")

    def get_heartbeat_ttl(self, job: Any) -> int:
        return super().get_heartbeat_ttl(job) + 10


class Simple(SimpleWorker):
    """The smallest override."""

    def execute_job(self, job: Any, queue: Any) -> None:
        super().execute_job(job, queue)


class Dequeues(SimpleWorker):
    """Takes its jobs in its own way, as a loop that is no worker does."""

    def dequeue_job_and_maintain_ttl(self, timeout: Any, max_idle_time: Any = None) -> Any:
        return Queue.dequeue_any(self.queues, None, connection=self.connection)


class DequeuesAndForks(Worker):
    """The same, with a work horse."""

    dequeue_job_and_maintain_ttl = Dequeues.dequeue_job_and_maintain_ttl


class Prepares(Notes, Worker):
    """Notes the beginning of each execution."""

    def prepare_execution(self, job: Any) -> Any:
        self.note(f"prepare {job.id}")
        return super().prepare_execution(job)


class PreparesHere(Prepares, SimpleWorker):
    """The same, in the worker's own process."""


class OwnFork(Notes, Worker):
    """Forks by itself, as RQ's documentation shows."""

    def fork_work_horse(self, job: Any, queue: Any) -> None:
        pid = os.fork()
        if pid == 0:
            self.main_work_horse(job, queue)
            os._exit(0)
        self._horse_pid = pid


class Ends(Notes, Worker):
    """Overrides what is called around a call's end."""

    def handle_job_success(self, job: Any, queue: Any, started_job_registry: Any) -> None:
        before = job.get_status().value
        super().handle_job_success(job, queue, started_job_registry)
        self.note(f"success {before} {job.get_status().value} {job._result} {started_job_registry.key}")

    def handle_job_failure(self, job: Any, queue: Any, started_job_registry: Any = None, exc_string: str = "") -> None:
        super().handle_job_failure(job, queue, started_job_registry, exc_string + "and ours")
        self.note(f"failure {queue.name}")

    def handle_job_retry(self, job: Any, queue: Any, retry: Any, started_job_registry: Any, execution: Any) -> None:
        super().handle_job_retry(job, queue, retry, started_job_registry, execution)
        self.note(f"retry {retry.max}")


class Careless(Notes, Worker):
    """Forgets to call what it overrides, or breaks."""

    def handle_job_success(self, job: Any, queue: Any, started_job_registry: Any) -> None:
        self.note("success")

    def handle_job_failure(self, job: Any, queue: Any, started_job_registry: Any = None, exc_string: str = "") -> None:
        self.note("failure")
        raise RuntimeError("the notifier is down")


class BreaksSuccess(Notes, Worker):
    """Raises before the job is settled; RQ then takes it for failed."""

    def handle_job_success(self, job: Any, queue: Any, started_job_registry: Any) -> None:
        raise RuntimeError("no room for results")


class BreaksLater(Notes, Worker):
    """Raises after the job is settled; with RQ it is then finished and failed."""

    def handle_job_success(self, job: Any, queue: Any, started_job_registry: Any) -> None:
        super().handle_job_success(job, queue, started_job_registry)
        raise RuntimeError("too late")


class DoesNothing(Notes, SimpleWorker):
    """Forgets the job altogether."""

    def execute_job(self, job: Any, queue: Any) -> None:
        self.note("nothing")


class Breaks(Notes, SimpleWorker):
    """Its own code raises."""

    def execute_job(self, job: Any, queue: Any) -> None:
        raise RuntimeError("broken worker")


class Maintains(Notes, Worker):
    """Overrides the upkeep, nothing else."""

    def run_maintenance_tasks(self) -> None:
        self.note("maintenance")
        super().run_maintenance_tasks()


class Warned(Notes, Worker):
    """Overrides what is called at the first wish to stop."""

    def handle_warm_shutdown_request(self) -> None:
        self._warned = True
        super().handle_warm_shutdown_request()

    def teardown(self) -> None:
        self.note(f"warned {getattr(self, '_warned', False)}")
        super().teardown()


def on_failure_long(job: Any, connection: Any, *_exc_info: Any) -> None:
    """A callback that takes two seconds."""
    connection.rpush("notes", "callback begins")
    connection.blpop("nobody pushes here", timeout=2)
    connection.rpush("notes", "callback ends")


def never() -> bool:
    """What a job requires that never runs."""
    return False


class Longer:
    """Knows better than the job how long it may take."""

    LIMIT: Any = 30

    def perform_job(self, job: Any, queue: Any) -> bool:
        job.timeout = self.LIMIT
        return bool(super().perform_job(job, queue))  # type: ignore[misc]


class TakesLonger(Longer, SimpleWorker):
    """In the worker's own process."""


class TakesLongerInSteps(TakesLonger):
    """The same in RQ's loop."""

    def execute_job(self, job: Any, queue: Any) -> None:
        super().execute_job(job, queue)


class TakesLongerInAChild(Longer, Worker):
    """The same in a warm child, and by itself nothing of RQ's loop."""


class SaysItInWords(Longer, Simple):
    """Sets what `enqueue` would understand, and nobody else does."""

    LIMIT = "10m"
