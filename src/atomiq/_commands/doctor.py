"""What the doctor asks and does. Asking changes nothing; each repair looks again before it writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from atomiq._commands.base import Argument, Command, call, plain, text, word
from atomiq._core.keys import Keys


class Place(NamedTuple):
    """A container of a queue in which an id stands; `execution` only of the container `wip`."""

    container: str
    queue: str
    execution: str = ""

    def __str__(self) -> str:
        return f"{self.container}:{self.queue}"


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a job, in a word, and where."""

    word: str
    place: Place | None
    detail: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A job at one instant. `witness` tells this stay of it in its place from any other."""

    job_id: str
    status: str
    origin: str
    witness: str
    faults: tuple[Fault, ...]


@dataclass(slots=True)
class Suspect:
    """A job to be looked at, and where it was seen besides the containers of its own queue.

    `read`: queues whose lists were read whole, and whether it was in them.
    """

    job_id: str
    places: set[Place] = field(default_factory=set)
    read: dict[str, bool] = field(default_factory=dict)

    def hints(self) -> list[Argument]:
        """As the scripts take them."""
        flat: list[Argument] = [part for place in sorted(self.places) for part in place]
        for queue, there in sorted(self.read.items()):
            flat += ["seen" if there else "unseen", queue, ""]
        return flat


@dataclass(frozen=True, slots=True)
class Patience:
    """From when on something is wrong.

    `reach`: how many entries of a list are searched, from each end; `overdue_ms`: how long a lease may be over before
    somebody should have seen it, `overdue_rq_ms` the same for executions of RQ's.
    """

    reach: int
    overdue_ms: int
    overdue_rq_ms: int


class ListSlice(NamedTuple):
    """A slice of a list, head first; `odd`: which of its ids have to be looked at; `length` of the whole list."""

    ids: list[bytes]
    odd: list[int]
    length: int


class RegistryPage(NamedTuple):
    """`size` members were looked at; `outlived` of them wait for upkeep; `odd`: (id, execution)."""

    cursor: str
    size: int
    outlived: int
    odd: list[tuple[str, str]]


def _decode_slice(reply: Any) -> ListSlice:
    word(reply[0], "examine_list", "ok")
    return ListSlice(list(reply[1]), [int(index) for index in reply[2]], int(reply[3]))


def examine_list(keys: Keys, *, queue: str, first: int, last: int, now_ms: int = 0) -> Command[ListSlice]:
    """A slice of a queue by Redis' indexes."""
    args = (queue, first, last)
    return call("examine_list", keys, (keys.queue(queue),), args, _decode_slice, now_ms=now_ms)


def _decode_page(reply: Any) -> RegistryPage:
    word(reply[0], "examine_registry", "ok")
    odd = [text(part) for part in reply[4]]
    return RegistryPage(text(reply[1]), int(reply[2]), int(reply[3]), list(zip(odd[::2], odd[1::2], strict=True)))


def examine_registry(
    keys: Keys, *, container: str, queue: str, cursor: str, limit: int, now_ms: int = 0
) -> Command[RegistryPage]:
    """A page of the container of a queue, from `cursor` on ("0" at first and when it is done)."""
    args = (container, queue, cursor, limit)
    return call("examine_registry", keys, (keys.queues(),), args, _decode_page, now_ms=now_ms)


def _decode_letters(reply: Any) -> tuple[str, dict[str, int]]:
    word(reply[0], "examine_jobs", "ok")
    counts = iter(reply[2])
    return text(reply[1]), {text(status): int(count) for status, count in zip(counts, counts, strict=True)}


def examine_jobs(keys: Keys, *, job_ids: Sequence[str | bytes], now_ms: int = 0) -> Command[tuple[str, dict[str, int]]]:
    """A letter for each: `.` well, `q` said to be queued, `?` to be looked at, `-` gone; and how many are what."""
    return call("examine_jobs", keys, (keys.queues(),), tuple(job_ids), _decode_letters, now_ms=now_ms)


def _decode_diagnosis(row: Any) -> Diagnosis:
    job_id, status, origin, witness, *rest = (text(part) for part in row)
    faults = []
    for at in range(0, len(rest), 5):
        said, container, queue, execution, detail = rest[at : at + 5]
        faults.append(Fault(said, Place(container, queue, execution) if container else None, detail))
    return Diagnosis(job_id, status, origin, witness, tuple(faults))


def _decode_diagnoses(reply: Any) -> list[Diagnosis]:
    word(reply[0], "examine_job", "ok")
    return [_decode_diagnosis(row) for row in reply[1:]]


def examine_job(
    keys: Keys, *, suspects: Sequence[Suspect], patience: Patience, now_ms: int = 0
) -> Command[list[Diagnosis]]:
    """Each suspect as it is, all at one instant."""
    args: list[Argument] = [patience.reach, patience.overdue_ms, patience.overdue_rq_ms]
    for suspect in suspects:
        hints = suspect.hints()
        args += [suspect.job_id, len(hints) // 3, *hints]
    return call("examine_job", keys, (keys.queues(),), args, _decode_diagnoses, now_ms=now_ms)


def _decode_repaired(reply: Any) -> tuple[str, list[str]]:
    return word(reply[0], "repair_job", "ok", "healed", "changed"), [text(part) for part in reply[1:]]


def repair_job(
    keys: Keys,
    *,
    suspect: Suspect,
    witness: str,
    faults: Sequence[str],
    patience: Patience,
    exc_string: bytes | str = "",
    now_ms: int = 0,
) -> Command[tuple[str, list[str]]]:
    """Mend those of the named faults that the job still has.

    Says ok and what was mended, healed (none of them is there any more) or changed (it moved since `witness`).
    `exc_string`: what is recorded of a job that can't be but failed; packed as result streams hold it.
    """
    named = f" {' '.join(faults)} "
    args = (
        *(suspect.job_id, witness, patience.reach, patience.overdue_ms, patience.overdue_rq_ms),
        *(named, exc_string, *suspect.hints()),
    )
    declared = (keys.job(suspect.job_id), keys.queues())
    return call("repair_job", keys, declared, args, _decode_repaired, now_ms=now_ms)


def _decode_things(reply: Any) -> dict[int, str]:
    word(reply[0], "examine_things", "ok")
    return {int(reply[at]): text(reply[at + 1]) for at in range(1, len(reply), 2)}


def examine_things(keys: Keys, *, kind: str, names: Sequence[str | bytes], now_ms: int = 0) -> Command[dict[int, str]]:
    """Index in `names` -> what is wrong, for what is not well."""
    return call("examine_things", keys, (keys.queues(),), (kind, *names), _decode_things, now_ms=now_ms)


def _decode_mended(reply: Any) -> str:
    return word(reply, "repair_thing", "ok", "healed", "more")


def repair_thing(
    keys: Keys, *, kind: str, name: str, fault: str, places: Sequence[str] = (), now_ms: int = 0
) -> Command[str]:
    """Mend one thing, if `fault` is still what is wrong with it. `more`: call again for the rest."""
    args = (kind, name, fault, *places)
    return call("repair_thing", keys, (keys.queues(),), args, _decode_mended, now_ms=now_ms)


def _decode_scan(reply: Any) -> tuple[str, list[bytes]]:
    return text(reply[0]), list(reply[1])


def scan_keys(keys: Keys, *, cursor: str, count: int, of_type: str = "") -> Command[tuple[str, list[bytes]]]:
    """A slice of all keys under the prefix, or of those of one type."""
    pattern = "".join(f"\\{sign}" if sign in "*?[]\\" else sign for sign in keys.prefix)
    only = ("TYPE", of_type) if of_type else ()
    return plain("SCAN", (cursor, "MATCH", f"{pattern}*", "COUNT", count, *only), _decode_scan)


def scan_set(*, key: str, cursor: str, count: int = 500) -> Command[tuple[str, list[bytes]]]:
    """A slice of a set."""
    return plain("SSCAN", (key, cursor, "COUNT", count), _decode_scan)


def scan_names(*, key: str, cursor: str, count: int = 500) -> Command[tuple[str, list[bytes]]]:
    """A slice of a sorted set's members."""

    def decode(reply: Any) -> tuple[str, list[bytes]]:
        found = list(reply[1])
        if found and isinstance(found[0], tuple | list):
            return text(reply[0]), [pair[0] for pair in found]
        return text(reply[0]), found[::2]

    return plain("ZSCAN", (key, cursor, "COUNT", count), decode)


def type_of(key: str) -> Command[str]:
    """The type of a key, `none` if there is no such key."""
    return plain("TYPE", (key,), text)


def list_slice(*, key: str, first: int, last: int) -> Command[list[bytes]]:
    """A slice of a list, ids as the server has them."""
    return plain("LRANGE", (key, first, last), list)


def _decode_size(reply: Any) -> int:
    return 0 if reply is None else int(reply)


def memory_of(key: str | bytes) -> Command[int]:
    """Bytes that a key takes, estimated from five of its entries."""
    return plain("MEMORY", ("USAGE", key, "SAMPLES", 5), _decode_size)
