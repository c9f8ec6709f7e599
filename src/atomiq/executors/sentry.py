"""Sentry, where the application has loaded it: what a job tells it of itself is not said of the next one."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

_MODULES: Final = sys.modules
_NOTHING: Final = nullcontext()


def own_scope() -> AbstractContextManager[Any]:
    """For the time of a job in a process that runs others: the user, tags and breadcrumbs that it sets end with it."""
    make = getattr(_MODULES.get("sentry_sdk"), "isolation_scope", None)
    if make is None:
        return _NOTHING
    scope: AbstractContextManager[Any] = make()
    return scope
