"""Which of RQ's methods a worker's class, or somebody who has patched it, has made their own.

Asked once a run: a worker in which nobody has changed anything takes the short ways.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

Kind = TypeVar("Kind", bound=type)

LOOP: Final = (
    "check_for_suspension",
    "connection_timeout",
    "dequeue_job_and_maintain_ttl",
    "dequeue_timeout",
    "execute_job",
    "fork_work_horse",
    "get_heartbeat_ttl",
    "handle_payload",
    "heartbeat",
    "kill_horse",
    "maintain_heartbeats",
    "monitor_work_horse",
    "prepare_execution",
    "set_state",
    "should_run_maintenance_tasks",
    "stop_scheduler",
    "subscribe",
    "unsubscribe",
    "wait_for_horse",
)
"""Methods of a loop that does one thing after the other: a class that changes one of them is run by such a loop."""
CALL: Final = (
    "handle_execution_ended",
    "handle_job_failure",
    "handle_job_retry",
    "handle_job_success",
    "perform_job",
    "prepare_job_execution",
)
"""Methods around a call: a warm child calls them where somebody has changed one of them."""

_OURS: Final[dict[str, list[object]]] = {}


def our_own(kind: Kind) -> Kind:
    """Mark what a class of ours defines as nobody's override."""
    for name, found in vars(kind).items():
        _OURS.setdefault(name, []).append(found)
    return kind


def overridden(worker: Any, *names: str) -> list[str]:
    """Those of the methods that are not ours any more: overridden in a subclass, patched on a class, or on the
    object."""
    return [name for name in names if name in vars(worker) or _is_foreign(type(worker), name)]


def _is_foreign(kind: type, name: str) -> bool:
    for parent in kind.__mro__:
        found = vars(parent).get(name)
        if found is not None:
            return not any(found is ours for ours in _OURS.get(name, ()))
    return False
