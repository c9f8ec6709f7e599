"""Names of the loggers. A part of atomiq logs under `atomiq.<part>`; atomiq never configures the root logger.

Under the alias (`contrib.rq_alias`) the same loggers are called `rq.<part>`, for users who have configured these.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

ROOT: Final = "atomiq"


@dataclass(slots=True)
class _Names:
    root: str = ROOT


_names: Final = _Names()


def get_logger(part: str) -> logging.Logger:
    """Logger of one part: worker, job, queue, registry, scheduler, cron, wire, cli."""
    return logging.getLogger(f"{_names.root}.{part}")


def logger_named(name: str) -> logging.Logger:
    """The logger of any name; if it is one of atomiq's, the one that its parts log to."""
    return logging.getLogger(_names.root + name.removeprefix(ROOT) if _below(name, ROOT) else name)


def log_under(root: str) -> Callable[[], None]:
    """Have all parts log under another name from now on, those too that hold their logger already.

    What was configured for the new names counts. Says a function that undoes it.
    """
    before, _names.root = _names.root, root
    table = logging.Logger.manager.loggerDict
    undo: list[Callable[[], None]] = []
    for name in [name for name in table if _below(name, before)]:
        ours = table.pop(name)
        if isinstance(ours, logging.Logger):
            undo.append(_become(ours, root + name.removeprefix(before)))

    def back() -> None:
        _names.root = before
        for each in undo:
            each()

    return back


def _become(ours: logging.Logger, name: str) -> Callable[[], None]:
    """Make `ours` the logger of this name. One that is there already stays in use by those who hold it: the two share
    all they have. Handlers and level of ours go along where there are no others."""
    table = logging.Logger.manager.loggerDict
    theirs, old_name, own_state = logging.getLogger(name), ours.name, ours.__dict__
    level, handlers = theirs.level, theirs.handlers
    theirs.setLevel(level or ours.level)
    theirs.handlers = handlers or list(ours.handlers)
    ours.__dict__ = theirs.__dict__
    table[name] = ours

    def back() -> None:
        theirs.setLevel(level)
        theirs.handlers = handlers
        ours.__dict__ = own_state
        table[name], table[old_name] = theirs, ours

    return back


def _below(name: str, root: str) -> bool:
    return name == root or name.startswith(f"{root}.")
