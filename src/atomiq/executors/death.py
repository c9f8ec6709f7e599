"""Why a child is gone, in words: for the job's record and the log."""

from __future__ import annotations

import os
import resource
import signal
import sys
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Death:
    """A child that ended without a report. `status` is what waitpid said, None when nobody could ask."""

    pid: int
    status: int | None
    usage: resource.struct_rusage | None = None

    @property
    def signal_number(self) -> int | None:
        if self.status is not None and os.WIFSIGNALED(self.status):
            return os.WTERMSIG(self.status)
        return None

    @property
    def exit_code(self) -> int | None:
        if self.status is not None and os.WIFEXITED(self.status):
            return os.WEXITSTATUS(self.status)
        return None


def signal_name(number: int) -> str:
    """'SIGKILL' for 9; the number as text for one that has no name here."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def peak_memory(usage: resource.struct_rusage | None) -> int | None:
    """Bytes, or None when unknown."""
    if usage is None or not usage.ru_maxrss:
        return None
    return usage.ru_maxrss if sys.platform == "darwin" else usage.ru_maxrss * 1024


def death_text(death: Death) -> str:
    """RQ's sentence, which people's tools look for, and then the cause by name."""
    signalled = f" (signal {death.signal_number})" if death.signal_number is not None else ""
    text = f"Work-horse terminated unexpectedly; waitpid returned {death.status}{signalled}; "
    memory = peak_memory(death.usage)
    peak = f"; its peak memory was {memory / 2**20:.0f} MiB" if memory else ""
    if death.signal_number == signal.SIGKILL:
        return f"{text}killed by SIGKILL, which is also what the kernel sends when memory runs out{peak}"
    if death.signal_number is not None:
        return f"{text}killed by {signal_name(death.signal_number)}{peak}"
    if death.exit_code is not None:
        return f"{text}the process left with exit code {death.exit_code} in the middle of the call"
    return f"{text}nobody could say how it ended"


def overrun_text(limit: float, margin: float) -> str:
    """For a call that was killed because its soft time limit did not stop it."""
    return (
        f"atomiq.timeouts.JobTimeoutException: Task exceeded maximum timeout value ({limit:g} seconds). "
        f"It went on for another {margin:g} seconds and was killed."
    )
