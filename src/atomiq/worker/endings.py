"""The brain's part about ends: of calls, of children, of callbacks, and the settlements that follow."""

from __future__ import annotations

from dataclasses import replace

from atomiq.worker import events as e
from atomiq.worker import moves as m
from atomiq.worker.books import Books
from atomiq.worker.runs import ECHO_OF_STOP, OUR_DOING


class Endings(Books):
    """From the end of a call to the server's word on it."""

    def call_ended(self, event: e.CallEnded, now: float) -> None:
        """A call is over: with a report, by our doing, or by the death of its process."""
        run = self.runs.get(event.execution_id)
        if run is None or run.over:
            return
        run.over = True
        if run.intent == "lost":
            del self.runs[event.execution_id]
            self._do(m.Forget(event.execution_id))
        elif event.released:
            run.intent = "release"
        elif event.reported:
            run.verdict, run.waits = "reported", event.waits
            if event.waits and self.rules.slots:  # claimed by this loop: it is not one of max_jobs
                self._search.started -= 1
        elif run.intent == "stop":
            run.verdict = "stopped"
            if run.job.stopped_callback is not None:
                self._start_aside(now, "stopped", event.execution_id)
        elif event.collateral and run.intent == "":
            run.intent = "release"  # its station was killed for another job's sake
        elif event.terminated and run.intent == "":
            run.doubt_until = now + ECHO_OF_STOP
        elif run.intent != "release":
            self._died(now, event.execution_id)

    def _died(self, now: float, execution_id: str) -> None:
        run = self.runs[execution_id]
        run.verdict, run.doubt_until = OUR_DOING.get(run.intent, "died"), None
        if self.rules.killed_handler:
            self._start_aside(now, "killed", execution_id)

    def _resolve_doubts(self, now: float) -> None:
        """Whoever stops a service may signal all its processes: then the job wasn't killed, it was to stop with us."""
        for execution_id, run in self.runs.items():
            if run.doubt_until is not None and self.phase == "stopping":
                run.intent, run.doubt_until = "release", None
            elif run.doubt_until is not None and now >= run.doubt_until:
                self._died(now, execution_id)

    def aside_ended(self, event: e.AsideEnded, _now: float) -> None:
        """A callback in a child of its own is over."""
        self.asides.pop((event.kind, event.name), None)
        if event.kind != "abandoned" and event.name in self.runs:
            self.runs[event.name].in_aside = False

    def aside_put_off(self, event: e.AsidePutOff, _now: float) -> None:
        """Its run waits for it until the server is back."""
        del self.asides[event.kind, event.name]
        self._put_off.append((event.kind, event.name))

    def _start_what_was_put_off(self, now: float) -> None:
        waiting, self._put_off = self._put_off, []
        for kind, name in waiting:
            self._start_aside(now, kind, name)

    def settled(self, event: e.Settled, now: float) -> None:
        """The server has answered a settlement or release."""
        if event.more:
            self._chores.free(now, more=True)
        run = self.runs.pop(event.execution_id, None)
        if run is None:
            return
        self.crew = replace(self.crew, idle_since=None)  # it may have gone back to its queue: they are to look again
        if run.verdict is not None:
            self.executed += not run.waits
            if not self.runs and (self._search.listening or not self.rules.slots):
                self._do(m.Release(()))  # no claim follows that would show that the worker rests
        if event.word == "not_yours":
            self.lost += 1
            self._warn(f"job {run.job.job_id} was no longer ours when it ended: its outcome is dropped")
        elif event.word == "gone":
            self._warn(f"job {run.job.job_id} was deleted while it ran: its outcome is dropped")

    def _send_what_ended(self) -> None:
        back = [name for name, run in self.runs.items() if run.over and run.intent == "release" and not run.verdict]
        back = [name for name in back if not self.runs[name].sent]
        if back:
            self._do(m.Release(tuple(back)))
        for execution_id, run in self.runs.items():
            if run.over and not run.sent and not run.in_aside and run.doubt_until is None:
                run.sent = True
                if run.verdict is not None:
                    claim = self._claim(self._taken(but=execution_id)) if self.phase == "working" else None
                    self._do(m.Settle(execution_id, run.verdict, claim))
