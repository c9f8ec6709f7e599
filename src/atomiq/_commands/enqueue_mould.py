"""The enqueue of one plain job, made at once as the bytes that go over the wire.

That is what most calls of `Queue.enqueue` are. Of its 27 words six differ from one call to the next; making and packing
a command of them takes three times as long.
"""

from __future__ import annotations

from functools import lru_cache, partial
from time import time
from typing import Final

from atomiq._commands.base import Command
from atomiq._commands.enqueue import Enqueued, decode_enqueued
from atomiq._core.keys import Keys
from atomiq._core.record import NewJob
from atomiq._core.timestamp import text_of_second
from atomiq._lua import script

_FIELDS: Final = ("created_at", "data", "last_heartbeat", "origin", "description", "timeout")
"""Of a plain job, in the order of `write_plain`."""


def plain_enqueue(keys: Keys, new: NewJob) -> Command[list[Enqueued]] | None:
    """`enqueue` of this job alone; None for one that doesn't fit into the mould."""
    if new.call or new.at_front or new.due_ms or new.ttl or new.after or new.depends_on or new.allow_failure:
        return None
    fields = new.fields
    parts = _parts(keys.prefix, new.queue)
    if parts is None or tuple(fields) != _FIELDS:
        return None
    created_at, data, heartbeat, origin, description, timeout = fields.values()
    if (
        type(created_at) is not str
        or type(data) is not bytes
        or heartbeat != ""
        or origin != new.queue
        or type(description) is not str
        or type(timeout) is not int
        or not (created_at.isascii() and description.isascii() and new.id.isascii())
    ):
        return None
    before, between, behind = parts
    seconds = str(timeout)
    begin = (
        f"{before}{_known(int(time()))}{between}${len(new.id)}\r\n{new.id}\r\n"
        f"$10\r\ncreated_at\r\n${len(created_at)}\r\n{created_at}\r\n$4\r\ndata\r\n${len(data)}\r\n"
    )
    end = f"{behind}${len(description)}\r\n{description}\r\n$7\r\ntimeout\r\n${len(seconds)}\r\n{seconds}\r\n"
    ready = b"%b%b%b" % (begin.encode(), data, end.encode())
    return Command("enqueue", script("enqueue"), (), (), partial(decode_enqueued, (new.id,)), ready=ready)


@lru_cache(256)
def _parts(prefix: str, queue: str) -> tuple[str, str, str] | None:
    """What comes before the second, between it and the id, and between the data and the description."""
    keys = Keys(prefix)
    if not (prefix.isascii() and queue.isascii()):
        return None
    before = _items("EVALSHA", script("enqueue").sha, "1", keys.queues(), prefix, "0")
    between = _items("0", "1", queue, "", "0", str(len(_FIELDS)))
    return f"*27\r\n{before}", between, "\r\n" + _items("last_heartbeat", "", "origin", queue, "description")


@lru_cache(16)
def _known(second: int) -> str:
    return _items(str(second), text_of_second(second))


def _items(*texts: str) -> str:
    return "".join(f"${len(text)}\r\n{text}\r\n" for text in texts)
