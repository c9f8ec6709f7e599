"""Why a child is gone, in words: for the job's record and the log."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from atomiq.executors.black_box import LastWords
from atomiq.executors.memory import peak_bytes, size_text

MOST_LINES: Final = 60
"""Of the output in a job's record."""
MOST_STACK_LINES: Final = 100
"""Of a stack there. Since Python 3.14 the thread that crashed has its C stack, too, of up to 32 frames."""
WIDEST_LINE: Final = 500
FATAL_SIGNALS: Final = (signal.SIGSEGV, signal.SIGFPE, signal.SIGABRT, signal.SIGBUS, signal.SIGILL)
"""Those at which faulthandler writes the stack."""


@dataclass(frozen=True, slots=True)
class Death:
    """A child that ended without a report.

    `status` is what waitpid said, None when nobody could ask; `words` what its black box kept; `ran_for` the seconds
    since the running job began.
    """

    pid: int
    status: int | None
    usage: resource.struct_rusage | None = None
    words: LastWords | None = None
    ran_for: float | None = None

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


def signal_name(signum: int) -> str:
    """'SIGKILL' for 9; the number as text for one that has no name here."""
    try:
        return signal.Signals(signum).name
    except ValueError:
        return f"signal {signum}"


def peak_memory(usage: resource.struct_rusage | None) -> int | None:
    """Bytes, or None when unknown."""
    return peak_bytes(usage) or None if usage is not None else None


def death_text(death: Death) -> str:
    """RQ's sentence, which people's tools look for, then the cause by name, then what the child left."""
    signalled = f" (signal {death.signal_number})" if death.signal_number is not None else ""
    facts = [f"Work-horse terminated unexpectedly; waitpid returned {death.status}{signalled}", _cause(death)]
    memory = peak_memory(death.usage)
    if memory:
        facts.append(f"its peak memory was {memory / 2**20:.0f} MiB")
    if death.ran_for is not None:
        facts.append(f"the job had run for {_duration(death.ran_for)}")
    return "\n".join(["; ".join(facts), *_left_behind(death)])


def memory_text(limit: int, peak: int, job_id: str, death: Death | None = None) -> str:
    """For a job that was killed because its process held more memory than a child may.

    `limit`, `peak`: bytes; `death`: how the process then ended, which tells what it printed.
    """
    highest = max(peak, (death and peak_memory(death.usage)) or 0)
    text = (
        f"atomiq.exceptions.MemoryLimitExceeded: the process of job {job_id} held {size_text(highest)} of memory, and "
        f"the limit of a child is {size_text(limit)} (--memory-limit); it was killed. Let the job hold less "
        f"at a time, or raise the limit."
    )
    if death is None:
        return text
    ran = "" if death.ran_for is None else f" It had run for {_duration(death.ran_for)}."
    return "\n".join([text + ran, *_left_behind(death)])


def _cause(death: Death) -> str:
    if death.signal_number is not None:
        name = signal_name(death.signal_number)
        if death.signal_number != signal.SIGKILL:
            return f"killed by {name}"
        return f"killed by {name}{_KILLER[death.words.oom_kill if death.words else None]}"
    if death.exit_code is not None:
        return f"the process left with exit code {death.exit_code} in the middle of the call"
    return "nobody could say how it ended"


_KILLER: Final = {
    True: ": out of memory (the kernel's OOM killer struck in its control group)",
    False: " (the kernel's OOM killer has counted no kill in its control group)",
    None: ", which is also what the kernel sends when memory runs out",
}


def _left_behind(death: Death) -> Iterator[str]:
    """The stack of a process that crashed, and the last lines that it printed."""
    if death.words is None:
        return
    if death.signal_number in FATAL_SIGNALS and death.words.stack:
        yield "\nIts stack:"
        yield from _first_lines(_current_thread_first(death.words.stack))
    if death.words.output.strip():
        yield "\nThe last it printed:"
        yield from _last_lines(death.words.output.rstrip().splitlines())


def _current_thread_first(stack: str) -> list[str]:
    """faulthandler names the thread that crashed last, behind a hundred others perhaps."""
    heading, *threads = stack.split("\n\n")
    threads.sort(key=lambda text: not text.startswith("Current thread"))
    return "\n\n".join([heading, *threads]).splitlines()


def _first_lines(lines: list[str]) -> Iterator[str]:
    yield from _narrow(lines[:MOST_STACK_LINES])
    if len(lines) > MOST_STACK_LINES:
        yield f"  ({len(lines) - MOST_STACK_LINES} more lines)"


def _last_lines(lines: list[str]) -> Iterator[str]:
    yield from _narrow(lines[-MOST_LINES:])


def _narrow(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        yield f"  {line if len(line) <= WIDEST_LINE else line[:WIDEST_LINE] + '...'}".rstrip()


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min {rest} s" if hours else f"{minutes} min {rest} s"


def overrun_text(limit: float, margin: float) -> str:
    """For a call that was killed because its soft time limit did not stop it."""
    return (
        f"atomiq.timeouts.JobTimeoutException: Task exceeded maximum timeout value ({limit:g} seconds). "
        f"It went on for another {margin:g} seconds and was killed."
    )
