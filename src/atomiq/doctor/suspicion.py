"""The second and third look. A suspect is looked at again with all that it touches, at one instant; what is still wrong
then, and wrong in the same way after a while, is a finding: RQ's workers take a job first and say so a moment later."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final, TypeVar

from atomiq._commands.base import as_bytes, text
from atomiq._commands.doctor import (
    Diagnosis,
    Fault,
    ListSlice,
    Patience,
    Place,
    Suspect,
    examine_job,
    examine_things,
    list_slice,
)
from atomiq.doctor.lists import repeated, walk
from atomiq.doctor.pace import Asker, Pace

T = TypeVar("T")

UNSURE: Final = "unsure"
"""Said of a queued job whose list is too long to be searched for it: the list has to be read whole."""

CROWD: Final = 1_000


@dataclass(frozen=True, slots=True)
class Ill:
    """A suspect and what is wrong with it."""

    suspect: Suspect
    diagnosis: Diagnosis


class Suspicion:
    """Looks at suspects."""

    def __init__(self, asker: Asker, patience: Patience) -> None:
        self.asker = asker
        self.patience = patience
        self._jobs = Pace(5, 20)
        self._things = Pace(50, 100)
        self._lists = Pace(100, 2000)

    def jobs(self, suspects: Collection[Suspect], twice: Collection[str] = ()) -> dict[str, Ill]:
        """Those with whom something is wrong. `twice`: ids that were seen twice in a list."""
        found = self._diagnose(self._told_of_crowds(suspects))
        unsure = [ill for ill in found.values() if any(fault.word == UNSURE for fault in ill.diagnosis.faults)]
        doubtful = [ill for job_id in twice if (ill := found.get(job_id)) and _may_be_twice(ill)]
        if unsure or doubtful:
            queues = {queue for ill in unsure for queue in _lists_of(ill)} | {ill.diagnosis.origin for ill in doubtful}
            there, there_twice = self._read_lists(queues, {ill.diagnosis.job_id for ill in unsure})
            found |= self._diagnose(_with_lists(ill, there) for ill in unsure)
            for ill in doubtful:
                if ill.diagnosis.job_id in there_twice:
                    found[ill.diagnosis.job_id] = _with_twice(ill)
        for job_id, ill in list(found.items()):
            faults = tuple(fault for fault in ill.diagnosis.faults if fault.word != UNSURE)
            if faults:
                found[job_id] = Ill(ill.suspect, replace(ill.diagnosis, faults=faults))
            else:
                del found[job_id]
        return found

    def _told_of_crowds(self, suspects: Collection[Suspect]) -> Iterable[Suspect]:
        """A list with many suspects is read whole at first: most of them would have to be looked at twice."""
        listed = Counter(place.queue for suspect in suspects for place in suspect.places if place.container == "queue")
        crowded = {queue for queue, count in listed.items() if count > CROWD}
        if not crowded:
            return suspects
        there, _ = self._read_lists(crowded, {suspect.job_id for suspect in suspects})
        return (
            replace(suspect, read={queue: suspect.job_id in there[queue] for queue in crowded}) for suspect in suspects
        )

    def _diagnose(self, suspects: Iterable[Suspect]) -> dict[str, Ill]:
        found = {}
        for part in _slices(suspects, self._jobs):
            command = examine_job(self.asker.keys, suspects=part, patience=self.patience)
            said = self.asker.ask_for(len(part), command, self._jobs)
            found.update({each.job_id: Ill(one, each) for one, each in zip(part, said, strict=True)})
        return found

    def _read_lists(self, queues: Iterable[str], wanted: set[str]) -> tuple[dict[str, set[str]], set[str]]:
        """Queue -> which of the wanted stand in its list; and which ids stand there twice."""
        asker, there, twice = self.asker, {}, set[bytes]()
        looked_for = {as_bytes(job_id) for job_id in wanted}
        for queue in queues:
            key, seen = asker.keys.queue(queue), set[bytes]()

            def read(first: int, last: int, key: str = key) -> ListSlice:
                # The length is not known at the same instant: a slice that isn't full is the last one.
                ids = asker.ask(list_slice(key=key, first=first, last=last))
                self._lists.took(asker.took, len(ids))
                whole = len(ids) >= last - first + 1
                return ListSlice(ids, [], 1 << 62 if whole else len(ids))

            for part in walk(read, lambda: self._lists.size, seen.__contains__):
                if part.certain:
                    twice.update(repeated(part.fresh, seen))
                seen.update(part.fresh)
            there[queue] = {text(each) for each in looked_for & seen}
        return there, {text(each) for each in twice}

    def things(self, suspects: Mapping[str, Collection[str]]) -> dict[tuple[str, str], str]:
        """(kind, name) -> what is wrong."""
        found = {}
        for kind, names in suspects.items():
            for part in _slices(sorted(names), self._things):
                command = examine_things(self.asker.keys, kind=kind, names=part)
                wrong = self.asker.ask_for(len(part), command, self._things)
                found.update({(kind, part[index]): word for index, word in wrong.items()})
        return found


def still(before: Mapping[str, Ill], after: Mapping[str, Ill]) -> dict[str, Ill]:
    """What was wrong both times, with a job that hasn't moved between."""
    kept = {}
    for job_id, ill in after.items():
        first = before.get(job_id)
        if first is None or first.diagnosis.witness != ill.diagnosis.witness:
            continue
        known = {(fault.word, fault.place) for fault in first.diagnosis.faults}
        faults = tuple(fault for fault in ill.diagnosis.faults if (fault.word, fault.place) in known)
        if faults:
            kept[job_id] = Ill(ill.suspect, replace(ill.diagnosis, faults=faults))
    return kept


def _slices(items: Iterable[T], pace: Pace) -> Iterable[list[T]]:
    left = iter(items)
    while part := list(islice(left, pace.size)):
        yield part


def _lists_of(ill: Ill) -> set[str]:
    """The queues in whose lists it may stand."""
    seen_in = {place.queue for place in ill.suspect.places if place.container == "queue"}
    return seen_in | ({ill.diagnosis.origin} if ill.diagnosis.status == "queued" else set())


def _with_lists(ill: Ill, there: Mapping[str, Collection[str]]) -> Suspect:
    read = {queue: ill.diagnosis.job_id in there[queue] for queue in _lists_of(ill)}
    return replace(ill.suspect, read=read)


def _may_be_twice(ill: Ill) -> bool:
    return ill.diagnosis.status == "queued" and not any(fault.word == "twice" for fault in ill.diagnosis.faults)


def _with_twice(ill: Ill) -> Ill:
    faults = (*ill.diagnosis.faults, Fault("twice", Place("queue", ill.diagnosis.origin), ""))
    return Ill(ill.suspect, replace(ill.diagnosis, faults=faults))
