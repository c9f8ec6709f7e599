"""The worker's decisions, and nothing else: (now, event) -> moves. No I/O, no clock, no threads.

The driver tells it what happened and does what it says. `now` is any clock that only moves forward, in seconds.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import singledispatchmethod

from atomiq.worker import events as e
from atomiq.worker import moves as m
from atomiq.worker.endings import Endings
from atomiq.worker.runs import (
    DOUBLE_SIGNAL,
    ECHO_OF_SETTLEMENT,
    KILL_AFTER_INTERRUPT,
    LONGEST_BACK_OFF,
    NO_ROOM_PAUSE,
    STOP_PATIENCE,
    Intent,
    Run,
)
from atomiq.worker.stationed import Stationed


class Brain(Stationed, Endings):
    """Decides for one worker."""

    # --- the two questions a driver asks

    def on(self, now: float, event: e.Event) -> list[m.Move]:
        """What to do about `event`."""
        if not self._over():
            self._hear(event, now)
        if not self._over():
            self._go_on(now)
        moves, self._moves = self._moves, []
        return moves

    def next_wake(self) -> float | None:
        """When to send a Tick if nothing happens before; None: never."""
        times = [self._grace_at, self._search.rest_until, *self.asides.values()]
        times += [run.doubt_until if run.over else run.kill_at for run in self.runs.values()]
        times += self._crew_times()
        times += self._chores.times() if self.connected else [self._retry_at]
        return min((time for time in times if time is not None), default=None)

    @property
    def held(self) -> tuple[str, ...]:
        """The executions that are ours as far as we know."""
        return tuple(self.runs)

    # --- events

    @singledispatchmethod
    def _hear(self, event: e.Event, now: float) -> None:
        """Time passed, and `_go_on` sees what is due."""

    @_hear.register
    def _begin(self, event: e.Begin, now: float) -> None:
        self._chores.begin(now, event.cut_off_for)

    @_hear.register
    def _claimed(self, event: e.Claimed, now: float) -> None:
        self._failures = 0  # not before: a server that answers may still refuse writes
        self._search.claiming = False
        stopping = self.phase == "stopping"
        for job in event.jobs:
            # The wish to stop may have come while the answer was on its way: then nothing is started any more.
            intent: Intent = "release" if stopping else ""
            self.runs[job.execution_id] = Run(job, self._kill_time(now, job.limit), intent, over=stopping)
            if not stopping:
                self._do(m.StartJob(job.execution_id))
        if stopping:
            return
        if event.jobs:
            self._search.took(now, [job.queue for job in event.jobs])
        elif event.suspended:
            self._rest()
        else:
            self._found_nothing(now, event)

    @_hear.register
    def _rang(self, _event: e.Rang, _now: float) -> None:
        self._search.rang()

    @_hear.register
    def _not_rung(self, _event: e.NotRung, _now: float) -> None:
        self._search.not_rung()

    @_hear.register
    def _not_started(self, event: e.NotStarted, now: float) -> None:
        run = self.runs[event.execution_id]
        run.over, run.intent = True, "release"
        self._search.not_started(now + NO_ROOM_PAUSE)
        self._log(logging.ERROR, f"no process can be started ({event.reason}): job {run.job.job_id} is given back")

    @_hear.register
    def _limited(self, event: e.Limited, now: float) -> None:
        run = self.runs.get(str(event.key))
        if run is not None and not run.over and run.intent == "":
            run.kill_at = self._kill_time(now, event.seconds)
        for aside in self.asides.keys() & {event.key}:
            self.asides[aside] = self._aside_end(now, event.seconds or None)

    _hear.register(e.CallEnded, Endings.call_ended)
    _hear.register(e.AsideEnded, Endings.aside_ended)
    _hear.register(e.AsidePutOff, Endings.aside_put_off)
    _hear.register(e.Settled, Endings.settled)
    _hear.register(e.Seen, Stationed.seen)
    _hear.register(e.CrewState, Stationed.crew_changed)
    _hear.register(e.HandedOver, Stationed.handed_over)
    _hear.register(e.TooLarge, Stationed.too_large)
    _hear.register(e.ReloadWanted, Stationed.reload_wanted)

    @_hear.register
    def _hopeless(self, event: e.Hopeless, _now: float) -> None:
        self._log(logging.CRITICAL, event.reason)
        self._quit(failed=event.reason)

    @_hear.register
    def _extended(self, event: e.Extended, now: float) -> None:
        if event.reborn:
            self._do(m.Register())
        for execution_id in event.lost:
            run = self.runs.get(execution_id)
            if run is not None and not run.over and run.intent != "lost":
                if not run.stationed:
                    self._lose(now, execution_id)
                elif run.lost_at is None:  # or its station has settled it a moment ago, as the next looks will show
                    run.lost_at = now + ECHO_OF_SETTLEMENT
        for execution_id in event.stop:
            if execution_id in self.runs:
                self._stop_job(now, execution_id)

    @_hear.register
    def _reaped(self, event: e.Reaped, now: float) -> None:
        self._chores.reaped(now, event.next_in)
        if event.more:
            self._chores.free(now, more=True)
        self._abandoned.extend(event.failed)

    @_hear.register
    def _failed(self, event: e.Failed, now: float) -> None:
        self._chores.free(now, more=True)
        self._abandoned.extend(event.jobs)

    @_hear.register
    def _cleaned(self, event: e.Cleaned, now: float) -> None:
        if event.any:
            self._chores.free(now, more=True)
        if event.more:
            self._chores.clean_on(now)

    @_hear.register
    def _freed(self, event: e.Freed, now: float) -> None:
        self._chores.free(now, event.more)
        if event.freed:
            self._swept = -1
        self.crew = replace(self.crew, idle_since=None)  # they are to look again

    @_hear.register
    def _signalled(self, event: e.Signalled, now: float) -> None:
        self._stop(now, event.name, event.at)

    @_hear.register
    def _told(self, event: e.Told, now: float) -> None:
        running = [name for name, run in self.runs.items() if not run.over]
        if not self.rules.killable:
            self._warn(f"command {event.command} ignored: this worker runs its jobs in its own process")
        elif event.command == "kill-horse":
            if not running:
                self._info("command kill-horse ignored: no job runs here")
            for execution_id in running:
                self._kill(now, execution_id, "kill")
        elif event.command == "stop-job":
            named = [name for name in running if self.runs[name].job.job_id == event.job_id]
            if not named:
                self._info(f"command stop-job ignored: job {event.job_id} doesn't run here")
            for execution_id in named:
                self._stop_job(now, execution_id)

    @_hear.register
    def _cut_off(self, event: e.CutOff, now: float) -> None:
        if self.connected:
            self._do(m.Hangup())
        self.connected = False
        self._search.lost_touch()
        for run in self.runs.values():
            run.sent = False
        delay = min(LONGEST_BACK_OFF, 2.0**self._failures) * (1 - self._jitter() / 5)
        self._failures += 1
        self._retry_at = now + delay
        self._log(logging.ERROR, f"the server can't be reached ({event.reason}); next try in {delay:.1f} s")

    @_hear.register
    def _back(self, _event: e.Back, now: float) -> None:
        self.connected, self._retry_at = True, None
        self._chores.back(now)
        self._info("the server is back")

    # --- what follows from any event

    def _go_on(self, now: float) -> None:
        self._enforce_limits(now)
        self._resolve_doubts(now)
        self._search.wake_up(now)
        if self._abandoned and not any(kind == "abandoned" for kind, _ in self.asides):
            self._start_aside(now, "abandoned", self._abandoned.pop(0))
        if self.connected:
            self._start_what_was_put_off(now)
            for chore in self._chores.due(now, self.held):
                self._do(chore)
            self._send_what_ended()
        elif self._retry_at is not None and now >= self._retry_at:
            self._retry_at = None
            self._do(m.Probe())
        if self.phase == "working":
            self._look_for_work(now)  # or find that there is none, and begin to stop
        if self.phase == "reloading" and self.connected and self._may_reload() and not self._search.claiming:
            if self.held and self.rules.extends:
                self._do(m.Extend(self.held))  # the next program has a whole lease to come up in
            self._quit(reload=True)
        elif self.phase == "stopping" and not self._busy and not self._search.claiming and not self.crew.members:
            self._quit()

    def _look_for_work(self, now: float) -> None:
        if not self.rules.slots:
            self._look_at_crew(now)
        elif self._search.used_up:
            if not self._has_more_to_do:
                self._info(f"finished executing {self.executed} jobs, quitting")
                self._end()
        elif self.connected:
            if self._search.listening and self.rules.burst and not self._has_more_to_do:
                self._search.listening = False
                self._do(m.StopListening())
            claim = self._claim(self._taken())
            if claim is not None:
                self._do(claim)

    def _found_nothing(self, now: float, event: e.Claimed) -> None:
        if self._search.suspended:
            self._search.suspended = False
            self._info("resumed")
        if event.more:  # a bounded step met only what is not to be run: look on
            return
        if self.rules.burst and not self._has_more_to_do:
            if not self._sweeps(now):
                self._info("done, quitting")
                self._end()
            return
        idle = self._search.idle_for(now, len(self.runs))
        if self.rules.max_idle_time is not None and idle >= self.rules.max_idle_time and not self._busy:
            self._info(f"idle for {idle:.0f} seconds, quitting")
            self._end()
            return
        self._do(m.Listen(self._search.order, self._search.listen(now, event.due_in, len(self.runs))))

    def _rest(self) -> None:
        if not self._search.suspended:
            self._info("suspended, run `atomiq resume` to resume")
        self._search.suspended = True
        if self.rules.burst and not self._busy:
            self._end()
            return
        self._do(m.Beat(state="suspended"))
        self._do(m.Listen(self._search.order, self._search.rest()))

    # --- limits, stops, kills

    def _enforce_limits(self, now: float) -> None:
        if self._grace_at is not None and now >= self._grace_at:
            self._grace_at, self._grace_is_over = None, True
        for execution_id, run in self.runs.items():
            if self._grace_is_over and not run.over and run.intent == "":
                self._warn(f"job {run.job.job_id} is interrupted and given back: the grace is over")
                run.intent, run.kill_at = "release", now + KILL_AFTER_INTERRUPT
                self._do(m.Interrupt(execution_id))
        for execution_id, run in self.runs.items():
            if not run.over and run.kill_at is not None and now >= run.kill_at:
                if run.intent == "":
                    self._warn(f"job {run.job.job_id} overran its time limit and is killed")
                self._kill(now, execution_id, run.intent or "overrun")
        for kind, name in [key for key, kill_at in self.asides.items() if now >= kill_at]:
            self.asides[kind, name] = now + KILL_AFTER_INTERRUPT
            self._warn(f"a callback ({kind}, {name}) overran its time limit and is killed")
            self._do(m.KillAside(kind, name))

    def _stop_job(self, now: float, execution_id: str) -> None:
        run = self.runs[execution_id]
        if run.over or run.intent in ("stop", "lost"):
            return
        self._info(f"job {run.job.job_id} is stopped on request")
        if run.job.shared and run.intent == "":
            run.intent, run.kill_at = "stop", now + STOP_PATIENCE
            self._do(m.AskToStop(execution_id))
        else:
            self._kill(now, execution_id, "stop")

    def _stop(self, now: float, cause: str, asked_at: float) -> None:
        if self._stop_asked_at is not None:  # one that ends by itself is stopping too, and nobody has asked
            if asked_at - self._stop_asked_at >= DOUBLE_SIGNAL:
                self._info("cold shut down")
                self._quit(cold=True)
            return
        self.phase, self._stop_asked_at = "stopping", asked_at
        self._info(f"warm shut down requested ({cause})")
        self._stop_listening()
        if self._has_crew:
            self._do(m.Drain())
        if not self.runs and not self._has_crew:
            self._info("stopping on request")
            return
        if self.rules.grace is not None and self.rules.killable:
            self._grace_at = now + self.rules.grace
        if self.connected:
            self._do(m.Beat(stopping=True))
