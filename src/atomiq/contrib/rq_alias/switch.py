"""Putting the alias in place, and taking it away again."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, MutableMapping
from pathlib import Path
from types import ModuleType
from typing import Final

from atomiq._core.choices import CHOICES, Choices
from atomiq._core.errors import RealRQImported
from atomiq._core.log import log_under
from atomiq.contrib.rq_alias.finder import OURS, THEIRS, AliasFinder, AliasLoader, TopModule

ENV_ALIAS: Final = "ATOMIQ_RQ_ALIAS"
"""Set in the environment: `import atomiq` installs the alias."""
SHIM: Final = str(Path(__file__).parent / "path")
"""A folder for the import path with an `rq` in it that installs the alias."""

_FINDER: Final = AliasFinder()
_undo: Final[list[Callable[[], None]]] = []


def install(*, children: bool = False) -> None:
    """Make `import rq` and every `rq.*` module mean atomiq, in this process. Called again it does nothing.

    Call it before anything imports rq: first thing in `manage.py`, `wsgi.py`, a settings module. Loggers configured
    as `rq.worker` and its like count. Workers follow RQ where the defaults differ: a job that lost its worker is
    failed (ATOMIQ_ABANDONED: retry or fail), and `Worker` forks for each job (ATOMIQ_EXECUTOR: process, fork, ...).

    Args:
        children: programs that this process starts get it too, by way of their environment. Forks and spawned children
            of a worker get it anyway.

    Raises:
        RealRQImported: an ImportError; the installed rq is in use already.
    """
    if children:
        to_environment(os.environ)
    if installed():
        return
    importlib.import_module(OURS)
    _refuse_real_rq()
    sys.meta_path.insert(0, _FINDER)
    for name in _their_modules():
        del sys.modules[name]  # what a child process has imported first: path/rq.py
    top = _FINDER.find_spec(THEIRS, None)
    assert top is not None
    sys.modules[THEIRS] = TopModule(top)
    if SHIM not in sys.path:
        sys.path.insert(1 if sys.path else 0, SHIM)  # behind the program's own folder, before all that is installed
    before = Choices(CHOICES.abandoned, CHOICES.executor, CHOICES.missed)
    CHOICES.abandoned = os.environ.get("ATOMIQ_ABANDONED") or "fail"
    CHOICES.executor = os.environ.get("ATOMIQ_EXECUTOR") or "fork"
    CHOICES.missed = "skip"
    _undo.extend((log_under(THEIRS), lambda: _choose(before)))


def uninstall() -> None:
    """Take the alias away, for tests. Whoever has imported something from rq keeps what they got."""
    if not installed():
        return
    sys.meta_path.remove(_FINDER)
    for name in _their_modules():
        del sys.modules[name]
    sys.path[:] = [entry for entry in sys.path if entry != SHIM]
    while _undo:
        _undo.pop()()


def installed() -> bool:
    """Whether `import rq` means atomiq in this process."""
    return _FINDER in sys.meta_path


def to_environment(environment: MutableMapping[str, str]) -> None:
    """Have Python programs that are started with this environment import atomiq for rq."""
    environment[ENV_ALIAS] = "1"
    path = [entry for entry in environment.get("PYTHONPATH", "").split(os.pathsep) if entry and entry != SHIM]
    environment["PYTHONPATH"] = os.pathsep.join([SHIM, *path])


def _choose(choices: Choices) -> None:
    CHOICES.abandoned, CHOICES.executor, CHOICES.missed = choices.abandoned, choices.executor, choices.missed


def _their_modules() -> list[str]:
    return [name for name in sys.modules if name == THEIRS or name.startswith(f"{THEIRS}.")]


def _refuse_real_rq() -> None:
    real = [name for name in _their_modules() if not _is_ours(sys.modules[name])]
    if real:
        file = getattr(sys.modules.get(THEIRS), "__file__", None) or "an unknown place"
        first = ", ".join(sorted(real)[:5])
        raise RealRQImported(
            f"rq can't become atomiq any more: the real one has been imported from {file} ({first}). "
            "Call atomiq.contrib.rq_alias.install() before anything imports rq, or start the program with "
            "`python -m atomiq.contrib.rq_alias`"
        )


def _is_ours(module: ModuleType) -> bool:
    """Whether it is the `rq` of the folder SHIM, which is being imported right now."""
    return str(Path(getattr(module, "__file__", None) or "/").parent) == SHIM


__all__ = ["ENV_ALIAS", "AliasLoader", "install", "installed", "to_environment", "uninstall"]
