"""The worker's loop: one thread, one selector. It tells the brain what happened and does what the brain says.

Commands to the server are sent one at a time and answered at once. When one fails because the server is away, the
rest of that batch which needs the server is left out; the brain knows what it has to do again.
"""

from __future__ import annotations

import logging
import signal
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from selectors import EVENT_READ, DefaultSelector
from typing import Any, Final

from atomiq._commands.claim import Claimed
from atomiq._core.errors import SERVER_AWAY
from atomiq._wire.demoted import leave
from atomiq._wire.sync import Store
from atomiq.command import BadCommand, parse_command
from atomiq.executors.death import Death
from atomiq.executors.fork import ForkExecutor
from atomiq.executors.job_log import JobLog
from atomiq.executors.report import Report
from atomiq.stations.budget import Budget
from atomiq.stations.ledger import SHUT_DOWN, STOP
from atomiq.worker import events as e
from atomiq.worker import moves as m
from atomiq.worker.brain import Brain
from atomiq.worker.children import Children
from atomiq.worker.crew import Crew
from atomiq.worker.desk import Desk
from atomiq.worker.ears import Ears
from atomiq.worker.engine import Engine
from atomiq.worker.file_watch import FileWatch
from atomiq.worker.fork_slots import ForkSlots
from atomiq.worker.give_back import GiveBack
from atomiq.worker.health import Health, HealthPort
from atomiq.worker.in_place import run_in_place
from atomiq.worker.keeper import Keeper
from atomiq.worker.memory_watch import MemoryWatch
from atomiq.worker.orphans import Orphans
from atomiq.worker.own_store import cut_off_for, ping
from atomiq.worker.parts import Host, Part, health_of
from atomiq.worker.posts import Maker, Member
from atomiq.worker.rehearsal import Rehearsal
from atomiq.worker.signals import SHUTDOWN_SIGNALS, Signals
from atomiq.worker.upkeep import Upkeep
from atomiq.worker.watchdog import SHORTEST_LIMIT, Watchdog

LONGEST_SELECT: Final = 10.0


class Driver:
    """Runs one worker until its brain says quit."""

    def __init__(
        self,
        host: Host,
        engine: Engine,
        brain: Brain,
        store: Store,
        signals: Signals,
        upkeep: Upkeep,
        desk: Desk,
        job_log: JobLog,
        log: logging.Logger,
        keeper: Keeper | None = None,
        makers: Sequence[Maker] = (),
        budget: Budget | None = None,
        health_port: str = "",
        watched: Sequence[str] = (),
    ) -> None:
        """`keeper`: for a worker that runs its jobs in this process. `makers`: of stations, children that claim by
        themselves; `budget`: how many jobs these may take. `watched`: folders whose changes are a wish to reload."""
        self.host = host
        self.brain = brain
        self.store = store
        self.log = log
        self._signals = signals
        self._upkeep = upkeep
        self._desk = desk
        self._job_log = job_log
        self._keeper = keeper
        self._events: deque[e.Event] = deque()
        self._selector = DefaultSelector()
        self._children = Children(self._selector, ForkExecutor(self._unshare), self._limited, self._child_ended)
        tell, lease = self._events.append, brain.rules.lease
        self._fork_slots = ForkSlots(self._children, engine, host.job_call, desk.holdings, tell)
        give_back = GiveBack(store, host.name, log, brain.rules, desk.holdings, upkeep.reap_first, tell)
        self._crew = Crew(
            self._selector, makers, give_back, desk.tallies, desk.holdings, tell, self._unshare, host.name, log,
            budget, lease, lambda: self._fork_slots.crowded,
        )  # fmt: skip
        memory = MemoryWatch(engine.memory_limit, desk.holdings, tell)
        self._sender = job_log.notifier = host.sender(self._unshare)
        kin = (self._children, self._crew, self._sender)
        orphans = Orphans(lambda: {self._rehearsal.pid or 0}.union(*(one.pids() for one in kin)))
        self._rehearsal = Rehearsal(host.name, lambda: tell(e.ReloadWanted()), log)
        watch = FileWatch(watched, self._rehearsal.start)
        self._parts: list[Part] = [self._children, self._crew, memory, orphans, watch, self._rehearsal, self._sender]
        if health_port:
            self._parts.append(HealthPort(health_port, self._selector, self._health))
        self._watchdog = Watchdog(max(SHORTEST_LIMIT, lease), log)
        channel = store.keys.pubsub(host.name) if keeper is None else None
        self._ears = Ears(store, channel, self._selector, self._bell_answered, self._message)
        self.failed = ""
        self.left: tuple[Member, ...] | None = None
        self._over = self._dropping = False

    def adopt(self, members: Sequence[Member]) -> None:
        """Look after children that an earlier program of this process has left."""
        self._crew.adopt(members)
        self._crew.look()  # at once: their leases are to be extended, and a wish to stop may be waiting

    # --- the loop

    def run(self) -> None:
        """Work. Raises what nobody foresaw; children are dead and connections closed in any case."""
        self._selector.register(self._signals.fileno(), EVENT_READ, self._take_wishes)
        try:
            if self._keeper is None:
                self._watchdog.start()
            self._begin()
            while not self._over:
                self._turn()
        finally:
            self._watchdog.stop()
            for part in reversed(self._parts):
                part.close()
            self._ears.close()
            self._selector.close()

    def _begin(self) -> None:
        self._work_off()  # leases of adopted children are extended before we judge any
        nobody_judges = lease = self.brain.rules.lease
        try:
            nobody_judges = cut_off_for(self.store, lease)
            self._ears.subscribe()
        except SERVER_AWAY as error:
            self._cut_off(error)
        self._events.appendleft(e.Begin(nobody_judges))
        self._work_off()

    def _turn(self) -> None:
        self._watchdog.feed()
        for key, _ in self._selector.select(self._wait()):
            if self._over:
                return
            try:
                key.data()
            except SERVER_AWAY as error:
                self._cut_off(error)
            self._work_off()
        for part in self._parts:
            part.check()
        if self._ears.overdue():
            self._events.append(e.CutOff("the connection of the bell is dead"))
        due = self.brain.next_wake()
        if self._events or (due is not None and time.monotonic() >= due):
            self._events.append(e.Tick())
            self._work_off()

    def _wait(self) -> float:
        wanted = (self.brain.next_wake(), *(part.wake_at() for part in self._parts))
        first = min((at for at in wanted if at is not None), default=LONGEST_SELECT)
        return max(0.0, min(first - time.monotonic(), LONGEST_SELECT))

    def _work_off(self) -> None:
        while self._events and not self._over:
            event = self._events.popleft()
            if isinstance(event, e.CutOff):
                self._dropping = False
            self._watchdog.feed()
            for move in self.brain.on(time.monotonic(), event):
                if self._dropping and type(move) in m.NEEDS_SERVER:
                    continue
                try:
                    _DO[type(move)](self, move)
                except SERVER_AWAY as error:
                    self._cut_off(error)

    def _cut_off(self, error: Exception) -> None:
        self._dropping = True
        self._events.appendleft(e.CutOff(str(error)))

    # --- what happened

    def _take_wishes(self) -> None:
        for name, at in self._signals.take():
            if name == "SIGHUP":
                self._rehearsal.start()
            else:
                self._events.append(e.Signalled(name, at))

    def _bell_answered(self, rung: bool) -> None:
        self._events.append(e.Rang() if rung else e.NotRung())

    def _message(self, payload: bytes) -> None:
        try:
            command = parse_command(payload)
        except BadCommand as error:
            self.log.warning("Worker %s: message ignored: %s", self.host.name, error)
            return
        if command.name == "shutdown":
            self.log.info("Worker %s: received the command to shut down", self.host.name)
            self.host.stop_by_command()
        else:
            self._crew.look()  # or the brain wouldn't know yet what stations have started a moment ago
            self._events.append(e.Told(command.name, command.job_id))

    def _limited(self, key: Hashable, seconds: float | None) -> None:
        if key in self._desk.holdings:  # it is no callback's, and not given up meanwhile
            self._desk.holdings[str(key)].limit = seconds
        self._events.append(e.Limited(key, seconds))

    def _child_ended(self, key: Hashable, report: Report | None, death: Death | None) -> None:
        if isinstance(key, tuple):
            kind, name = key
            if kind == "killed" and report is not None and name in self._desk.holdings:
                self._desk.holdings[name].retry = report.retry
            self._events.append(e.AsideEnded(kind, name))
            return
        execution_id = str(key)
        holding = self._desk.holdings[execution_id]
        holding.report, holding.death, holding.ended = report, death, time.monotonic()
        terminated = death is not None and death.signal_number in SHUTDOWN_SIGNALS
        released, said = report is not None and report.outcome == "released", report is not None
        self._crew.refund(holding.waits or released)
        self._events.append(e.CallEnded(execution_id, said, terminated, released=released, waits=holding.waits))
        self._fork_slots.ended(execution_id)

    # --- moves: work

    def _claim(self, move: m.Claim) -> None:
        claimed = self._desk.claim(move)
        self._take_wishes()  # a wish to stop that came meanwhile goes first, so that nothing is started in vain
        self._events.append(claimed)

    def _start_job(self, move: m.StartJob) -> None:
        holding = self._desk.holdings[move.execution_id]
        self._job_log.started(holding.claimed)
        if self._crew.hand(holding):
            return
        if self._keeper is not None:
            call = self.host.job_call(holding.claimed, lambda: False)
            ended = run_in_place(self._keeper, self._signals, holding, call, self.brain.rules.kill_after, self.log)
            self._take_wishes()
            if ended:
                self._events.append(e.CallEnded(move.execution_id, reported=True, waits=holding.waits))
        else:
            self._fork_slots.start(move.execution_id)

    def _settle(self, move: m.Settle) -> None:
        events = list(self._desk.settle(move, self.brain.rules.kill_after))
        self._take_wishes()
        self._events.extend(events)

    def _release(self, move: m.Release) -> None:
        self._events.extend(self._desk.release(move.execution_ids))

    def _forget(self, move: m.Forget) -> None:
        self._desk.holdings.pop(move.execution_id, None)

    def _kill(self, move: m.Kill) -> None:
        if not (self._fork_slots.drop(move.execution_id) or self._crew.kill(move.execution_id)):
            self._children.kill(move.execution_id, signal.SIGKILL)

    def _interrupt(self, move: m.Interrupt) -> None:
        if not self._crew.ask(move.execution_id, SHUT_DOWN):
            self._children.interrupt(move.execution_id)

    def _ask_to_stop(self, move: m.AskToStop) -> None:
        self._crew.ask(move.execution_id, STOP)

    def _drain(self, _move: m.Drain) -> None:
        self._crew.drain()
        self._fork_slots.give_up()

    def _start_aside(self, move: m.StartAside) -> None:
        death = None
        job: Claimed | str = move.name
        if move.kind != "abandoned":
            holding = self._desk.holdings[move.name]
            try:
                self._desk.know(holding)
            except SERVER_AWAY:
                self._events.append(e.AsidePutOff(move.kind, move.name))
                raise
            job, death = holding.claimed, holding.death
        try:
            self._children.start((move.kind, move.name), self.host.aside_call(move.kind, job, death))
        except OSError as error:
            text = "Worker %s: no room for the process of a callback (%s, %s), it is left out: %s"
            self.log.error(text, self.host.name, move.kind, move.name, error.strerror)
            self._events.append(e.AsideEnded(move.kind, move.name))

    def _kill_aside(self, move: m.KillAside) -> None:
        self._children.kill((move.kind, move.name), signal.SIGKILL)

    # --- moves: the rest

    def _listen(self, move: m.Listen) -> None:
        self._ears.listen(move.queues, move.timeout)

    def _stop_listening(self, _move: m.StopListening) -> None:
        self._ears.stop_listening()

    def _extend(self, move: m.Extend) -> None:
        self._events.append(self._desk.extend(move.execution_ids))
        self._ears.check()

    def _beat(self, move: m.Beat) -> None:
        if self._keeper is not None:
            self._keeper.start()
        self._events.extend(self._desk.beat(move))
        self._ears.check()

    def _register(self, _move: m.Register) -> None:
        self.host.register_anew()

    def _reap(self, _move: m.Reap) -> None:
        failed, next_in, more = self._upkeep.reap(self._desk.server_time())
        self._desk.answered_at = time.monotonic()
        self._events.append(e.Reaped(tuple(failed), next_in, more))

    def _keep_up(self, _move: m.Upkeep) -> None:
        self._events.append(self._upkeep.clean(self.brain.rules.upkeep_interval))

    def _free(self, _move: m.Free) -> None:
        done = self._upkeep.free()
        self._events.append(e.Freed(done.more, done.freed))
        if self.brain.rules.stations:
            self._crew.look()  # a burst waits for word of what they do about them

    def _hangup(self, _move: m.Hangup) -> None:
        self._ears.close()
        leave(self.store.connection.connection_pool)

    def _probe(self, _move: m.Probe) -> None:
        ping(self.store)
        self._ears.subscribe()
        self._events.append(e.Back())

    def _log(self, move: m.Log) -> None:
        self.log.log(move.level, "Worker %s: %s", self.host.name, move.text)

    def _quit(self, move: m.Quit) -> None:
        if move.cold:
            self._sender.patience = 0.0
            for name, holding in self._desk.holdings.items():
                if holding.child is not None:
                    self.log.info("Worker %s: killed horse pid %s", self.host.name, holding.child.pid)
                self._children.kill(name, signal.SIGKILL)
        self.failed = move.failed
        if move.reload:
            self.left, self._sender.patience = self._crew.hand_on(), self.brain.rules.lease / 10
        self._over = True

    def _health(self) -> Health:
        return health_of(self.host.name, self.brain, self._desk, self._crew.condition(time.monotonic()))

    def _unshare(self) -> Iterator[int]:
        """File descriptors that would let a child disturb the loop, or keep its connections open after it has closed
        them."""
        self._watchdog.forget()
        yield self._selector.fileno()
        yield from self._signals.fds
        yield from self._ears.fds()
        for part in self._parts:
            yield from part.fds()


_DO: Final[dict[type[m.Move], Callable[[Driver, Any], None]]] = {
    m.Claim: Driver._claim,  # noqa: SLF001
    m.Listen: Driver._listen,  # noqa: SLF001
    m.StopListening: Driver._stop_listening,  # noqa: SLF001
    m.StartJob: Driver._start_job,  # noqa: SLF001
    m.Settle: Driver._settle,  # noqa: SLF001
    m.Release: Driver._release,  # noqa: SLF001
    m.Forget: Driver._forget,  # noqa: SLF001
    m.Kill: Driver._kill,  # noqa: SLF001
    m.Interrupt: Driver._interrupt,  # noqa: SLF001
    m.AskToStop: Driver._ask_to_stop,  # noqa: SLF001
    m.Drain: Driver._drain,  # noqa: SLF001
    m.StartAside: Driver._start_aside,  # noqa: SLF001
    m.KillAside: Driver._kill_aside,  # noqa: SLF001
    m.Extend: Driver._extend,  # noqa: SLF001
    m.Beat: Driver._beat,  # noqa: SLF001
    m.Reap: Driver._reap,  # noqa: SLF001
    m.Upkeep: Driver._keep_up,  # noqa: SLF001
    m.Free: Driver._free,  # noqa: SLF001
    m.Register: Driver._register,  # noqa: SLF001
    m.Hangup: Driver._hangup,  # noqa: SLF001
    m.Probe: Driver._probe,  # noqa: SLF001
    m.Log: Driver._log,  # noqa: SLF001
    m.Quit: Driver._quit,  # noqa: SLF001
}
