"""The `atomiq` command."""

from __future__ import annotations

from typing import Any, Final

from atomiq._core.callref import import_attribute
from atomiq.cli.main import COMMANDS, main

__all__ = ["main"]

RQS: Final = ("cron", "info", "worker")
"""Commands that RQ has here by name: `rqworker` is `rq.cli:worker`. No file of this folder may be called like them."""


def __getattr__(name: str) -> Any:
    if name in RQS:
        return import_attribute(f"{__name__}.{COMMANDS[name]}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
