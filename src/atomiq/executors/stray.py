"""A fork that a job makes and that comes back from the call. It is no second worker: it ends here, before callbacks,
hooks and time limits are touched, which are its parent's."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback

_LEFT_RAISING = 1


def end_if_stray(home: int, error: BaseException | None = None) -> None:
    """To be asked behind each call. `home`: the process that made it; `error`: what it has raised. In another one:
    leave as a program of its own would, so that whoever waits for it learns how it ended."""
    if os.getpid() == home:
        return
    code = _LEFT_RAISING
    try:
        code = _exit_code(error)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
    finally:
        os._exit(code)


def _exit_code(error: BaseException | None) -> int:
    if error is None:
        return 0
    if not isinstance(error, SystemExit):
        traceback.print_exception(error)
        return _LEFT_RAISING
    if error.code is None or isinstance(error.code, int):
        return (error.code or 0) & 0xFF
    sys.stderr.write(f"{error.code}\n")
    return _LEFT_RAISING
