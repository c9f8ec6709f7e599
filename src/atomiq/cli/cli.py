"""The commands under RQ's name of their module: `from rq.cli import cli` is how tools find them (Flask-RQ2)."""

from __future__ import annotations

from typing import Any

from atomiq._core.callref import import_attribute
from atomiq.cli.main import COMMANDS, main

__all__ = ["main"]


def __getattr__(name: str) -> Any:
    if name in COMMANDS:
        return import_attribute(f"atomiq.cli.{COMMANDS[name]}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
