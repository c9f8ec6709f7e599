"""What a child was doing when it died: kept in memory that its supervisor shares, so that no kill can lose it.

Two small files without a name, made before the child starts. faulthandler writes the stacks of all threads into one at
a fatal signal; the other is a page in which the last 4 KiB that the child printed go round.

What Python prints is copied: `print`, `sys.stdout`, `sys.stderr`, their `.buffer`, and logging to them. What goes past
Python (`os.write`, C code, processes that the call starts) is not; those have the file descriptor and nothing else.
"""

from __future__ import annotations

import contextlib
import faulthandler
import io
import mmap
import os
import re
import sys
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from atomiq.executors.nameless import nameless_file
from atomiq.executors.oom import OomWatch

Spec = tuple[int, int, bool]
"""What a fresh interpreter needs to open the box of its supervisor: two file descriptors, and whether to capture."""

_PAGE: Final = 4096
_HEAD: Final = 16
_ROOM: Final = _PAGE - _HEAD
_LONGEST_STACK: Final = 1 << 18
"""Bytes. faulthandler writes at most 100 threads of 100 frames."""
_ESCAPE_SEQUENCE: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-~])")
_FATAL: Final = b"Fatal Python error"

_teed: list[Any] = []
"""The objects whose `write` is ours in this process, forks of it included."""


@dataclass(frozen=True, slots=True)
class LastWords:
    """What is left of a child.

    `stack`: what faulthandler wrote at a fatal signal, '' if nothing. `output`: the last that the running job printed,
    without terminal codes. `oom_kill`: whether the kernel's OOM killer struck in the child's control group while the
    child ran; None when the system doesn't say.
    """

    stack: str = ""
    output: str = ""
    oom_kill: bool | None = None


class BlackBox:
    """Made by a supervisor before it starts a child; after `clear` it serves the next one.

    Args:
        capture: keep the last lines printed. False: only the stack.
        root: where `/proc` and the control groups are; another one is for tests.
        opened: `fds` of a box made elsewhere; `reopen` has them.

    Raises:
        OSError: no file descriptors or no memory left.
    """

    def __init__(self, capture: bool = True, root: Path = Path("/"), *, opened: tuple[int, int] | None = None) -> None:
        self._capture = capture
        self._page_fd, self._stack_fd = _two_files() if opened is None else opened
        self._map = mmap.mmap(self._page_fd, _PAGE)
        view = memoryview(self._map)
        # Bytes printed before the running job began, and bytes printed altogether; the place of a byte in the ring is
        # its number modulo the ring's size.
        self._head = view[:_HEAD].cast("Q")
        self._ring = view[_HEAD:]
        view.release()
        self._oom = OomWatch(root) if opened is None else None
        self._said: LastWords | None = None

    @classmethod
    def reopen(cls, spec: Spec) -> BlackBox:
        """The supervisor's box in an interpreter that was started with `fds` open."""
        page, stack, capture = spec
        for fd in (page, stack):
            os.set_inheritable(fd, False)
        return cls(capture, opened=(page, stack))

    @property
    def fds(self) -> tuple[int, ...]:
        """What a started (not forked) child must inherit."""
        return (self._page_fd, self._stack_fd)

    def spec(self) -> Spec:
        """For `reopen`; plain builtins."""
        return (self._page_fd, self._stack_fd, self._capture)

    # --- in the child

    def install(self) -> None:
        """From now on fatal signals and what is printed are recorded. Once in each child, before its first job.

        A faulthandler that was on before writes here from now on (the supervisor logs what it wrote); one that is
        turned on later, by the job's own code, takes its stacks away from here.
        """
        _give_back()
        if sys.version_info >= (3, 14):
            faulthandler.enable(file=self._stack_fd, all_threads=True, c_stack=True)
        else:
            faulthandler.enable(file=self._stack_fd, all_threads=True)
        if self._capture:
            for stream in (sys.stdout, sys.stderr):
                _tee(stream, self._recorder)

    def begin(self) -> None:
        """A job begins: what was printed before is not its doing. For children that run one job at a time."""
        head = self._head
        head[0] = head[1]

    def _recorder(self, write: Callable[[Any], Any], as_bytes: Callable[[Any], bytes]) -> Callable[[Any], Any]:
        head, ring, room = self._head, self._ring, _ROOM

        def record_and_write(data: Any) -> Any:
            kept = data if type(data) is bytes else as_bytes(data)
            size = len(kept)
            # No call between these two, so no other thread either, and no lock that a fork or a signal could find
            # taken: every writer has a place of its own.
            start = head[1]
            head[1] = start + size
            place = start % room
            if place + size <= room:
                ring[place : place + size] = kept
            else:
                _wrap(ring, start, kept)
            return write(data)

        return record_and_write

    # --- in the supervisor

    def last_words(self) -> LastWords:
        """What the dead child left; the same again until `clear`."""
        if self._said is None:
            oom_kill = None if self._oom is None else self._oom.struck()
            self._said = LastWords(self._stack(), self._output(), oom_kill)
        return self._said

    def clear(self) -> None:
        """Empty, for the next child."""
        self._head[0] = self._head[1] = 0
        os.ftruncate(self._stack_fd, 0)
        os.lseek(self._stack_fd, 0, os.SEEK_SET)  # children share this file's position with us
        self._said = None
        if self._oom is not None:
            self._oom.start()

    def close(self) -> None:
        """In the supervisor; a second call does nothing."""
        if self._page_fd >= 0:
            self._head.release()
            self._ring.release()
            self._map.close()
            os.close(self._page_fd)
            os.close(self._stack_fd)
        self._page_fd = self._stack_fd = -1

    def _stack(self) -> str:
        raw = os.pread(self._stack_fd, _LONGEST_STACK, 0)
        # A fork of the job may have crashed before, and have written here too.
        last = raw.rfind(_FATAL)
        return _harmless(raw[max(last, 0) :].decode("utf-8", "replace")).strip("\n")

    def _output(self) -> str:
        began, end = self._head
        size = min(max(end - began, 0), _ROOM)
        place = (end - size) % _ROOM
        kept = bytes(self._ring[place:]) + bytes(self._ring[:place])
        text = kept[:size].decode("utf-8", "replace")
        if end - began > size and "\n" in text[:-1]:  # the first line has lost its beginning
            text = text.partition("\n")[2]
        return _harmless(text)


def _two_files() -> tuple[int, int]:
    page = nameless_file("words", _PAGE)
    try:
        return page, nameless_file("stack")
    except OSError:
        os.close(page)
        raise


def _tee(stream: Any, recorder: Callable[[Callable[[Any], Any], Callable[[Any], bytes]], Callable[[Any], Any]]) -> None:
    """Have what is written to `stream` recorded. The object stays what it is, so that whoever holds it (a logging
    handler that was made before) is heard too, and nothing of its behaviour changes."""
    target, as_bytes = stream, _encoded
    if isinstance(stream, io.TextIOWrapper):
        try:
            # Or text would wait in the wrapper, where a kill finds it. The buffer below still gathers it.
            with contextlib.suppress(OSError):  # a full disk: what waits there goes on to wait, and jobs run
                stream.reconfigure(write_through=True)
        except ValueError:  # closed: nobody can print to it
            return
        target, as_bytes = stream.buffer, _flat
    if target is None or any(target is one for one in _teed):
        return
    try:
        target.write = recorder(target.write, as_bytes)
    except AttributeError:  # an object of the application that can't be changed; it works on, unrecorded
        return
    _teed.append(target)


def _give_back() -> None:
    """Undo the copying that this process, or the one it was forked from, has set up for another box."""
    for target in _teed:
        vars(target).pop("write", None)
    _teed.clear()


def _wrap(ring: memoryview, start: int, kept: bytes) -> None:
    """Write what doesn't fit between its place and the ring's end."""
    if len(kept) > _ROOM:
        start += len(kept) - _ROOM
        kept = kept[-_ROOM:]
    place = start % _ROOM
    first = min(_ROOM - place, len(kept))
    ring[place : place + first] = kept[:first]
    ring[: len(kept) - first] = kept[first:]


def _flat(data: Any) -> bytes:
    """The bytes of whatever a binary stream takes; nothing of what it will refuse."""
    try:
        view = memoryview(data).cast("B")
    except TypeError:
        return b""
    return bytes(view)


def _encoded(data: Any) -> bytes:
    """What a text stream of the application's own takes."""
    return data.encode("utf-8", "replace") if isinstance(data, str) else b""


def _harmless(text: str) -> str:
    """Without terminal codes; of a line that was drawn again and again only the last state; other control characters
    are spelt out."""
    text = _ESCAPE_SEQUENCE.sub("", text)
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    return "\n".join("".join(map(_visible, line)) for line in lines)


def _visible(character: str) -> str:
    if character == "\t" or character.isprintable() or unicodedata.category(character) == "Zs":
        return character
    return character.encode("unicode_escape").decode()
