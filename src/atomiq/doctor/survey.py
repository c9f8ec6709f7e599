"""The first look at everything: once over all lists, all keys and all registries, in slices. What it finds odd are
suspects; the database moves on meanwhile, so most of them on a busy system are not."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Final

from atomiq._commands.base import Command, text
from atomiq._commands.doctor import (
    ListSlice,
    Place,
    Suspect,
    examine_jobs,
    examine_list,
    examine_registry,
    examine_things,
    list_slice,
    memory_of,
    scan_keys,
    scan_names,
    scan_set,
)
from atomiq._core.errors import ServerError
from atomiq.doctor.findings import KindCount
from atomiq.doctor.lists import repeated, walk
from atomiq.doctor.names import CONTAINERS, Names
from atomiq.doctor.pace import Asker, Pace

THINGS: Final = frozenset(
    (
        *("results", "dependents", "dependencies", "unmet", "executions", "execution", "worker_executions", "worker"),
        *("group", "cleaning", "first_seen", "compact", "turn", "scheduler", "scheduler_lock", "cron_scheduler"),
        *("cron_history", "queue", "intermediate", "worker_set", *CONTAINERS),
    )
)
"""Kinds of keys that are looked at one by one; jobs are looked at in their own way."""
WITH_MEMBERS: Final = frozenset({"dependents", "group", "worker_executions"})
"""Kinds of which members are looked at as well."""
SAMPLES: Final = 200
EACH: Final = 20
EVERY: Final = 500
"""The size of the first keys of a kind is asked for, and then of every so manieth, up to so many samples."""

Scan = Callable[[str], Command[tuple[str, list[bytes]]]]


class Survey:
    """What a first look finds."""

    def __init__(self, asker: Asker) -> None:
        self.asker = asker
        self.names = Names(asker.keys)
        self.suspects: dict[str, Suspect] = {}
        self.things: dict[str, set[str]] = defaultdict(set)
        self.statuses: Counter[str] = Counter()
        self.kinds: dict[str, KindCount] = {}
        self.twice: set[str] = set()
        self.compacting: dict[str, list[str]] = {}
        self.outlived = 0
        self.queues: list[str] = []
        self.worker_lists: dict[str, set[str]] = defaultdict(set)
        self._queued: set[bytes] = set()
        self._found: dict[str, set[str]] = defaultdict(set)
        self._waiting: dict[str, list[bytes]] = defaultdict(list)
        self._sampled: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()
        self._may_ask_sizes = True
        self._paces: dict[str, Pace] = {}

    def take(self) -> None:
        """Look at everything."""
        keys = self.asker.keys
        queues = [name[len(keys.queue("")) :] for name in self._texts(self._scan_of(keys.queues()))]
        self.queues = queues
        for queue in queues:
            self._list(queue)
        self._keyspace()
        for container in CONTAINERS:
            for queue in self._found[container]:
                self._registry(container, queue)
        for queue in self._found["intermediate"]:
            self._intermediate(queue)
        self._members()
        self._queued.clear()
        for job_id in self.twice:
            self.suspect(job_id)

    # --- lists

    def _pace(self, kind: str, size: int, largest: int) -> Pace:
        return self._paces.setdefault(kind, Pace(size, largest))

    def suspect(self, job_id: str, place: Place | None = None) -> None:
        """Look at this job more closely later."""
        suspect = self.suspects.setdefault(job_id, Suspect(job_id))
        if place is not None:
            suspect.places.add(place)

    def _list(self, queue: str) -> None:
        asker, pace, seen = self.asker, self._pace("list", 50, 500), self._queued

        def read(first: int, last: int) -> ListSlice:
            found = asker.ask(examine_list(asker.keys, queue=queue, first=first, last=last))
            pace.took(asker.took, len(found.ids))
            return found

        for part in walk(read, lambda: pace.size, seen.__contains__):
            fresh = set(part.fresh)
            if part.certain and (len(fresh) < len(part.fresh) or not seen.isdisjoint(fresh)):
                self.twice.update(text(each) for each in repeated(part.fresh, seen))
            seen |= fresh
            for each in part.odd:
                self.suspect(text(each), Place("queue", queue))
                seen.discard(each)  # its hash is to be looked at too

    # --- keys

    def _keyspace(self) -> None:
        asker, pace, cursor = self.asker, self._pace("scan", 100, 1000), "0"
        kind_of, waiting, queued, counts = self.names.kind_of, self._waiting, self._queued, Counter[str]()
        waiting_in_lists = 0
        while True:
            cursor, found = asker.ask_for(pace.size, scan_keys(asker.keys, cursor=cursor, count=pace.size), pace)
            for key in found:
                kind, name = kind_of(key)
                counts[kind] += 1
                if kind == "job":
                    if name in queued:
                        waiting_in_lists += 1
                    else:
                        waiting["job"].append(name)
                elif kind in THINGS:
                    waiting[kind].append(name)
                if counts[kind] <= EACH or counts[kind] % EVERY == 0:
                    self._sample(kind, key)
            self._flush(200)
            if cursor == "0":
                break
        self._flush(1)
        self.statuses["queued"] += waiting_in_lists
        self.kinds = {kind: self._count(kind, count) for kind, count in counts.items()}

    def _sample(self, kind: str, key: bytes) -> None:
        if not self._may_ask_sizes or self._sampled[kind] >= SAMPLES:
            return
        try:
            self._bytes[kind] += self.asker.ask(memory_of(key))
        except ServerError:  # not every user may ask, and sizes are no findings
            self._may_ask_sizes = False
            return
        self._sampled[kind] += 1

    def _count(self, kind: str, keys: int) -> KindCount:
        sampled = self._sampled[kind]
        return KindCount(keys, round(self._bytes[kind] / sampled * keys) if sampled > 0 else None)

    def _flush(self, least: int) -> None:
        """Look at those that were gathered, as far as there are enough for a slice."""
        for kind, names in self._waiting.items():
            if len(names) < least:
                continue
            pace = self._pace(kind, 50, 100 if kind in WITH_MEMBERS else 500)
            at = 0
            while len(names) - at >= min(least, pace.size):
                part = names[at : at + pace.size]
                at += len(part)
                if kind == "job":
                    self._jobs(part, pace)
                else:
                    self._things(kind, part, pace)
            del names[:at]

    def _jobs(self, ids: list[bytes], pace: Pace) -> None:
        letters, counts = self.asker.ask_for(len(ids), examine_jobs(self.asker.keys, job_ids=ids), pace)
        self.statuses.update(counts)
        if letters.strip(".-"):
            for letter, job_id in zip(letters, ids, strict=True):
                if letter not in ".-":
                    self.suspect(text(job_id))

    def _things(self, kind: str, names: list[bytes], pace: Pace) -> None:
        if kind in ("intermediate", "worker_set", *CONTAINERS):
            self._found[kind].update(text(name) for name in names)
            if kind == "worker_set":
                return
        elif kind == "compact":
            for name in names:
                self._compact(text(name))
        for index in self.asker.ask_for(len(names), examine_things(self.asker.keys, kind=kind, names=names), pace):
            self.things[kind].add(text(names[index]))

    # --- registries

    def _registry(self, container: str, queue: str) -> None:
        asker, pace, cursor = self.asker, self._pace("registry", 50, 500), "0"
        while True:
            command = examine_registry(asker.keys, container=container, queue=queue, cursor=cursor, limit=pace.size)
            page = asker.ask(command)
            pace.took(asker.took, page.size)
            self.outlived += page.outlived
            for job_id, execution in page.odd:
                self.suspect(job_id, Place(container, queue, execution))
            cursor = page.cursor
            if cursor == "0":
                return

    def _intermediate(self, queue: str) -> None:
        for job_id in self._slices(self.asker.keys.intermediate(queue)):
            self.suspect(text(job_id), Place("intermediate", queue))

    def _compact(self, name: str) -> None:
        """Ids of a list that RQ is compacting may be in no queue."""
        self.compacting[name] = self.ids_in(name)
        for job_id in self.compacting[name]:
            self.suspect(job_id)

    def ids_in(self, name: str) -> list[str]:
        """All ids of a queue's list, or of one under such a name."""
        return [text(each) for each in self._slices(self.asker.keys.queue(name))]

    def _slices(self, key: str) -> Iterator[bytes]:
        first = 0
        while part := self.asker.ask(list_slice(key=key, first=first, last=first + 499)):
            yield from part
            first += len(part)

    # --- members of sets

    def _texts(self, scan: Scan) -> Iterator[str]:
        cursor = "0"
        while True:
            cursor, found = self.asker.ask(scan(cursor))
            for each in found:
                yield text(each)
            if cursor == "0":
                return

    @staticmethod
    def _scan_of(key: str) -> Scan:
        return lambda at: scan_set(key=key, cursor=at)

    def _members(self) -> None:
        """Names in sets, of which there may be no key."""
        keys = self.asker.keys
        start = len(keys.worker(""))
        for name in self._texts(self._scan_of(keys.workers())):
            self.things["worker"].add(name[start:])
        for queue in list(self._found["worker_set"]):
            for name in self._texts(self._scan_of(keys.worker_set(queue))):
                self.things["worker"].add(name[start:])
                self.worker_lists[name[start:]].add(queue)
        self.things["group"].update(self._texts(self._scan_of(keys.groups())))
        self.things["cron_member"].update(self._texts(lambda at: scan_names(key=keys.cron_schedulers(), cursor=at)))
