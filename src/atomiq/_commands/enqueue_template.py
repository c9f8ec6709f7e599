"""The enqueue of one plain job, made at once as the bytes that go over the wire.

That is what most calls of `Queue.enqueue` are. Of its 16 words six differ from one call to the next; making and packing
a command of them takes several times as long.
"""

from __future__ import annotations

from functools import lru_cache, partial
from time import time

from atomiq._commands.base import Command
from atomiq._commands.enqueue import Enqueued, decode_enqueued, enqueue, plain_words
from atomiq._core.keys import Keys
from atomiq._core.record import NewJob
from atomiq._core.timestamp import text_of_second
from atomiq._lua import script


def enqueue_one(keys: Keys, new: NewJob, unique: bool, group: str | None, ready: bool) -> Command[list[Enqueued]]:
    """`enqueue` of this job alone, made by the template if it fits in. `ready`: whoever sends it takes bytes."""
    command = plain_enqueue(keys, new) if ready and group is None and not unique else None
    return enqueue(keys, jobs=(new,), unique=unique, group=group) if command is None else command


def plain_enqueue(keys: Keys, new: NewJob) -> Command[list[Enqueued]] | None:
    """`enqueue` of this job alone; None for one that doesn't fit into the template."""
    words, parts = plain_words(new), _parts(keys.prefix, new.queue)
    if words is None or parts is None:
        return None
    _, _, job_id, created_at, data, description, timeout = words
    if (
        type(created_at) is not str
        or type(data) is not bytes
        or type(description) is not str
        or type(timeout) is not int
    ):
        return None
    before, between = parts
    seconds = str(timeout)
    begin = (
        f"{before}{_known(int(time()))}{between}${len(job_id)}\r\n{job_id}\r\n"
        f"${len(created_at)}\r\n{created_at}\r\n${len(data)}\r\n"
    )
    end = f"\r\n${len(description)}\r\n{description}\r\n${len(seconds)}\r\n{seconds}\r\n"
    try:
        ready = b"%b%b%b" % (begin.encode("ascii"), data, end.encode("ascii"))
    except UnicodeEncodeError:  # the lengths are of characters
        return None
    return Command("enqueue", script("enqueue"), (), (), partial(decode_enqueued, (job_id,)), ready=ready)


@lru_cache(256)
def _parts(prefix: str, queue: str) -> tuple[str, str] | None:
    """What comes before the second that it is, and between that and the id."""
    keys = Keys(prefix)
    if not (prefix.isascii() and queue.isascii()):
        return None
    before = _items("EVALSHA", script("enqueue").sha, "1", keys.queues(), prefix, "0")
    return f"*16\r\n{before}", _items("0", "plain", queue)


@lru_cache(16)
def _known(second: int) -> str:
    return _items(str(second), text_of_second(second))


def _items(*texts: str) -> str:
    return "".join(f"${len(text)}\r\n{text}\r\n" for text in texts)
