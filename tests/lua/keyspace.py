"""The whole key space as a value: what is there, what changed, and what each key is by its name."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from atomiq._core.keys import Keys


class Entry(NamedTuple):
    """One key: its type, its content as plain Python data, and its time to live in seconds, rounded up (None: for
    ever)."""

    type: str
    value: Any
    ttl: int | None


Keyspace = dict[str, Entry]

_DUMP = """
local out = {}
for _, key in ipairs(redis.call('KEYS', ARGV[1] .. '*')) do
  local kind, value = redis.call('TYPE', key).ok, nil
  if kind == 'string' then value = redis.call('GET', key)
  elseif kind == 'list' then value = redis.call('LRANGE', key, 0, -1)
  elseif kind == 'set' then value = redis.call('SMEMBERS', key)
  elseif kind == 'zset' then value = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
  elseif kind == 'hash' then value = redis.call('HGETALL', key)
  elseif kind == 'stream' then value = redis.call('XRANGE', key, '-', '+') end
  out[#out + 1] = { key, kind, value, redis.call('PTTL', key) }
end
return out
"""


def _text(raw: Any) -> Any:
    return raw.decode("utf-8", "backslashreplace") if isinstance(raw, bytes) else raw


def _pairs(flat: Iterable[Any]) -> dict[str, str]:
    texts = iter([_text(part) for part in flat])
    return dict(zip(texts, texts, strict=True))


def _value(kind: str, raw: Any) -> Any:
    if kind == "list":
        return [_text(item) for item in raw]
    if kind == "set":
        return frozenset(_text(item) for item in raw)
    if kind == "zset":
        return {member: float(score) for member, score in _pairs(raw).items()}
    if kind == "hash":
        return _pairs(raw)
    if kind == "stream":
        return [_pairs(fields) for _, fields in raw]
    return _text(raw)


def dump(connection: Any, prefix: str = "rq:") -> Keyspace:
    """Every key under the prefix, at one instant. Ids of stream entries are left out: they are the server's clock."""
    rows = connection.execute_command("EVAL", _DUMP, 0, prefix)
    space = {}
    for raw_key, raw_kind, raw, ttl in rows:
        kind = _text(raw_kind)
        space[_text(raw_key)] = Entry(kind, _value(kind, raw), None if ttl < 0 else math.ceil(ttl / 1000))
    return space


def difference(before: Keyspace, after: Keyspace) -> dict[str, Any]:
    """What changed, by key: an Entry for a new key, None for one that is gone, and for the rest only what is different.

    Of a hash or sorted set: the changed fields or members (None: gone); of a set: `+member`, `-member`; of a list,
    string or stream: the new content. A changed time to live is under `ttl:<key>`; that real time has gone on by a
    second is no change.
    """
    changes: dict[str, Any] = {}
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key), after.get(key)
        if old is None or new is None:
            changes[key] = new
            continue
        if old.ttl != new.ttl and (old.ttl is None or new.ttl is None or abs(old.ttl - new.ttl) > 1):
            changes[f"ttl:{key}"] = new.ttl
        if old.value != new.value:
            changes[key] = _change(old, new)
    return changes


def _change(old: Entry, new: Entry) -> Any:
    if new.type in ("hash", "zset") and old.type == new.type:
        names = old.value.keys() | new.value.keys()
        return {name: new.value.get(name) for name in sorted(names) if old.value.get(name) != new.value.get(name)}
    if new.type == "set" and old.type == "set":
        return {f"+{m}" for m in new.value - old.value} | {f"-{m}" for m in old.value - new.value}
    return new.value


_PARAMETERS = {"job_id": "[A-Za-z0-9_-]+", "execution_id": "[A-Za-z0-9_-]+"}


def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    rows = []
    for name, method in inspect.getmembers(Keys, inspect.isfunction):
        if name.startswith("_") or name == "pubsub":
            continue
        parameters = list(inspect.signature(method).parameters)[1:]
        template = method(Keys(""), *(f"\0{parameter}\0" for parameter in parameters))
        pieces = [
            f"(?P<{piece}>{_PARAMETERS.get(piece, '.*')})" if piece in parameters else re.escape(piece)
            for piece in template.split("\0")
        ]
        rows.append((name, re.compile("".join(pieces), re.DOTALL)))
    # A queue named x:intermediate looks like the intermediate list of x; so does RQ. The longer fixed text wins.
    return sorted(rows, key=lambda row: -len(row[1].pattern))


_PATTERNS = _patterns()


def kind_of(key: str, prefix: str = "rq:") -> tuple[str, dict[str, str]] | None:
    """Which method of Keys names this key, with which arguments; None if none does."""
    if not key.startswith(prefix):
        return None
    for name, pattern in _PATTERNS:
        match = pattern.fullmatch(key, len(prefix))
        if match:
            return name, match.groupdict()
    return None
