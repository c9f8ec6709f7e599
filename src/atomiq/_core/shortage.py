"""No room for another file or process: what is short, and what to do."""

from __future__ import annotations

import errno
from typing import Final

FILES: Final = (errno.EMFILE, errno.ENFILE)
_FEWER: Final = "or run fewer jobs at a time (-c)"
_ADVICE: Final = {
    errno.EMFILE: ("Too many open files", f"raise `ulimit -n`, {_FEWER}"),
    errno.ENFILE: ("Too many open files in system", f"raise fs.file-max, {_FEWER}"),
    errno.EAGAIN: ("Resource temporarily unavailable", f"raise `ulimit -u` or the container's limit of pids, {_FEWER}"),
    errno.ENOMEM: ("Cannot allocate memory", f"give the machine or the container more, {_FEWER}"),
}


def in_words(error: OSError) -> str:
    """Why a file couldn't be opened, or a process not started."""
    short, advice = _ADVICE.get(error.errno or 0, ("", ""))
    return f"{short}: {advice}" if short else str(error)


def with_advice(text: str) -> str:
    """The text of somebody else's error, with what to do if open files are short."""
    short, advice = _ADVICE[errno.EMFILE]
    return f"{text.rstrip('.')}: {advice}" if short in text else text
