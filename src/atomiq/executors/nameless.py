"""Files without a name, for what processes share by descriptor: in memory where the system can, as a container's file
system may be read-only, and a disk be full."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from atomiq._core.shortage import FILES


def nameless_file(what: str, size: int = 0) -> int:
    """The descriptor of a new file that nobody else can open, full of zeros. `what`: for lists of open files.

    Raises:
        OSError: no descriptors or no memory left; or no folder for it on a system that needs one.
    """
    fd = _made(what)
    try:
        os.ftruncate(fd, size)
    except OSError:
        os.close(fd)
        raise
    return fd


def _made(what: str) -> int:
    if sys.platform == "linux":
        try:
            return os.memfd_create(f"atomiq-{what}")
        except OSError as error:  # forbidden in this sandbox, perhaps
            if error.errno in FILES:  # tempfile would say that there is no folder
                raise
    fd, path = tempfile.mkstemp(prefix=f"atomiq-{what}-")
    Path(path).unlink()
    return fd
