"""What all stations have in common: jobs in, outcomes out, over one line, without waiting for what isn't needed yet.

The owner calls every method from one thread. It runs what `held` offers, says `start` before and `settle` after, and
when it has nothing to run it calls `go_on` and waits for `line` or `bell`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from atomiq._commands.base import Command
from atomiq._commands.claim import NO_TALLY, Held, claim, release
from atomiq._commands.settle import GROUP_PAUSE_MS, Freed, Settled, free, settle
from atomiq._commands.settle_template import SettleTemplate
from atomiq._core.errors import SERVER_AWAY, ServerUnavailable
from atomiq._wire.line import Line
from atomiq._wire.sync import Store
from atomiq.executors.outcome import reported, time_limit, unstorable
from atomiq.executors.report import Report
from atomiq.stations.ahead import ReadAhead
from atomiq.stations.budget import Share
from atomiq.stations.ledger import AWAY, BUSY, IDLE, RESTING, Ledger, TooLong, execution_ids, number_of
from atomiq.stations.lookout import Lookout
from atomiq.stations.task import Asking, Identity, Outcome, Task
from atomiq.stations.uncounted import Uncounted

LONGEST_BACK_OFF: Final = 5.0
ON_HOLD: Final = 0.05
"""Seconds until a station that is on hold looks whether it still is."""


class Pump:
    """Claims and settles for one station of `slots` jobs at a time."""

    def __init__(self, identity: Identity, store: Store, ledger: Ledger, slots: int) -> None:
        self.line = Line(store, identity.patience)
        self.lookout = Lookout(store, identity.rules, identity.reorder)
        self.ledger = ledger
        self.held: deque[Task] = deque()
        self.leaving = False
        self.failed: Exception | None = None
        """Why the station can't go on."""
        self.busy = 0
        self.on_cut_off: Callable[[], None] = lambda: None
        """Called when connections are given up, before the complaint: perhaps it was a job that has closed them."""
        self._identity = identity
        self._store, self._slots = store, slots
        self._template = SettleTemplate(store.keys, identity.worker, identity.lease_ms)
        self._share = Share(identity.budget, ledger)
        self._ahead, self._asked = ReadAhead(slots), 0
        self._uncounted = Uncounted(ledger)
        self._seems_busy = False
        """No full claim has followed the last settlement: it would show that the worker rests."""
        self._retry_at: float | None = 0.0
        self._failures = 0

    # --- a job's way through the station

    def start(self, slot: int, task: Task) -> bool:
        """Note that a held job starts now. False: it was given back meanwhile, or it can't be noted and has failed."""
        task.started_at = now = time.monotonic()
        try:
            started = self.ledger.start(slot, task.entry(now, time_limit(task.claimed)))
        except TooLong as error:  # it must not come back, to end one child after the other
            self._share.use()
            self.busy += 1
            self.settle(slot, task, Report("failed", now, now, exc_string=f"{error}\n", retry="never"))
            return False
        if not started:
            back = [task]  # all of them in one step, or their order would change
            while self.held and self.held[0].number <= self.ledger.cut:
                back.append(self.held.popleft())
            self._share.put_back(len(back))
            self._give_back(back)
            return False
        self._share.use()
        self.busy += 1
        self._identity.job_log.started(task.claimed)
        return True

    def passed_on(self, task: Task) -> None:
        """Another process runs this held job."""
        self._share.use()
        self.ledger.skip(task.number)

    def announce(self, slot: int, task: Task, seconds: float | None) -> None:
        """From now on the job in this slot may take so long."""
        self.ledger.limit(slot, task.entry(time.monotonic(), seconds))

    def settle(self, slot: int, task: Task, report: Report) -> None:
        """Send how a job ended, and ask for others with it. Doesn't wait."""
        self.busy, now = self.busy - 1, time.monotonic()
        self._ahead.took(now - task.started_at)
        if report.outcome == "released":
            self._share.refund()
            self._give_back([task])
        else:
            if report.outcome == "waiting":
                self._share.refund()  # it has not run
            if report.told:  # counted, too: the call that repeats it must not be one that is counted later
                self._ahead.full_at = float("-inf")
            end = reported(task.claimed, report, self._identity.worker, task.server_ms)
            self._send_outcome(Outcome(task, end, report.ended - report.started, True), now)
        self.ledger.end(slot)  # not before: until then the supervisor settles what a sudden death leaves open

    def _send_outcome(self, outcome: Outcome, now: float) -> None:
        count = self._wanted()
        if count == 0:
            self._seems_busy = True
            command: Command[Any] = self._plainly(outcome)
        else:
            outcome.full, outcome.asked = self._ahead.is_full(now), count
            self._seems_busy = not outcome.full
            numbers = self._numbers(count)
            tally = self._uncounted.take(outcome.task.number, claims=False) if outcome.full else NO_TALLY
            command = self._template.settle_and_claim(outcome.end, self.lookout.queues, numbers, outcome.full, tally)
        if self.line.open:
            self._uncounted.add(outcome)  # before: sending lets go of the GIL, and the server acts at once
        self._send(command, outcome)

    def _plainly(self, outcome: Outcome) -> Command[Any]:
        tally = self._uncounted.take(outcome.task.number, claims=False)
        return settle(self._store.keys, settlement=outcome.end, tally=tally)

    def release_held(self) -> None:
        """Give back what isn't started, once no more of it is on its way: in one step, or its order would change."""
        if self.held and not self._asked:
            self._share.put_back(len(self.held))
            self._give_back(list(self.held))
            self.held.clear()

    def _give_back(self, tasks: Sequence[Task]) -> None:
        held = [Held(task.claimed.queue, task.claimed.job_id, task.claimed.execution_id) for task in tasks]
        self._send(release(self._store.keys, worker=self._identity.worker, held=held), None)

    def _send(self, command: Command[Any], context: Any) -> None:
        try:
            self.line.send(command, context)
        except SERVER_AWAY as error:  # the command stays on the line
            self.cut_off(error, time.monotonic())

    # --- asking

    @property
    def idle(self) -> bool:
        """Nothing runs, nothing is held, and nothing is on its way."""
        return not (self.busy or self.held or len(self.line))

    @property
    def owes(self) -> bool:
        """The server has not confirmed yet how a job has ended."""
        return any(isinstance(context, Outcome) for context in self.line.contexts())

    def _wanted(self) -> int:
        return 0 if self.lookout.waiting else self._room()

    def _room(self) -> int:
        if self.leaving or self._silenced:
            return 0
        identity, count = self._identity, self._slots - self.busy - len(self.held) - self._asked
        return self._share.take(min(count, 1) if identity.one_by_one else count + self._ahead.target)

    @property
    def _silenced(self) -> bool:
        """Nothing is to be asked for, for now or for good."""
        return not self._identity.claims or self.ledger.silenced

    def _numbers(self, count: int) -> list[str]:
        self._asked += count
        return execution_ids(self._identity.token, self.ledger.ask(count))

    def go_on(self, now: float) -> float | None:
        """When something can be done for the station to have work: do it. Says until when to wait at most."""
        if not self.line.open:
            return self._reconnect(now)
        lookout, soon = self.lookout, now + self._identity.patience
        if self.line.overdue() or lookout.dead(now):
            self.cut_off(ServerUnavailable("the connection is dead"), now)
            return self._retry_at
        lookout.wake_up(now)
        if lookout.look_is_due(now):
            self._send(lookout.look(now), "look")
        elif lookout.bell.listening and self._seems_busy and self.idle and not self._claim(now, self._room()):
            self._be(IDLE, now)
        if self._asked or lookout.bell.listening or self.leaving:
            return lookout.until(soon)
        if self._silenced:
            self.ledger.hear(now)  # there is nothing to ask the server, so it is not silent
            if self.ledger.on_hold:  # not idle: there may be more in the queues
                return now + ON_HOLD
            if self.idle:
                self._be(IDLE, now)
            return soon
        if lookout.rest_until is not None:
            return lookout.rest_until
        if self.busy + len(self.held) >= self._slots:
            return soon
        if lookout.nothing and not (self._seems_busy and self.idle):
            self._listen(now)
        else:
            self.leaving = not self._claim(now, self._wanted())  # there is room, but not in the budget
        return lookout.until(soon)

    def _claim(self, now: float, count: int) -> bool:
        if count == 0:
            return False
        self._ahead.full_at, self._seems_busy = now, False
        first = self.ledger.asked + 1
        command = claim(
            self._store.keys,
            queues=self.lookout.queues,
            worker=self._identity.worker,
            executions=self._numbers(count),
            lease_ms=self._identity.lease_ms,
            pass_on=self.lookout.watches_schedule,
            tally=self._uncounted.take(first, claims=True),
        )
        self._send(command, Asking(first, count, True))
        return True

    # --- answers

    def take(self, now: float) -> bool:
        """Deal with the answers that have arrived. Says whether there were any."""
        try:
            answers = self.line.take()
        except SERVER_AWAY as error:
            self.cut_off(error, now)
            return True
        if answers:
            self.ledger.hear(now)
        for _, context, value in answers:
            if isinstance(context, Outcome):
                self._answered(context, value, now)
            elif isinstance(context, Asking):
                self._asked -= context.asked
                self._uncounted.heard(context.first, claims=True)
                self._claimed(value, context.asked, context.full, now)
            elif isinstance(value, Freed) and value.more:
                self._free()
            elif context == "look":
                self._looked_around(value, now)
            elif isinstance(value, Exception):
                self._identity.log.error("Worker %s: %s", self._identity.worker, value)
        waits = self.lookout.bell.listening and not self._seems_busy  # else it looks once more: a job may be retried
        if self.idle and (waits or self.lookout.rest_until is not None):
            self._be(IDLE if waits else RESTING, now)
        return bool(answers)

    def _answered(self, outcome: Outcome, value: Any, now: float) -> None:
        self._asked -= outcome.asked
        if isinstance(value, Exception):
            self._unstorable(outcome, value)
            return
        self._uncounted.heard(outcome.task.number, claims=False)
        settled, more = value if outcome.asked else (value, None)
        self._note(outcome, settled)
        if more is not None:
            self._claimed(more, outcome.asked, outcome.full, now)

    def _note(self, outcome: Outcome, settled: Settled) -> None:
        word = settled.word
        if word in ("not_yours", "gone"):
            job_id, worker = outcome.end.job_id, self._identity.worker
            why = "was no longer ours when it ended" if word == "not_yours" else "was deleted while it ran"
            self._identity.log.warning("Worker %s: job %s %s: its outcome is dropped", worker, job_id, why)
            self._uncounted.drop(outcome)
        elif not outcome.uncounted:
            self._uncounted.add(outcome)
        if settled.more:
            self._free()
        self.ledger.settled(lost=word == "not_yours")
        self._identity.job_log.settled(outcome.task.claimed, outcome.end, settled, outcome.took)

    def _free(self) -> None:
        """Go on with dependants: there are more than one step frees."""
        self._send(free(self._store.keys, pause_ms=GROUP_PAUSE_MS), None)

    def _unstorable(self, outcome: Outcome, error: Exception) -> None:
        text = "Worker %s: job %s: its outcome can't be stored: %s"
        self._identity.log.error(text, self._identity.worker, outcome.end.job_id, error)
        if outcome.replaced:
            self._uncounted.heard(outcome.task.number, claims=False)
            return
        replacement = self._replaced(outcome, error)
        self._send(self._plainly(replacement), replacement)

    def _replaced(self, outcome: Outcome, error: Exception) -> Outcome:
        self._uncounted.drop(outcome)
        return Outcome(outcome.task, unstorable(outcome.end, error), outcome.took, True, replaced=True)

    def _claimed(self, answer: Any, asked: int, full: bool, now: float) -> None:
        self.ledger.heard_more(asked)
        if isinstance(answer, Exception):
            self._identity.log.error("Worker %s: no work can be claimed: %s", self._identity.worker, answer)
            self.failed, self.leaving = answer, True
            return
        self._failures = 0
        jobs = answer.jobs
        if len(jobs) < asked:
            self._share.put_back(asked - len(jobs))
        if jobs:
            self._be(BUSY, now)
            self.lookout.took(now, [claimed.queue for claimed in jobs])
            for claimed in jobs:
                self.held.append(Task(claimed, number_of(claimed.execution_id), now, answer.now_ms))
        elif answer.suspended:
            self._rest(now)
        elif full and not answer.more:
            due_in = max(0.0, (answer.next_due_ms - answer.now_ms) / 1000) if answer.next_due_ms else None
            self.lookout.found_nothing(now, due_in, self.busy)
            if self.lookout.bell.listening:
                self._void()

    # --- waiting for work

    def _listen(self, now: float) -> None:
        self._void()
        try:
            self.lookout.listen(now, self.busy)
        except SERVER_AWAY as error:
            self.cut_off(error, now)
            return
        self._be(IDLE if self.idle else BUSY, now)  # an outcome may be on its way, and its job come back

    def _rest(self, now: float) -> None:
        self._void()
        self.lookout.rest(now)
        self._be(BUSY if self.busy else RESTING, now)

    def rang(self) -> None:
        """The bell's connection has an answer."""
        try:
            self.lookout.heard()
        except SERVER_AWAY as error:
            self.cut_off(error, time.monotonic())

    def _looked_around(self, value: Any, now: float) -> None:
        self.lookout.looking_since = None
        if not self.lookout.bell.listening or self._asked:
            return
        if isinstance(value, Exception) or not value:
            self.lookout.found_nothing(now, None, self.busy)
        else:
            self._claim(now, self._room())  # and go on to listen: perhaps there is nothing for us

    def _void(self) -> None:
        """Nothing is under way: no number that was asked for stands for a job any more."""
        if not self.held and not self._asked and self.ledger.asked > self.ledger.started:
            self.ledger.heard(self.ledger.asked)
            self.ledger.skip(self.ledger.asked)

    def _be(self, state: int, now: float) -> None:
        if self.ledger.state != state:
            self.ledger.be(state, now)
            if state in (IDLE, RESTING):
                self._identity.on_idle()

    # --- the server goes and comes back

    def cut_off(self, error: Exception, now: float) -> None:
        """The server can't be reached: what is under way is sent again when it is back."""
        self.on_cut_off()
        self.line.close()
        self.lookout.lost_touch()
        delay = min(LONGEST_BACK_OFF, 0.25 * 2.0**self._failures)
        self._failures += 1
        self._retry_at = now + delay
        self._be(AWAY, now)
        text = "Worker %s: the server can't be reached (%s); next try in %.1f s"
        self._identity.log.error(text, self._identity.worker, error, delay)

    def _reconnect(self, now: float) -> float | None:
        if self._retry_at is not None and now < self._retry_at:
            return self._retry_at
        try:
            self.line.resume(self._revised)
        except SERVER_AWAY as error:
            self.cut_off(error, now)
            return self._retry_at
        self._be(BUSY, now)
        return now

    def _revised(self, command: Command[Any], context: Any) -> tuple[Command[Any], Any]:
        if isinstance(context, Outcome) and context.cut_off_for_good():
            error = ServerUnavailable(f"the connection broke {context.cut_offs} times while it was sent")
            fresh = self._replaced(context, error)
            self._asked -= context.asked
            self._share.put_back(context.asked)
            return self._plainly(fresh), fresh
        return command, context

    def fds(self) -> list[int]:
        """What to wait for."""
        bell = self.lookout.bell
        return [*([self.line.fileno()] if self.line.open else ()), *([bell.fileno()] if bell.listening else ())]
