"""Who has replaced one of RQ's hooks: a subclass, a monkeypatch, or somebody who has set it on one object.

RQ's `enqueue` calls parse_args, enqueue_call, create_job, enqueue_job, setup_dependencies and push_job_id one after the
other, and code outside relies on being called there. Here they are called only when one of them isn't ours any more;
to look costs half a microsecond, and is done for each call, as a monkeypatch may come at any time.
"""

from __future__ import annotations

import inspect
from operator import attrgetter
from typing import Any, Final

AT_ONCE: Final = ("parse_args", "enqueue_call", "create_job", "enqueue_job", "setup_dependencies", "push_job_id")
LATER: Final = ("parse_args", "enqueue_at", "create_job", "schedule_job")
HANDING_OUT: Final = ("lmove", "lpop")


class Hooks:
    """The hooks of a queue class as this package made it, and with it the `create` of its job class."""

    def __init__(self, kind: Any) -> None:
        at_once = [name for name in AT_ONCE if hasattr(kind, name)]
        self._ours = {name: _of_class(kind, name) for name in (*AT_ONCE, *LATER, *HANDING_OUT) if hasattr(kind, name)}
        self._create = kind.job_class.create.__func__
        self._at_once = attrgetter(*(f"{name}.__func__" for name in at_once), "job_class.create.__func__")
        self._later = attrgetter(*(f"{name}.__func__" for name in LATER), "job_class.create.__func__")
        self._ours_at_once = (*(self._ours[name] for name in at_once), self._create)
        self._ours_later = (*(self._ours[name] for name in LATER), self._create)

    def replaced(self, queue: Any) -> bool:
        """Whether anybody wants to be called by the queue's `enqueue`."""
        try:
            return bool(self._at_once(queue) != self._ours_at_once)
        except AttributeError:  # not even a method
            return True

    def replaced_later(self, queue: Any) -> bool:
        """Whether anybody wants to be called by the queue's `enqueue_at`."""
        try:
            return bool(self._later(queue) != self._ours_later)
        except AttributeError:
            return True

    def is_ours(self, queue: Any, name: str) -> bool:
        """Whether one method of a queue, or of a queue class, is what it was."""
        found = getattr(queue, name)
        return getattr(found, "__func__", found) is self._ours[name]

    def creates(self, job_class: Any) -> bool:
        """Whether the `create` of a job class is what it was."""
        return getattr(job_class.create, "__func__", None) is self._create


def _of_class(kind: Any, name: str) -> Any:
    found = inspect.getattr_static(kind, name)
    return getattr(found, "__func__", found)
