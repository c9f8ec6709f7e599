"""How much memory a process has, and sizes as people write them."""

from __future__ import annotations

import importlib
import os
import re
import resource
import sys
from typing import Final

from atomiq._core.errors import InvalidOption

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_SIZE: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?\s*", re.IGNORECASE)
_UNITS: Final = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def resident_memory(pid: int) -> int | None:
    """Bytes of physical memory that a process has now, those it shares with others included; None when it is gone or
    isn't ours to ask."""
    return _statm(str(pid)) if sys.platform == "linux" else _by_psutil(pid)


def own_resident_memory() -> int:
    """Bytes of physical memory that this process has now; 0 when the system doesn't say."""
    found = _statm("self") if sys.platform == "linux" else _by_psutil(os.getpid())
    return found or 0


def peak_bytes(usage: resource.struct_rusage) -> int:
    """`ru_maxrss` in bytes."""
    return usage.ru_maxrss if sys.platform == "darwin" else usage.ru_maxrss * 1024


def parse_size(size: str | int) -> int:
    """Bytes in a size such as '512M', '1.5GiB', '800 mb' or 2**30.

    K, M, G and T are powers of 1024, with or without B or iB behind; a number alone is bytes.

    Raises:
        InvalidOption: a ValueError; not such a size, or nothing at all.
    """
    hint = "write it like 512M, 1.5GiB, or as a number of bytes"
    if isinstance(size, bool) or not isinstance(size, str | int):
        raise InvalidOption(f"{size!r} is not a size of memory; {hint}")
    if isinstance(size, int):
        found = size
    else:
        match = _SIZE.fullmatch(size)
        if match is None:
            raise InvalidOption(f"{size!r} is not a size of memory; {hint}")
        found = int(float(match[1]) * _UNITS[match[2].upper()])
    if found <= 0:
        raise InvalidOption(f"{size!r} is no memory at all; {hint}")
    return found


def size_text(size: int) -> str:
    """Bytes as people read them: '1.5 GiB'."""
    for unit, name in ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if size >= unit:
            return f"{size / unit:.4g} {name}"
    return f"{size} bytes"


def _statm(pid: str) -> int | None:
    try:
        fd = os.open(f"/proc/{pid}/statm", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        pages = int(os.read(fd, 128).split()[1])
    except (OSError, IndexError):  # it ended just now
        return None
    finally:
        os.close(fd)
    return pages * _PAGE or None


def _by_psutil(pid: int) -> int | None:
    psutil = importlib.import_module("psutil")  # takes 25 ms, which a system with /proc need not spend
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return None
