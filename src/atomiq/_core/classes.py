"""Public classes by name, so that a lower noun can build a higher one without importing it.

Filled by `atomiq/__init__` (and `atomiq/aio/__init__` for its twins); `job.started_job_registry` and
`registry.get_queue()` look upward through it.
"""

from __future__ import annotations

from typing import Any

_classes: dict[str, type[Any]] = {}


def register(*classes: type[Any], **named: type[Any]) -> None:
    """Make classes known under their own names, or under those given; twins for asyncio are called `aio.<name>`."""
    for each in classes:
        _classes[each.__name__] = each
    _classes.update(named)


def lookup(name: str) -> type[Any]:
    """The class of this name.

    Raises:
        LookupError: `import atomiq` has not registered it.
    """
    try:
        return _classes[name]
    except KeyError:
        raise LookupError(f"no class {name!r} is registered; import atomiq first") from None
