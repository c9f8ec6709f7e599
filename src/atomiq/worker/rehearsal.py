"""Before a reload: does the command that this process would execute come as far as its first job? Changed code that
can't be imported must not end a worker that works."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import IO, Final

from atomiq._core.settings import REHEARSAL_VARIABLE
from atomiq._core.shortage import in_words
from atomiq.executors.nameless import nameless_file

EVERY: Final = 0.05
"""Seconds between two looks at it."""
AT_MOST: Final = 60.0
"""Seconds. Whoever takes longer to start is not to be waited for."""


class Rehearsal:
    """Runs the command up to the point where a worker would begin to work. `passed()` is called if it gets there."""

    def __init__(self, name: str, passed: Callable[[], None], log: logging.Logger) -> None:
        self._name = name
        self._passed = passed
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._said: IO[bytes] | None = None
        self._deadline = 0.0
        self._at = 0.0

    @property
    def pid(self) -> int | None:
        """Of the process that rehearses."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Begin. If one is under way already, it is begun anew: the code may have changed meanwhile."""
        self._end()
        try:
            self._said = os.fdopen(nameless_file("rehearsal"), "r+b")
            self._process = subprocess.Popen(
                [sys.executable, *sys.orig_argv[1:]],
                env={**os.environ, REHEARSAL_VARIABLE: "1"},
                stdin=subprocess.DEVNULL,
                stdout=self._said,
                stderr=subprocess.STDOUT,
            )
        except OSError as error:
            self._end()
            self._log.error("Worker %s: no reload, its command can't be tried (%s)", self._name, in_words(error))
            return
        self._deadline = time.monotonic() + AT_MOST
        self._at = 0.0

    def wake_at(self) -> float | None:
        """When `check` wants to be called."""
        return self._at if self._process is not None else None

    def check(self) -> None:
        """See whether it is over."""
        now = time.monotonic()
        if self._process is None or self._said is None or now < self._at:
            return
        self._at = now + EVERY
        code = self._process.poll()
        if code is None and now < self._deadline:
            return
        self._said.seek(0)
        words = self._said.read()[-2000:].decode("utf-8", "replace").strip()
        self._end()
        if code == 0:
            self._passed()
        else:
            how = "takes too long" if code is None else f"ended with {code}"
            text = (
                "Worker %s: no reload, the command with the changed code %s; the present children go on. It said:\n%s"
            )
            self._log.error(text, self._name, how, words)

    def fds(self) -> tuple[int, ...]:
        return () if self._said is None else (self._said.fileno(),)

    def close(self) -> None:
        self._end()

    def _end(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            self._process.wait()
        if self._said is not None:
            self._said.close()
        self._process = self._said = None


def rehearsing() -> bool:
    """Whether this process is only to find out that it could work."""
    return os.environ.pop(REHEARSAL_VARIABLE, "") != ""
