"""The health port: HTTP for probes, answered from inside the supervisor's own loop.

No thread, so that a loop that hangs can't answer: that is what a probe wants to know. What it answers is decided by
`judge`, a pure function.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from selectors import EVENT_READ, EVENT_WRITE, BaseSelector
from typing import Any, Final, Literal

from atomiq._core.addresses import parse_address
from atomiq._core.log import get_logger
from atomiq._core.settings import SAFETY_CHECK
from atomiq._core.shortage import FILES, in_words
from atomiq.worker.health_socket import MOST_CONNECTIONS, open_listener
from atomiq.worker.runs import NO_ROOM_PAUSE

LONGEST_REQUEST: Final = 4096
LONGEST_TALK: Final = 5.0
"""Seconds that a connection may live."""
SLACK: Final = 15.0
"""Seconds that something regular may be late: a command may take some to fail, and the machine may be busy."""
LONGEST_CHILDLESS: Final = 60.0
"""Seconds for which a worker may try in vain to keep a child alive."""

_REASONS: Final = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}
_log: Final = get_logger("worker")


@dataclass(frozen=True, slots=True)
class Health:
    """`live`: a new process would be no better. `ready`: it takes jobs. `reasons`: what is not as it should be, also
    where that is no reason to be unhealthy. `facts`: whatever JSON can say."""

    live: bool
    ready: bool
    reasons: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)


Phase = Literal["starting", "working", "stopping", "over"]


def judge(
    *,
    phase: Phase,
    connected: bool,
    silent_for: float,
    unclaimed_for: float | None,
    children_alive: int,
    children_wanted: int,
    childless_for: float,
    lease: float,
    facts: dict[str, Any] | None = None,
) -> Health:
    """What a worker's condition means. Times are seconds.

    Args:
        phase: 'starting' until the first answer of the server, 'stopping' from the wish to stop.
        connected: whether the loop believes that the server is there.
        silent_for: since the server last answered anything.
        unclaimed_for: since it last answered a claim; None while there is nothing to ask for: all slots are taken, or
            workers are suspended.
        children_alive, children_wanted: of the warm children. 0 wanted: the executor has none.
        childless_for: how long none of them has been alive, 0 when some is.
        lease: of the worker; one that has nothing to do talks to the server a little more often than that.
        facts: for `Health.facts`, beside these numbers.
    """
    reasons, live = [], True
    if phase in ("starting", "over"):
        reasons.append("not started yet" if phase == "starting" else "ended")
    else:
        if phase == "stopping":
            reasons.append("stopping")
        if not connected:
            reasons.append(f"the server can't be reached, it last answered {silent_for:.0f} s ago")
        elif silent_for > lease + SLACK:
            live = False  # the loop believes that all is well; a new process would connect anew
            reasons.append(f"the server has not answered for {silent_for:.0f} s, and the worker hasn't noticed")
        elif phase == "working" and unclaimed_for is not None and unclaimed_for > SAFETY_CHECK + SLACK:
            live = False
            reasons.append(f"has room for jobs, but has not asked for any for {unclaimed_for:.0f} s")
    ready = not reasons
    if children_alive < children_wanted:
        reasons.append(f"{children_alive} of {children_wanted} children are alive")
        ready = ready and children_alive > 0
        if childless_for > LONGEST_CHILDLESS and phase == "working":
            live = False
            reasons.append(f"no child could be kept alive for {childless_for:.0f} s")
    numbers = {
        "phase": phase,
        "connected": connected,
        "silent_for": round(silent_for, 3),
        "unclaimed_for": None if unclaimed_for is None else round(unclaimed_for, 3),
        "children_alive": children_alive,
        "children_wanted": children_wanted,
    }
    return Health(live, ready and live, tuple(reasons), {**numbers, **(facts or {})})


# --- the port


class HealthPort:
    """Serves GET /live and /ready (200 or 503, and why) and / (all of it as JSON) from the loop of `selector`."""

    def __init__(self, address: str, selector: BaseSelector, report: Callable[[], Health]) -> None:
        """Listens from now on; `report` is called for each request.

        Raises:
            ValueError: `address` is none.
            HealthPortError: nobody can listen there.
        """
        self._selector = selector
        self._report = report
        self._listener = open_listener(parse_address(address))
        self._path = parse_address(address).path
        self._inode = os.lstat(self._path).st_ino if self._path else 0
        self._talks: dict[int, _Talk] = {}
        self._open_at: float | None = None
        """When to listen again, after open files ran short: the listener would be ready in every turn."""
        selector.register(self._listener, EVENT_READ, self._accept)

    @property
    def port(self) -> int:
        """The number of the TCP port, 0 for a unix socket."""
        return 0 if self._path else int(self._listener.getsockname()[1])

    def fds(self) -> Iterator[int]:
        """What a child must not keep."""
        yield self._listener.fileno()
        yield from self._talks

    def wake_at(self) -> float | None:
        """When `check` has something to do, in `time.monotonic()`."""
        open_at = () if self._open_at is None else (self._open_at,)
        return min((*(talk.drop_at for talk in self._talks.values()), *open_at), default=None)

    def check(self) -> None:
        """Drop connections that have lived too long. For every turn of the loop."""
        if self._open_at is not None and time.monotonic() >= self._open_at:
            self._open_at = None
            self._selector.register(self._listener, EVENT_READ, self._accept)
        if self._talks:
            now = time.monotonic()
            for talk in [talk for talk in self._talks.values() if now >= talk.drop_at]:
                self._drop(talk)

    def close(self) -> None:
        for talk in list(self._talks.values()):
            self._drop(talk)
        if self._listener.fileno() >= 0:
            if self._open_at is None:
                self._selector.unregister(self._listener)
            self._listener.close()
            with contextlib.suppress(FileNotFoundError):
                if self._path and os.lstat(self._path).st_ino == self._inode:  # not a successor's
                    Path(self._path).unlink()

    def _accept(self) -> None:
        while True:
            try:
                link, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in FILES:
                    _log.warning("Health port: a connection could not be taken: %s", in_words(error))
                    self._open_at = time.monotonic() + NO_ROOM_PAUSE
                    self._selector.unregister(self._listener)
                else:
                    _log.debug("Health port: the caller had gone already: %s", error)
                return
            if len(self._talks) >= MOST_CONNECTIONS:  # who says nothing must not keep out who asks
                self._drop(next(iter(self._talks.values())))
            link.setblocking(False)
            talk = _Talk(link, self._report)
            self._talks[link.fileno()] = talk
            self._selector.register(link, EVENT_READ, lambda talk=talk: self._go_on(talk))
            self._go_on(talk)

    def _go_on(self, talk: _Talk) -> None:
        if talk.link.fileno() < 0:  # dropped earlier in this very turn of the loop
            return
        try:
            wish = talk.go_on()
        except OSError as error:
            _log.debug("Health port: a connection broke off: %s", error)
            wish = 0
        if wish == 0:
            self._drop(talk)
        else:
            self._selector.modify(talk.link, wish, self._selector.get_key(talk.link).data)

    def _drop(self, talk: _Talk) -> None:
        del self._talks[talk.link.fileno()]
        self._selector.unregister(talk.link)
        talk.link.close()


class _Talk:
    """One connection: a request, an answer, and the end."""

    def __init__(self, link: socket.socket, report: Callable[[], Health]) -> None:
        self.link = link
        self.drop_at = time.monotonic() + LONGEST_TALK
        self._report = report
        self._heard = bytearray()
        self._answer: bytes | None = None
        """What is still to be said; None until the request is there."""

    def go_on(self) -> int:
        """As far as it goes without waiting. Says what to wait for, 0 when it is over. Raises OSError."""
        try:
            while self._answer is None:
                data = self.link.recv(LONGEST_REQUEST)
                if not data:
                    return 0
                self._heard += data
                if b"\r\n\r\n" in self._heard or b"\n\n" in self._heard:
                    self._answer = self._answer_to(bytes(self._heard.splitlines()[0]))
                elif len(self._heard) >= LONGEST_REQUEST:
                    self._answer = response(431, "the request is too long\n")
        except BlockingIOError:
            return EVENT_READ
        return self._say_and_see_off()

    def _say_and_see_off(self) -> int:
        """Closing at once, with something unread, would make the kernel take the answer back."""
        try:
            while self._answer:
                self._answer = self._answer[self.link.send(self._answer) :]
        except BlockingIOError:
            return EVENT_WRITE
        try:
            self.link.shutdown(socket.SHUT_WR)
            while self.link.recv(LONGEST_REQUEST):
                pass
        except BlockingIOError:
            return EVENT_READ
        return 0

    def _answer_to(self, line: bytes) -> bytes:
        words = line.split()
        if len(words) != 3 or not words[2].startswith(b"HTTP/"):
            return response(400, "this is no HTTP request\n")
        method, path = words[0], words[1].partition(b"?")[0]
        if method not in (b"GET", b"HEAD"):
            return response(405, "only GET\n", more="Allow: GET, HEAD\r\n")
        try:
            answer = answer_of(path, self._report)
        except Exception as error:  # noqa: BLE001  a question must never end the worker
            _log.exception("Health port: the worker's condition could not be told")
            answer = response(503, f"the worker can't tell its condition: {error!r}\n")
        return answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if method == b"HEAD" else answer


def answer_of(path: bytes, report: Callable[[], Health]) -> bytes:
    """The answer to GET `path`."""
    if path not in (b"/live", b"/ready", b"/"):
        return response(404, "there are /live, /ready and /\n")
    health = report()
    if path == b"/":
        everything = {"live": health.live, "ready": health.ready, "reasons": health.reasons, "facts": health.facts}
        return response(200, json.dumps(everything, default=str) + "\n", "application/json")
    well = health.live if path == b"/live" else health.ready
    return response(200 if well else 503, "\n".join((*(("ok",) if well else ()), *health.reasons)) + "\n")


def response(status: int, body: str, kind: str = "text/plain; charset=utf-8", more: str = "") -> bytes:
    content = body.encode("utf-8", "backslashreplace")
    head = (
        f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\n"
        f"Cache-Control: no-store\r\n{more}Connection: close\r\n\r\n"
    )
    return head.encode() + content
