"""What a station holds, in memory that it shares with its supervisor: told without a message, readable after a SIGKILL.

A station numbers the jobs it asks for. Its execution ids are made from these numbers, so both sides can name a job that
was asked for before anybody knows which job it is. Of these numbers

    ... started | asked for, not started ... asked

the station raises `asked` before it sends a claim, and `started` as it starts (or gives up) a job. The supervisor may
`cut`: everything asked for and not started by then is its own to give back, and the station starts none of it any more.
Starting and cutting exclude each other by a lock that the kernel frees when its owner dies, so a job is never both.
"""

from __future__ import annotations

import contextlib
import marshal
import mmap
import os
from collections.abc import Iterable, Iterator
from fcntl import LOCK_EX, LOCK_UN, lockf
from typing import Final, NamedTuple

from atomiq.executors.nameless import nameless_file

HEAD: Final = 4096
SLOT: Final = 4096
WORD: Final = 8
# In a slot, from its start, a word each: version (odd while it is written), state and length, since, limit, the number
# of its job, what is wished, of which number it is wished.
_SHAPE, _SINCE_THEN, _LIMIT, _TAKEN, _WISH, _WISHED = range(1, 7)
_STATE_BITS: Final = 8
_ENTRY: Final = 8 * WORD
"""Where the entry is, in bytes."""
_LONGEST_ENTRY: Final = SLOT - _ENTRY
_NO_LIMIT: Final = -1.0
_OWN, _GUEST = 1, 2
"""States of a slot that isn't empty: a job of the station's own, or one that was handed to it."""
_LOOKS: Final = 100
"""So often an entry is read that is changed meanwhile."""

# The head's words of 64 bits: who writes them is said at the properties.
_ASKED, _STARTED, _CUT, _READ, _DONE, _LOST, _MAIL = range(7)
_SINCE, _STATE, _WATCHED, _DRAIN, _ANSWERED, _HOLD, _RESERVED = range(7, 14)
UNCOUNTED: Final = 14
"""From this word on the head has what `Uncounted` keeps."""

STARTING, IDLE, BUSY, RESTING, AWAY = range(5)
"""What a station is doing: coming up, waiting for work, working, resting because all work is suspended, cut off from
the server."""

NOTHING, STOP, SHUT_DOWN = range(3)
"""What the supervisor wishes of a running job."""


class TooLong(ValueError):
    """The names of a job and its queue have no room in a slot."""


class Running(NamedTuple):
    """A job that a station runs. `since`: monotonic seconds; `limit`: seconds for what it does now, None without;
    `stopped_callback`: seconds for that callback, None if there is none."""

    number: int
    since: float
    queue: str
    job_id: str
    execution_id: str
    limit: float | None
    stopped_callback: float | None
    claimed_ms: int
    claimed_at: float


class Ledger:
    """The page of one station. Made by the supervisor; the station uses the same object, or another of the same
    file."""

    def __init__(self, slots: int, file: int | None = None) -> None:
        """`file`: descriptor of an existing page, for a process that didn't inherit the memory."""
        self.slots = slots
        size = HEAD + slots * SLOT
        self.file = nameless_file("ledger", size) if file is None else file
        self._memory = mmap.mmap(self.file, size)
        # One word is read and written at once, and quickly. (struct would write zeros first.)
        self._words = memoryview(self._memory).cast("Q")
        self._reals = memoryview(self._memory).cast("d")
        self._first_word: Final = [(HEAD + slot * SLOT) // WORD for slot in range(slots)]

    def clear(self) -> None:
        """For the next station. Nobody else uses the page."""
        self._memory[:] = bytes(len(self._memory))

    def close(self) -> None:
        self._words.release()
        self._reals.release()
        self._memory.close()
        os.close(self.file)

    @property
    def words(self) -> memoryview:
        """All of it, for whoever keeps words of his own here."""
        return self._words

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """The other side waits meanwhile, if it wants this too; a death ends it."""
        lockf(self.file, LOCK_EX)
        try:
            yield
        finally:
            lockf(self.file, LOCK_UN)

    # --- numbers

    @property
    def asked(self) -> int:
        return self._words[_ASKED]

    @property
    def started(self) -> int:
        return self._words[_STARTED]

    @property
    def cut(self) -> int:
        return self._words[_CUT]

    @property
    def read(self) -> int:
        """Up to here the station has heard what became of its claims."""
        return self._words[_READ]

    @property
    def done(self) -> int:
        """Jobs that the station has settled."""
        return self._words[_DONE]

    @property
    def lost(self) -> int:
        """Settlements that came too late."""
        return self._words[_LOST]

    @property
    def state(self) -> int:
        return self._words[_STATE]

    @property
    def state_since(self) -> float:
        """Monotonic seconds."""
        return self._reals[_SINCE]

    @property
    def answered(self) -> float:
        """Monotonic seconds: when the server last answered the station, or had nothing to answer; 0 before the first
        time."""
        return self._reals[_ANSWERED]

    @property
    def reserved(self) -> int:
        """Of max_jobs: for how many jobs the station has taken leave to run them, and has not started them."""
        return self._words[_RESERVED]

    @property
    def mail(self) -> int:
        """How many messages the supervisor has sent to the station."""
        return self._words[_MAIL]

    @property
    def watched(self) -> bool:
        """The supervisor looks at this page often."""
        return bool(self._words[_WATCHED])

    @property
    def draining(self) -> bool:
        """The station is to end as soon as nothing runs."""
        return bool(self._words[_DRAIN])

    @property
    def on_hold(self) -> bool:
        """The station is not to claim: what it has handed over is waiting still."""
        return bool(self._words[_HOLD])

    @property
    def silenced(self) -> bool:
        """The station is not to claim, for now or for good."""
        words = self._words
        return bool(words[_DRAIN] or words[_HOLD])

    # --- the station's side

    def ask(self, count: int) -> range:
        """The next `count` numbers."""
        first = self._words[_ASKED] + 1
        self._words[_ASKED] = first + count - 1
        return range(first, first + count)

    def reserve(self, count: int) -> None:
        """So many more; fewer, if below 0."""
        self._words[_RESERVED] = max(0, self._words[_RESERVED] + count)

    def heard(self, number: int) -> None:
        self._words[_READ] = number

    def heard_more(self, count: int) -> None:
        self._words[_READ] += count

    def skip(self, number: int) -> None:
        """Nothing will be started under this number (there was no job, or it was given back)."""
        with self.locked():
            if number > self._words[_STARTED]:
                self._words[_STARTED] = number

    def start(self, slot: int, entry: Running) -> bool:
        """Start a job; False if the supervisor has taken it back. Raises TooLong: the number counts as started."""
        try:
            body = _body(entry)
        except TooLong:
            self.skip(entry.number)
            raise
        at, number, words, file = self._first_word[slot], entry.number, self._words, self.file
        lockf(file, LOCK_EX)
        try:
            if number <= words[_CUT]:
                return False
            words[at + _TAKEN] = number  # first: until it counts as started, the entry isn't read
            words[at + _WISH] = NOTHING
            self._write_body(slot, body)
            self._write_head(at, entry, len(body) << _STATE_BITS | _OWN)
            if number > words[_STARTED]:
                words[_STARTED] = number
        finally:
            lockf(file, LOCK_UN)
        return True

    def host(self, slot: int, entry: Running) -> None:
        """Start a job that another station has claimed: its number is none of ours. Raises TooLong."""
        body = _body(entry)
        at = self._first_word[slot]
        self._words[at + _TAKEN] = entry.number
        self._words[at + _WISH] = NOTHING
        self._write_body(slot, body)
        self._write_head(at, entry, len(body) << _STATE_BITS | _GUEST)

    def limit(self, slot: int, entry: Running) -> None:
        """The job does something else now, with another limit and from another time on."""
        at = self._first_word[slot]
        self._write_head(at, entry, self._words[at + _SHAPE])

    def _write_body(self, slot: int, body: bytes) -> None:
        at = HEAD + slot * SLOT + _ENTRY
        self._memory[at : at + len(body)] = body

    def _write_head(self, at: int, entry: Running, shape: int) -> None:
        """In this order: whoever reads in the middle of it, since we were held up or killed there, must not find a job
        that has overrun its limit."""
        words, reals = self._words, self._reals
        odd = words[at] | 1
        words[at] = odd
        reals[at + _SINCE_THEN] = entry.since
        reals[at + _LIMIT] = _NO_LIMIT if entry.limit is None else entry.limit
        words[at + _SHAPE] = shape  # the slot of a job that starts is empty until now
        words[at] = odd + 1

    def end(self, slot: int) -> None:
        """The job has ended, and its settlement is on its way."""
        self._words[self._first_word[slot] + _SHAPE] = 0

    def wish(self, slot: int) -> int:
        """What the supervisor wishes of the job in this slot; nothing, if it was meant for an earlier one."""
        at, words = self._first_word[slot], self._words
        return words[at + _WISH] if words[at + _WISHED] == words[at + _TAKEN] else NOTHING

    def settled(self, lost: bool = False) -> None:
        self._words[_DONE] += 1
        if lost:
            self._words[_LOST] += 1

    def hear(self, now: float) -> None:
        """The server has answered, or was asked for nothing."""
        self._reals[_ANSWERED] = now

    def be(self, state: int, now: float) -> None:
        self._reals[_SINCE] = now
        self._words[_STATE] = state

    # --- the supervisor's side

    def running(self) -> list[tuple[int, Running]]:
        """What runs, with its slot. A job that is just being entered counts as not started."""
        entries = ((slot, self.entry(slot)) for slot in range(self.slots))
        return [(slot, entry) for slot, entry in entries if entry is not None]

    def entry(self, slot: int) -> Running | None:
        """What runs in a slot."""
        at, words, reals = self._first_word[slot], self._words, self._reals
        text_at = HEAD + slot * SLOT + _ENTRY
        for _ in range(_LOOKS):
            number, version, shape = words[at + _TAKEN], words[at], words[at + _SHAPE]
            limit, since = reals[at + _LIMIT], reals[at + _SINCE_THEN]
            state, length = shape % (1 << _STATE_BITS), shape >> _STATE_BITS
            if not state or (state == _OWN and number > words[_STARTED]):
                return None
            body = self._memory[text_at : text_at + length]
            if words[at] == version and not version & 1:
                break
        # A version that stays odd: the station died, or stands still, in the middle of telling a limit; all is usable.
        if words[at + _TAKEN] != number:
            return None
        queue, job_id, execution, *rest = marshal.loads(body)  # noqa: S302  written by our own station
        return Running(number, since, queue, job_id, execution, None if limit == _NO_LIMIT else limit, *rest)

    def take_back(self) -> range:
        """Cut: the numbers that are asked for and will not be started any more."""
        with self.locked():
            first, last = max(self._words[_STARTED], self._words[_CUT]) + 1, self._words[_ASKED]
            if last >= first:
                self._words[_CUT] = last
        return range(first, last + 1)

    def want(self, slot: int, wish: int, number: int = 0) -> None:
        """Wish something of the job with this number, as long as it is in this slot."""
        at = self._first_word[slot]
        self._words[at + _WISHED] = number
        self._words[at + _WISH] = wish

    def mailed(self) -> None:
        self._words[_MAIL] += 1

    def watch(self, watched: bool) -> None:
        self._words[_WATCHED] = int(watched)

    def hold(self, hold: bool) -> None:
        self._words[_HOLD] = int(hold)

    def drain(self) -> None:
        self._words[_DRAIN] = 1


def _body(entry: Running) -> bytes:
    body = marshal.dumps((*entry[2:5], *entry[6:]))
    if len(body) > _LONGEST_ENTRY:
        lengths = f"job ({len(entry.job_id)} characters) and its queue ({len(entry.queue)})"
        raise TooLong(f"the names of the {lengths} are too long for a warm child")
    return body


def can_be_noted(entry: Running) -> bool:
    """Whether there is room for it in a slot."""
    try:
        return bool(_body(entry))
    except TooLong:
        return False


def execution_id(token: str, number: int) -> str:
    """The execution id of a number. `token`: 16 hexadecimal digits that no other station has."""
    return execution_ids(token, (number,))[0]


def execution_ids(token: str, numbers: Iterable[int]) -> list[str]:
    """Those of several numbers."""
    return [f"{token}{number:016x}" for number in numbers]


def number_of(execution: str) -> int:
    """The number in an execution id of this making."""
    return int(execution[16:], 16)
