"""Whether the kernel's OOM killer struck: its counter for the control group that this process and its children are in.

Version 2 keeps it in `memory.events`, version 1 in `memory.oom_control`. A container sees its own group mounted, often
as `/`; the mount table says which part of the tree is there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

_FILES: Final = {"cgroup": "memory.oom_control", "cgroup2": "memory.events"}
_OCTAL: Final = re.compile(r"\\([0-7]{3})")

_answered: dict[Path, int] = {}
"""Counter -> up to which kill of it somebody's death has been explained in this process: one kill, one death."""


@dataclass(frozen=True, slots=True)
class _Mount:
    kind: str
    root: str
    point: str
    options: frozenset[str]


class OomWatch:
    """Watches the counter from its making, or the last `start`, to `struck`.

    Args:
        root: the folder that holds `proc` and the mount points, `/` but for tests.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._counter = find_counter(root)
        self.start()

    def start(self) -> None:
        """Kills from now on count."""
        self._before = self._count()

    def struck(self) -> bool | None:
        """Whether there was a kill that explains no other death yet; it then explains this one. None: unknown."""
        now = self._count()
        if self._counter is None or now is None or self._before is None:
            return None
        explained = max(self._before, _answered.get(self._counter, 0))
        if now <= explained:
            return False
        _answered[self._counter] = explained + 1
        return True

    def _count(self) -> int | None:
        return None if self._counter is None else read_kills(self._counter)


def find_counter(root: Path = Path("/")) -> Path | None:
    """The file with the counter of this process's own control group; None where there is none to read."""
    try:
        groups = (root / "proc/self/cgroup").read_text()
        mounts = [*_mounts((root / "proc/self/mountinfo").read_text())]
    except (OSError, ValueError):  # no Linux, or a sandbox without /proc
        return None
    for kind, group in _groups(groups):  # where both versions are mounted, only one of them has the memory
        for mount in mounts:
            if mount.kind != kind or (kind == "cgroup" and "memory" not in mount.options):
                continue
            inside = _inside(group, mount.root)
            if inside is None:
                continue
            file = root / mount.point.lstrip("/") / inside / _FILES[kind]
            if read_kills(file) is not None:
                return file
    return None


def read_kills(file: Path) -> int | None:
    """The number behind `oom_kill`; None when the file or the line isn't there (kernels before 4.13)."""
    try:
        for line in file.read_text().splitlines():
            name, _, value = line.partition(" ")
            if name == "oom_kill":
                return int(value)
    except (OSError, ValueError):  # the group is gone, or isn't ours to read
        return None
    return None


def _groups(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if "memory" in controllers.split(","):
            yield "cgroup", path
        elif number == "0" and not controllers:
            yield "cgroup2", path


def _mounts(text: str) -> Iterator[_Mount]:
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        fields, about = before.split(" "), after.split(" ")
        if about[0] in _FILES and len(fields) > 4:
            yield _Mount(about[0], _plain(fields[3]), _plain(fields[4]), frozenset(about[-1].split(",")))


def _plain(path: str) -> str:
    return _OCTAL.sub(lambda found: chr(int(found[1], 8)), path)


def _inside(group: str, mounted: str) -> str | None:
    """Where below a mount point a group is, when `mounted` is the part of the tree that is mounted there."""
    if group == "/":
        return ""
    if ".." in PurePosixPath(group).parts or not PurePosixPath(group).is_relative_to(mounted):
        return None
    return str(PurePosixPath(group).relative_to(mounted))
