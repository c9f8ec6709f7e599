"""What a key is, by its name: RQ's layout and ours."""

from __future__ import annotations

from typing import Final

from atomiq._core.keys import OWN_KEYS, Keys

CONTAINERS: Final = ("wip", "scheduled", "deferred", "finished", "failed", "canceled")
"""The containers of a queue that are sorted sets."""
_FIRST_SEEN: Final = b":intermediate:first_seen:"
_SIMPLE: Final = {
    b"results": "results",
    b"executions": "executions",
    b"execution": "execution",
    b"worker": "worker",
    b"workers": "worker_set",
    b"group": "group",
    b"clean_registries": "cleaning",
    b"scheduler": "scheduler",
    b"scheduler-lock": "scheduler_lock",
    b"cron_scheduler": "cron_scheduler",
    **{name.encode(): name for name in CONTAINERS},
}
_OWN: Final = {
    **{name: f"atomiq:{name.decode()}" for row in OWN_KEYS for name in [row[0].split(":")[1].encode()]},
    b"unmet": "unmet",
    b"executions": "worker_executions",
    b"turn": "turn",
    b"bell": "bell",
}


class Names:
    """Tells kinds of keys apart under one prefix; `kind_of` is called once for every key there is."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys
        self._start = len(keys.prefix.encode())
        self._job = keys.job("").encode()[self._start :]

    def kind_of(self, key: bytes) -> tuple[str, bytes]:
        """The kind of a key and what it is of; ("other", its name) for what the doctor has nothing to say about."""
        name = key[self._start :]
        if name.startswith(self._job):
            return _job_key(name[len(self._job) :])
        first, colon, rest = name.partition(b":")
        if not colon:
            return "other", name
        if first in _SIMPLE:
            return _SIMPLE[first], rest
        if first == b"queue":
            return _queue_key(rest)
        if first == b"atomiq":
            second, _, rest = rest.partition(b":")
            return _OWN.get(second, "other"), rest
        if first == b"cron_job" and rest.endswith(b":jobs"):
            return "cron_history", rest[: -len(b":jobs")]
        return "other", name


def _job_key(rest: bytes) -> tuple[str, bytes]:
    if b":" not in rest:
        return "job", rest
    if rest.endswith(b":dependents"):
        return "dependents", rest[: -len(b":dependents")]
    if rest.startswith(b":") and rest.endswith(b":dependencies"):
        return "dependencies", rest[1 : -len(b":dependencies")]
    return "other", rest


def _queue_key(rest: bytes) -> tuple[str, bytes]:
    if rest.startswith(b"_compact:"):
        return "compact", rest
    if _FIRST_SEEN in rest:
        return "first_seen", rest
    if rest.endswith(b":intermediate"):
        return "intermediate", rest[: -len(b":intermediate")]
    return "queue", rest
