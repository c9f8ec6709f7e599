"""Which key prefix a connection uses."""

from __future__ import annotations

import os
from typing import Any
from weakref import WeakKeyDictionary

from atomiq._core.keys import DEFAULT_PREFIX

PREFIX_VARIABLE = "ATOMIQ_PREFIX"

_prefixes: WeakKeyDictionary[Any, str] = WeakKeyDictionary()


def set_prefix(connection: Any, prefix: str) -> None:
    """Record that keys reached through this connection object start with `prefix`, for as long as it lives."""
    _prefixes[connection] = prefix


def prefix_of(connection: Any) -> str:
    """The prefix recorded for this connection object; else ATOMIQ_PREFIX of the environment; else `rq:`."""
    return _prefixes.get(connection) or os.environ.get(PREFIX_VARIABLE) or DEFAULT_PREFIX
