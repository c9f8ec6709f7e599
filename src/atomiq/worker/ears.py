"""What the loop hears from the server: the bell and the worker's command channel, as file descriptors in its
selector."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from selectors import EVENT_READ, BaseSelector
from typing import Final

from atomiq._wire.sync import Store
from atomiq._wire.wait import Bell, CommandChannel

CHECK_EVERY: Final = 30.0
"""Seconds between two signs of life that the channel is asked for."""


class Ears:
    """Opens, registers and closes the two. Both may raise errors of the server from any method but `close`."""

    def __init__(
        self,
        store: Store,
        channel: str | None,
        selector: BaseSelector,
        on_bell: Callable[[bool], None],
        on_message: Callable[[bytes], None],
    ) -> None:
        """`channel`: None when somebody else listens to it (a keeper)."""
        self._store = store
        self._channel_name = channel
        self._selector = selector
        self._on_bell = on_bell
        self._on_message = on_message
        self._bell = Bell(store)
        self._channel: CommandChannel | None = None
        self._registered: dict[str, int] = {}
        self._check_at = 0.0

    def subscribe(self) -> None:
        """Listen to the channel, if it is ours to listen to and we don't yet."""
        if self._channel_name is None or self._channel is not None:
            return
        self._channel = CommandChannel(self._store, self._channel_name)
        self._register("channel", self._channel.fileno(), self._hear_channel)
        self._hear_channel()  # what came with the answer to the subscription doesn't make the socket readable again

    def listen(self, queues: Sequence[str], timeout: float) -> None:
        self._bell.listen(queues, timeout)
        self._register("bell", self._bell.fileno(), self._hear_bell)

    def stop_listening(self) -> None:
        if self._bell.listening:
            self._unregister("bell")
            self._bell.cancel()

    def check(self) -> None:
        """See now and then whether the channel still works."""
        now = time.monotonic()
        if self._channel is not None and now >= self._check_at:
            self._check_at = now + CHECK_EVERY
            self._hear_channel()
            self._channel.check()

    def overdue(self) -> bool:
        """The bell's connection is dead and nobody said so."""
        return self._bell.overdue()

    def fds(self) -> Iterator[int]:
        yield from self._registered.values()

    def close(self) -> None:
        self._unregister("bell")
        self._bell.close()
        self._unregister("channel")
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def _hear_bell(self) -> None:
        if not self._bell.listening:
            return
        self._on_bell(self._bell.read())

    def _hear_channel(self) -> None:
        if self._channel is None:
            return
        for message in self._channel.read():
            self._on_message(message)

    def _register(self, name: str, fd: int, callback: Callable[[], None]) -> None:
        if self._registered.get(name) == fd:
            return
        self._unregister(name)
        self._selector.register(fd, EVENT_READ, callback)
        self._registered[name] = fd

    def _unregister(self, name: str) -> None:
        fd = self._registered.pop(name, None)
        if fd is not None and fd in self._selector.get_map():
            self._selector.unregister(fd)
