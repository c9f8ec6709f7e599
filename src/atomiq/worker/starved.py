"""Whether a child is busy with its job, or would be if others left it a CPU."""

from __future__ import annotations

from pathlib import Path


def cpu_time(pid: int) -> float | None:
    """Seconds of CPU that a process' main thread has had, if it has one or waits for one at the moment.

    None if it waits for something else, or is gone, and where the system doesn't say (Linux alone does).
    """
    process = Path(f"/proc/{pid}")
    try:
        after_name = (process / "stat").read_bytes().rpartition(b") ")[2]
        if not after_name.startswith(b"R"):
            return None
        return int((process / "schedstat").read_bytes().split()[0]) / 1e9
    except (OSError, ValueError, IndexError):
        return None
