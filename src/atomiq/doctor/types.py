"""Keys of a type that is not theirs: every script that meets one fails, the doctor's as well."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from atomiq._commands.base import text
from atomiq._commands.doctor import scan_keys, type_of
from atomiq._core.keys import OWN_KEYS
from atomiq.doctor.findings import Finding
from atomiq.doctor.names import CONTAINERS, Names
from atomiq.doctor.pace import Asker, Pace

_ALONE: Final = {"queues": "set", "workers": "set", "groups": "set", "suspended": "string", "cron_schedulers": "zset"}
"""Keys of which there is one, by their names."""
_OF_KIND: Final = {
    **{f"atomiq:{name.split(':')[1]}": what.split()[0].replace("sorted", "zset") for name, what, *_ in OWN_KEYS},
    **dict.fromkeys(("job", "execution", "worker", "worker_executions", "scheduler", "cron_scheduler"), "hash"),
    **dict.fromkeys(("worker_set", "group", "unmet", "dependents", "dependencies"), "set"),
    **dict.fromkeys(("executions", "bell", *CONTAINERS), "zset"),
    **dict.fromkeys(("queue", "intermediate", "compact"), "list"),
    **dict.fromkeys(("cleaning", "turn", "first_seen", "scheduler_lock"), "string"),
    "results": "stream",
}
_IN_WORDS: Final = {"zset": "sorted set"}


def wrong_types(asker: Asker) -> list[Finding]:
    """All keys under the prefix whose type is not the one that their name stands for."""
    names, found = Names(asker.keys), []
    for type_there in ("string", "list", "set", "zset", "hash", "stream"):
        for key in _keys_of(asker, type_there):
            kind, name = names.kind_of(key)
            wanted = _ALONE.get(text(name)) if kind == "other" else _OF_KIND.get(kind)
            if wanted is not None and wanted != type_there:
                found.append(_finding(text(key), type_there, wanted))
    return found


def wrong_beside(asker: Asker, queues: Iterable[str], job_ids: Iterable[str]) -> list[Finding]:
    """The same of keys that no script of the doctor's reads, so that none fails at them: those that all jobs of a queue
    share, and those beside these jobs."""
    keys, of_kind = asker.keys, dict.fromkeys((asker.keys.freeing(),), "hash")
    of_kind.update({keys.bell(queue): "zset" for queue in queues})
    for job_id in job_ids:
        of_kind |= {keys.results(job_id): "stream", keys.executions(job_id): "zset"}
        of_kind |= {keys.dependents(job_id): "set", keys.dependencies(job_id): "set"}
    found = []
    for key, wanted in of_kind.items():
        there = asker.ask(type_of(key))
        if there not in ("none", wanted):
            found.append(_finding(key, there, wanted))
    return found


def _finding(key: str, there: str, wanted: str) -> Finding:
    return Finding("wrong_type", "fault", key, detail=f"{_in_words(there)} instead of a {_in_words(wanted)}")


def _keys_of(asker: Asker, redis_type: str) -> Iterator[bytes]:
    pace, cursor = Pace(100, 1000), "0"
    while True:
        command = scan_keys(asker.keys, cursor=cursor, count=pace.size, of_type=redis_type)
        cursor, keys = asker.ask_for(pace.size, command, pace)
        yield from keys
        if cursor == "0":
            return


def _in_words(redis_type: str) -> str:
    return _IN_WORDS.get(redis_type, redis_type)
