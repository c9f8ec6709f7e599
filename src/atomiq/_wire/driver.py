"""Who speaks to the server, as CLIENT LIST shows it: redis-py(atomiq_v0.1.0).

A connection of redis-py's that isn't told so looks into the metadata of its package for the version: that takes longer
than all else about making one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import redis

from atomiq._core.version import __version__

_OF_REDIS_PY: Final = getattr(redis, "DriverInfo", None)
"""None before redis-py 7.2."""
_DRIVER: Final = _OF_REDIS_PY and _OF_REDIS_PY().add_upstream_driver("atomiq", __version__)
UNNAMED: Final[Mapping[str, Any]] = {} if _DRIVER else {"lib_name": None, "lib_version": None}
"""Options for who wants to hear what a server says first. Before 7.2 its answer to our name was thrown away."""
_SAID_BY: Final = ("driver_info", "lib_name", "lib_version")


def with_driver(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of connections, with who we are, unless they say something of it."""
    if _DRIVER is None or any(name in options for name in _SAID_BY):
        return dict(options)
    return {**options, "driver_info": _DRIVER}
