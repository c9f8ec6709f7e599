"""The async executor: a warm child with one event loop. Coroutine functions run on it, many at a time; plain functions
run in its thread pool."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import signal
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from types import FrameType
from typing import Any

from atomiq._commands.claim import Claimed
from atomiq.executors import hooks
from atomiq.executors.coroutine import TaskGuard
from atomiq.executors.fork import Announce
from atomiq.executors.perform import describe_error, run_in
from atomiq.executors.report import Report
from atomiq.executors.sentry import own_scope
from atomiq.stations.base import UNUSABLE, Station
from atomiq.stations.mail import Passed
from atomiq.stations.task import Task

STRIKE_EVERY = 0.05
"""Seconds between two looks at the time limits."""
LAST_WORDS = 2.0
"""Seconds. So long a station that ends waits for tasks and asynchronous generators that jobs have left."""


class AsyncStation(Station):
    """`slots` jobs at a time. Everything but plain functions happens in the loop's thread."""

    def __init__(self, *given: Any, slots: int) -> None:
        super().__init__(*given)
        self._free = list(range(slots - 1, -1, -1))
        self._running: dict[int, TaskGuard] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._pool = _Pool(self._still_here, min(slots, 64), thread_name_prefix="atomiq-job")
        self._context = contextvars.copy_context()
        self._watched: list[int] = []
        self._timer: asyncio.TimerHandle | None = None
        self._goes_on = False
        self._thread = threading.get_ident()
        self.pump.on_cut_off = self._cut_off

    def _enter(self) -> None:
        """The hooks of the child's start and end are called on the loop."""
        self.host.enter_station()

    def _exit(self) -> None:
        pass

    def _work(self) -> None:
        loop = new_loop()
        asyncio.set_event_loop(loop)
        self._run_to_end(loop, self._main())
        self._run_to_end(loop, self._clear())
        loop.close()
        self._pool.shutdown(wait=False)

    def _run_to_end(self, loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, None]) -> None:
        """Not asyncio.run: what a job does to the loop must not end it, and with it the jobs of others."""
        task = loop.create_task(coroutine)
        while not task.done():
            try:
                loop.run_until_complete(task)
            except (SystemExit, KeyboardInterrupt, RuntimeError) as error:
                if task.done() or loop.is_closed():
                    raise
                # A task that a job has started calls sys.exit(), or a job stops the loop.
                self.host.log.error("Worker %s: its loop was interrupted by a job: %r", self.host.name, error)

    async def _clear(self) -> None:
        """End what jobs have left on the loop. Their threads, and what doesn't want to end, end with the process."""
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        generators = asyncio.create_task(self._loop.shutdown_asyncgens())
        await asyncio.wait({*left, generators}, timeout=LAST_WORDS)

    async def _main(self) -> None:
        loop = self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        loop.set_exception_handler(self._complain)
        loop.add_reader(self.mailbox.fd, self._on_mail)
        loop.add_signal_handler(signal.SIGTERM, self._obey)
        self._forks.handler = signal.getsignal(signal.SIGTERM)
        loop.call_later(STRIKE_EVERY, self._strike)
        try:
            await hooks.astart_child()
            self._go_on()
            while not self._ended.is_set():
                with contextlib.suppress(asyncio.CancelledError):  # of a job that cancels all tasks
                    await self._ended.wait()
        finally:
            await hooks.astop_child()
        self._watch([])
        loop.remove_reader(self.mailbox.fd)

    def _asked(self, _number: int, _frame: FrameType | None) -> None:
        """Before the loop runs, nothing does."""

    def _complain(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What asyncio has to say of a task or a connection that nobody looks after."""
        self._check_files()
        loop.default_exception_handler(context)

    # --- what happens

    def _on_line(self) -> None:
        self.pump.take(time.monotonic())
        self._go_on()

    def _on_bell(self) -> None:
        self.pump.rang()
        self._go_on()

    def _on_mail(self) -> None:
        self._read_mail()
        self._go_on()

    def _go_on(self) -> None:
        """Start what can be started; see to it that there will be more."""
        now = time.monotonic()
        pump = self.pump
        self._goes_on = False
        while self.guests and self._free:
            self._launch(self._run_guest, self.guests.pop(0), self._free.pop())
        if self._done:
            pump.release_held()
        while pump.held and self._free and not self._done:
            task = pump.held.popleft()
            if self._for_another(task):
                continue
            slot = self._free.pop()
            if not pump.start(slot, task):
                self._free.append(slot)
                continue
            self._count()
            self._speak_up(task)
            self._launch(self._run, task, slot)
        if self._done and not self._running and not self._tasks:
            self._ended.set()
            return
        until = pump.go_on(now) if self._free and not pump.held else None
        self._watch_fds()
        self._wake_at(until, now)

    def _watch_fds(self) -> None:
        wanted = self.pump.fds()
        if wanted != self._watched:
            self._watch(wanted)

    def _watch(self, wanted: list[int]) -> None:
        for fd in self._watched:
            self._loop.remove_reader(fd)
        line = self.pump.line.fileno() if self.pump.line.open else -1
        for fd in wanted:
            self._loop.add_reader(fd, self._on_line if fd == line else self._on_bell)
        self._watched = wanted

    def _cut_off(self) -> None:
        """Watch closed connections no longer than this step: a job may open others, which get their numbers. uvloop
        aborts the process if it is to wait for one that it doesn't find open."""
        self._check_files()
        self._watch([])

    def _wake_at(self, until: float | None, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if until is None else self._loop.call_later(max(0.0, until - now), self._go_on)

    def _strike(self) -> None:
        now = time.monotonic()
        for guard in list(self._running.values()):
            guard.strike(now)
        self._obey()  # a coroutine may have taken SIGTERM
        self._loop.call_later(STRIKE_EVERY, self._strike)

    def _obey(self) -> None:
        """SIGTERM: what the supervisor wishes of jobs that run."""
        for slot, guard in list(self._running.items()):
            self._fulfil_wish(slot, guard.interrupt)

    # --- a job

    def _launch(self, run: Callable[[Any, int], Coroutine[Any, Any, None]], job: Task | Passed, slot: int) -> None:
        task = self._loop.create_task(run(job, slot), context=self._context.copy())
        self._tasks.add(task)
        task.add_done_callback(lambda landed: self._landed(landed, partial(self._launch, run, job, slot), slot))

    def _landed(self, task: asyncio.Task[None], again: Callable[[], None], slot: int) -> None:
        self._tasks.discard(task)
        if task.cancelled() and slot not in self._running:  # by a job that cancels all tasks, before its first step
            again()
            return
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is not None:  # a station without this slot would wait for it for ever
            self.host.log.critical("Worker %s: its loop can't go on", self.host.name, exc_info=error)
            os._exit(UNUSABLE)
        if self._done and not self._tasks:
            self._go_on()

    async def _run(self, task: Task, slot: int) -> None:
        report = await self._perform(slot, task.claimed, lambda seconds: self.pump.announce(slot, task, seconds))
        self._still_here()
        self._weigh()
        self.pump.settle(slot, task, report)
        self._freed(slot)

    async def _run_guest(self, passed: Passed, slot: int) -> None:
        task = self._receive(slot, passed)
        report = await self._perform(slot, task.claimed, lambda seconds: self.pump.announce(slot, task, seconds))
        self._still_here()
        self._return(slot, task, report)
        self._freed(slot)

    def _freed(self, slot: int) -> None:
        del self._running[slot]
        self._free.append(slot)
        if self.pump.held and len(self._free) > 1:
            self._go_on()
        elif not self._goes_on:  # once for all jobs that end in this round of the loop
            self._goes_on = True
            self._loop.call_soon(self._go_on)

    async def _perform(self, slot: int, claimed: Claimed, announce: Announce) -> Report:
        guard = self._running[slot] = TaskGuard()
        started = time.monotonic()
        if self.host.overrides_perform_job:
            call = partial(self.host.perform_claimed, claimed, self._in_loop(announce), guard.aside)
            return await run_in(self._pool, partial(contextvars.copy_context().run, call))
        try:
            with own_scope():
                job = self.host.restore_claimed(claimed)
                return await self.host.performer().aperform(job, self._in_loop(announce), guard, self._pool)
        except Exception:  # noqa: BLE001  the job's hash is what could not be read
            return Report("failed", started, time.monotonic(), exc_string=describe_error())

    def _in_loop(self, announce: Announce) -> Announce:
        """Plain functions announce from their threads; the pump is the loop's."""

        def tell(seconds: float | None) -> None:
            if threading.get_ident() == self._thread:
                announce(seconds)
            else:
                self._loop.call_soon_threadsafe(announce, seconds)

        return tell


def new_loop() -> asyncio.AbstractEventLoop:
    """One of uvloop where it is installed."""
    try:
        import uvloop  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415  optional, and of use only here
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


class _Pool(ThreadPoolExecutor):
    """Asks `check()` in the thread before a result is told to anybody."""

    def __init__(self, check: Callable[[], None], *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self._check = check

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        return super().submit(self._checked, function, *args, **kwargs)

    def _checked(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        finally:
            self._check()
