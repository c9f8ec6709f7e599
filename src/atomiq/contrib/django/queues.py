"""Queues from the settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from atomiq import decorators
from atomiq._core.callref import import_attribute
from atomiq.contrib.django.commit import DjangoCommit
from atomiq.contrib.django.conf import get_connection, on_commit_of, queue_settings
from atomiq.job import Job
from atomiq.queue import Queue

_OPTIONS = {
    "default_timeout": "DEFAULT_TIMEOUT", "serializer": "SERIALIZER", "job_class": "JOB_CLASS",
    "executor": "EXECUTOR", "abandoned": "ABANDONED",
}  # fmt: skip


def get_queue(name: str = "default", **options: Any) -> Queue:
    """The queue of a name, as the settings say.

    Args:
        name: one of the settings' queues; any, if they name none.
        options: for the Queue; they win over the settings. `on_commit`: 'django', 'django:alias', or None to send jobs
            at once.

    Raises:
        UnknownQueue: an ImproperlyConfigured; the settings have no such queue.
    """
    said = queue_settings(name)
    made: dict[str, Any] = {ours: said[theirs] for ours, theirs in _OPTIONS.items() if said.get(theirs) is not None}
    if said.get("ASYNC") is not None:
        made["is_async"] = bool(said["ASYNC"])
    made["on_commit"] = on_commit_of(said)
    made |= options
    if "connection" not in made:
        made["connection"] = get_connection(name)
    kind = said.get("QUEUE_CLASS") or Queue
    kind = import_attribute(kind) if isinstance(kind, str) else kind
    queue: Queue = kind(name, **made)
    return queue


def enqueue(func: Callable[..., Any] | str, *args: Any, **options: Any) -> Job:
    """`get_queue().enqueue(...)`."""
    return get_queue().enqueue(func, *args, **options)


def enqueue_on_commit(
    queue: Queue | str, func: Callable[..., Any] | str, *args: Any, using: str = "default", robust: bool = False,
    **options: Any,
) -> Any:  # fmt: skip
    """Enqueue a call when the transaction has committed, never if it rolls back; at once if none is open.

    Args:
        queue: a Queue, its name, or an aio.Queue, for which the answer is to be awaited.
        func, args, options: as for `Queue.enqueue`.
        using: alias of the database. Default 'default'.
        robust: what goes wrong in the sending is logged, not raised by the end of the `atomic` block. Default False.

    Returns:
        The Job, with its id, in status created; queued once it is sent.

    Raises:
        What `Queue.enqueue` raises about the call, at once. TransactionManagementError: autocommit was turned off by
        hand. From the end of the `atomic` block: NotEnqueued, when the rows are committed and the server can't be
        reached.
    """
    found = get_queue(queue) if isinstance(queue, str) else queue
    return found.after_commit(DjangoCommit(using, robust)).enqueue(func, *args, **options)


def job(
    func_or_queue: Callable[..., Any] | Queue | str = "default", connection: Any = None, *args: Any, **options: Any
) -> Any:
    """`@job`, `@job("mail", timeout=60)` or `@job(queue)`: gives a function `delay(...)` and `enqueue(...)`.

    Options are those of `atomiq.decorators.job`. A queue's name is looked up in the settings with each call, unless a
    connection is given.
    """
    if callable(func_or_queue):
        return decorators.job("default", None, queue_class=_queue_of_settings)(func_or_queue)
    if isinstance(func_or_queue, str) and connection is None:
        options = {"queue_class": _queue_of_settings, **options}
    return decorators.job(func_or_queue, connection, *args, **options)


def _queue_of_settings(name: str, connection: Any = None) -> Queue:
    return get_queue(name)
