"""The channel of a worker that does one thing after the other: a thread hears it."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from typing import Any

from atomiq._core.errors import ServerError
from atomiq._wire.readable import readable
from atomiq._wire.sync import Store
from atomiq._wire.wait import CommandChannel

PAUSE = 1.0
CHECK_EVERY = 10.0


class Listener:
    """Calls `handle` with each message until it is closed. What `handle` raises is logged: one bad message must not
    make the worker deaf."""

    def __init__(self, store: Store, channel: str, handle: Callable[[Any], None], log: logging.Logger) -> None:
        self._store = store
        self._name = channel
        self._handle = handle
        self._log = log
        self._reader, self._writer = os.pipe()
        self._pid = os.getpid()
        self._channel: CommandChannel | None = CommandChannel(store, channel)
        self.thread = threading.Thread(target=self._run, name="atomiq-commands", daemon=True)
        self.thread.start()

    def close(self) -> None:
        """Stop listening, from the thread and process that began to."""
        if os.getpid() != self._pid:
            return
        os.write(self._writer, b"!")
        if self.thread is not threading.current_thread():
            self.thread.join(PAUSE * 5)
        os.close(self._reader)
        os.close(self._writer)

    def _run(self) -> None:
        while True:
            fds = [self._reader] if self._channel is None else [self._reader, self._channel.fileno()]
            ready = readable(fds, PAUSE if self._channel is None else CHECK_EVERY)
            if self._reader in ready:
                break
            try:
                if self._channel is None:
                    self._channel = CommandChannel(self._store, self._name)
                self._hear(self._channel, idle=not ready)
            except ServerError as error:
                self._log.warning("The channel %s can't be heard (%s); next try in %s s", self._name, error, PAUSE)
                self._channel = None
        if self._channel is not None:
            self._channel.close()

    def _hear(self, channel: CommandChannel, idle: bool) -> None:
        for message in channel.read():
            try:
                self._handle(message)
            except Exception:  # noqa: BLE001  an override may raise anything
                self._log.exception("A message on channel %s is ignored: %r", self._name, message[:100])
        if idle:
            channel.check()
