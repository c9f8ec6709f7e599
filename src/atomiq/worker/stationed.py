"""The brain's part about stations: warm children that claim and settle by themselves. They are watched, interrupted,
killed and drained here; what they leave behind when they die goes the way of any other death."""

from __future__ import annotations

from atomiq.worker import events as e
from atomiq.worker import moves as m
from atomiq.worker.books import Books
from atomiq.worker.runs import Run


class Stationed(Books):
    """From what the crew says to moves."""

    def seen(self, event: e.Seen, now: float) -> None:
        """What stations run is ours to extend, to stop and to kill, as if we ran it."""
        for name in event.gone:
            run = self.runs.get(name)
            if run is not None and run.stationed and not run.over:
                del self.runs[name]
        for sighted in event.running:
            job = sighted.job
            run = self.runs.get(job.execution_id)
            if run is None:
                kill_at = self._kill_time(sighted.since, job.limit)
                self.runs[job.execution_id] = Run(job, kill_at, stationed=True)
            elif not run.over:
                if run.intent == "":
                    run.job = job  # one that was handed over may have begun to share its process
                    run.kill_at = self._kill_time(sighted.since, job.limit)
                # Not by the clock alone: since we were told, we may not have come to look.
                if run.lost_at is not None and now >= run.lost_at:
                    self._lose(now, job.execution_id)

    def _lose(self, now: float, execution_id: str) -> None:
        run = self.runs[execution_id]
        self.lost += 1
        run.lost_at = None
        if run.job.shared:
            run.intent, run.kill_at = "lost", None
            self._warn(f"job {run.job.job_id} is no longer ours, its lease was over: it is asked to stop")
            self._do(m.AskToStop(execution_id))
        else:
            self._warn(f"job {run.job.job_id} is no longer ours, its lease was over: killed here")
            self._kill(now, execution_id, "lost")

    def crew_changed(self, event: e.CrewState, now: float) -> None:
        """How the stations are, all together."""
        rested, self.crew = self.crew.resting, event
        if event.resting and not rested:
            self._info("suspended, run `atomiq resume` to resume")
            self._do(m.Beat(state="suspended"))
        elif rested and not event.resting and self.phase == "working":
            self._info("resumed")

    def handed_over(self, event: e.HandedOver, now: float) -> None:
        """A job that a station has claimed for another executor: ours from now on, and settled by us."""
        run = Run(event.job, None)
        self.runs[event.job.execution_id] = run
        if self.phase == "stopping":
            run.intent, run.over = "release", True
        else:
            self._do(m.StartJob(event.job.execution_id))

    def too_large(self, event: e.TooLarge, now: float) -> None:
        """Killed before the machine runs out of memory."""
        run = self.runs.get(event.execution_id)
        if run is not None and not run.over and run.intent == "":
            self._warn(f"job {run.job.job_id} is killed: its process uses {event.used / 2**20:.0f} MiB")
            self._kill(now, event.execution_id, "memory")

    def reload_wanted(self, _event: e.ReloadWanted, _now: float) -> None:
        """No child takes another job; once nothing runs but in stations, a new program takes them over."""
        if self.phase == "working":
            self._info("reload requested: what runs is finished by the present children")
            self.phase = "reloading"
            self._do(m.Drain())

    def _may_reload(self) -> bool:
        return not self.asides and all(run.stationed and not run.over for run in self.runs.values())

    def _look_at_crew(self, now: float) -> None:
        """Has the worker done what it was to do?"""
        idle_since = self.crew.idle_since
        if self._has_more_to_do or not self._has_crew:
            return
        if self.crew.spent and idle_since is not None:
            self._info(f"finished executing {self.executed + self.crew.done} jobs, quitting")
            self._leave()
        elif idle_since is not None and self.rules.burst:
            if not self._sweeps(now):
                self._info("done, quitting")
                self._leave()
        elif idle_since is not None and now - idle_since >= (self.rules.max_idle_time or float("inf")):
            self._info(f"idle for {now - idle_since:.0f} seconds, quitting")
            self._leave()

    def _crew_times(self) -> list[float | None]:
        if self.rules.max_idle_time is None or self.crew.idle_since is None or self.phase != "working":
            return []
        return [self.crew.idle_since + self.rules.max_idle_time]

    def _end(self) -> None:
        """There is nothing more to do."""
        if self._has_crew:
            self._leave()
        else:
            self._quit()

    def _leave(self) -> None:
        """An orderly end: the stations first."""
        self._stop_listening()
        self.phase = "stopping"
        self._do(m.Drain())

    @property
    def _has_crew(self) -> bool:
        return self.rules.stations > 0
