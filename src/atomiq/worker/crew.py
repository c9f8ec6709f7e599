"""The warm children of one worker, seen from its loop: their birth, what their ledgers say, what they leave behind when
they die."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from selectors import EVENT_READ, BaseSelector
from typing import Any, Final

from atomiq._core.settings import DEFAULT_LEASE
from atomiq.executors.death import Death
from atomiq.executors.report import report_of
from atomiq.stations.budget import Budget
from atomiq.stations.ledger import AWAY, BUSY, IDLE, RESTING, STARTING, Running, number_of
from atomiq.stations.mail import Passed
from atomiq.worker import events as e
from atomiq.worker.give_back import GiveBack
from atomiq.worker.handover import Handover
from atomiq.worker.posts import Condition, Maker, Member, Post, runs_of, sighted_in, slot_of, watch_mail
from atomiq.worker.settle import Holding
from atomiq.worker.tallies import Tallies

LOOK: Final = 0.25
LOOK_IDLE: Final = 1.0
"""The same while none of them works; with short leases more often: what is seen late is extended late."""
MUTE: Final = 30.0
"""Seconds without an answer of the server after which an idle station is taken for dead; it asks every few seconds."""
YOUNG: Final = 2.0
"""Seconds. A station that fails before this age, or before it has begun, is started less and less often."""
LONGEST_PAUSE: Final = 10.0
HOPELESS: Final = 5
"""So many stations in a row that fail young end the worker."""


class Crew:
    """Starts stations, watches them in the loop's selector, and tells the brain what it has to know."""

    def __init__(
        self,
        selector: BaseSelector,
        makers: Sequence[Maker],
        give_back: GiveBack,
        tallies: Tallies,
        holdings: dict[str, Holding],
        tell: Callable[[e.Event], None],
        unshare: Callable[[], Iterator[int]],
        name: str,
        log: logging.Logger,
        budget: Budget | None = None,
        lease: float = DEFAULT_LEASE,
        crowded: Callable[[], bool] = lambda: False,
    ) -> None:
        self._selector = selector
        self._budget = budget
        self._give_back = give_back
        self._tallies = tallies
        self._holdings = holdings
        self._tell = tell
        self._unshare = unshare
        self._name = name
        self._log = log
        self._posts = [Post(maker) for maker in makers for _ in range(maker.wanted)]
        self._handover = Handover([maker.kind for maker in makers], lambda: self.members, holdings, tell, crowded)
        self._adopted: list[Post] = []
        self._done_before = 0
        self._childless_since = time.monotonic()
        self._look_at = 0.0
        self._look_idle = min(LOOK_IDLE, lease / 6)
        self._draining = False
        self._summary: e.CrewState | None = None

    @property
    def members(self) -> list[Member]:
        return [post.member for post in (*self._posts, *self._adopted) if post.member is not None]

    def adopt(self, members: Sequence[Member]) -> None:
        """Children of an earlier program of this process: they are looked after until they have ended."""
        for member in members:
            post = Post(None, member)
            self._adopted.append(post)
            self._register(post, member)

    def hand_on(self) -> tuple[Member, ...]:
        """Let go of all children, alive: the next program of this process looks after them."""
        members = tuple(self.members)
        for post in (*self._posts, *self._adopted):
            post.member = None
        return members

    @property
    def done(self) -> int:
        """Jobs that stations have settled."""
        return self._done_before + sum(member.ledger.done for member in self.members)

    def pids(self) -> set[int]:
        return {member.child.pid for member in self.members}

    def fds(self) -> Iterator[int]:
        return (fd for member in self.members for fd in member.fds)

    # --- the loop's questions

    def wake_at(self) -> float | None:
        """When `check` wants to be called although no file descriptor says so."""
        if not self._posts and not self._adopted:
            return None
        times = [self._look_at]
        times += [post.start_at for post in self._posts if self._is_missed(post)]
        back = self._give_back.due_at()
        return min(times if back is None else [*times, back])

    def check(self) -> None:
        """Start who is missing, and look at the ledgers when it is time."""
        now = time.monotonic()
        for post in self._posts:
            if self._is_missed(post) and now >= post.start_at:
                self._start(post, now)
        if (self._posts or self._adopted) and now >= self._look_at:
            self.look()
        self._handover.hold_or_go_on()
        self._give_back.go_on(now)

    def _is_missed(self, post: Post) -> bool:
        if post.member is not None or post.maker is None or self._draining:
            return False
        return not self._spent or self._handover.has_for(post.maker.kind)

    @property
    def _ending(self) -> bool:
        return self._draining or self._spent

    @property
    def _spent(self) -> bool:
        return self._budget is not None and self._budget.left <= 0

    def condition(self, now: float) -> Condition:
        """For probes."""
        members = self.members
        if members or not self._posts:
            self._childless_since = now
        idle = [member for member in members if not member.seen and member.ledger.state not in (RESTING, AWAY)]
        silent = max((member.silent_for(now) for member in idle), default=None)
        wanted = 0 if self._ending else len(self._posts)
        return Condition(len(members), wanted, now - self._childless_since, silent)

    def refund(self, count: int) -> None:
        """So many jobs were taken that are none of max_jobs."""
        if self._budget is not None and count:
            self._budget.put_back(count)

    # --- birth

    def _start(self, post: Post, now: float) -> None:
        if post.maker is None:
            return
        try:
            post.member = member = post.maker.make(self._unshare)
        except OSError as error:
            self._failed(post, now, f"no process can be started ({error})")
            return
        self._register(post, member)
        self._handover.deal(member.kind)

    def _register(self, post: Post, member: Member) -> None:
        self._tallies.know(member)
        self._look_at = 0.0  # who is told to stop must not think that there is nobody
        for fd in member.child.fds:
            self._selector.register(fd, EVENT_READ, lambda: self._look_after(post, member))
        watch_mail(self._selector, member.mailbox, lambda: self._hear(member))

    def _failed(self, post: Post, now: float, why: str) -> None:
        post.failures += 1
        pause = min(LONGEST_PAUSE, 0.1 * 2**post.failures)
        post.start_at = now + pause
        kind = "warm" if post.maker is None else post.maker.kind
        self._log.error("Worker %s: a %s child failed: %s; the next in %.1f s", self._name, kind, why, pause)
        if post.failures >= HOPELESS:
            self._tell(e.Hopeless(f"{post.failures} children in a row failed at once: {why}"))

    # --- what the ledgers say

    def look(self) -> None:
        """Read all ledgers, and tell at once what stations run."""
        now = time.monotonic()
        pause = self._look_idle
        sighted: list[e.Sighted] = []
        gone: list[str] = []
        for member in self.members:
            if member.ledger.watched:
                pause = min(pause, self._give_back.watch(member, now))
            running = runs_of(member)
            if running or member.guests or member.ledger.state in (BUSY, STARTING):
                pause = min(pause, LOOK)
            seen = {entry.execution_id: slot for slot, entry in running}
            gone += [name for name in member.seen if name not in seen and name.startswith(member.token)]
            member.seen = seen
            self._end_if_mute(member, now)
            for _, entry in running:
                self._hold(member, entry)
                sighted.append(sighted_in(member, entry))
        self._let_go(gone)
        if sighted or gone:
            self._tell(e.Seen(tuple(sighted), tuple(gone)))
        self._summary = None  # told again: the brain may want to be sure
        self._tell_state()
        self._look_at = now + pause

    def _end_if_mute(self, member: Member, now: float) -> None:
        """A station that neither works nor hears the server, and doesn't know it, is replaced."""
        silent = min(member.silent_for(now), now - member.ledger.state_since)
        if member.ledger.state in (IDLE, BUSY) and silent > MUTE:
            text = "Worker %s: child %s has heard nothing of the server for %.0f s and is replaced"
            self._log.error(text, self._name, member.child.pid, silent)
            member.child.kill()

    def _hold(self, member: Member, entry: Running) -> None:
        holding = self._holdings.setdefault(entry.execution_id, Holding.seen(entry))
        holding.child, holding.started_at, holding.limit = member.child, entry.since, entry.limit

    def _let_go(self, ended: Iterable[str]) -> None:
        for name in ended:
            self._holdings.pop(name, None)

    def _tell_state(self) -> None:
        members = self.members
        states, asked = [member.ledger.state for member in members], [member.ledger.asked for member in members]
        complete = self._spent or all(post.member for post in self._posts)
        idle = complete and all(state in (IDLE, RESTING) for state in states)
        idle = idle and all(member.ledger.asked <= member.ledger.started for member in members)
        idle = idle and not self._give_back.busy
        # A station passes a job on before its ledger shows that it has none: that one may be in the mail.
        idle = idle and not any(self._hear(member) for member in members)
        if idle and not self._spent and RESTING not in states:
            idle = not self._give_back.found_more()  # or a station has taken it between our two looks
            idle = idle and asked == [member.ledger.asked for member in members]
        since = max((member.ledger.state_since for member in members), default=0.0) if idle else None
        state = e.CrewState(since, RESTING in states, len(members), self.done, self._spent)
        if state != self._summary:
            self._summary = state
            self._tell(state)

    # --- what stations say

    def _hear(self, member: Member) -> bool:
        """Whether it had anything to say."""
        if member.mailbox.fd < 0:  # buried earlier in this very round of the loop
            return False
        member.mailbox.send_on()
        messages = member.mailbox.read()
        for message in messages:
            kind = message[0]
            if kind == "look":
                member.ledger.watch(True)
                self._look_at = 0.0
            elif kind == "pass":
                self._handover.take(Passed(*message[1:]))
            elif kind == "ended" and message[1] in member.guests:
                member.guests.discard(message[1])
                self._reported(message[1], report_of(message[1:]))
                self._handover.deal(member.kind)
            elif kind == "failed":
                member.reason = str(message[1])
        if member.mailbox.ended and member.mailbox.fd in self._selector.get_map():
            self._selector.unregister(member.mailbox.fd)
        return bool(messages)

    def _reported(self, name: str, report: Any) -> None:
        holding = self._holdings.get(name)
        self._look_at = 0.0
        if holding is not None:
            holding.report, holding.ended = report, time.monotonic()
            released = report.outcome == "released"
            self.refund(holding.waits or released)
            self._tell(e.CallEnded(name, reported=True, released=released, waits=holding.waits))

    def hand(self, holding: Holding) -> bool:
        """Have a station of the job's own kind run it, as soon as one has room; False if there is none of it."""
        self._look_at = 0.0  # its limit counts from when it is seen to run
        return self._handover.give(holding)

    # --- what is wished of them

    def kill(self, name: str) -> bool:
        """Kill the station that runs this execution; False if none does."""
        for member in self.members:
            if name in member.guests or slot_of(member, name) is not None:
                member.targets.add(name)
                member.child.kill(signal.SIGKILL)
                return True
        return self._handover.drop(name)

    def ask(self, name: str, wish: int) -> bool:
        """Have an exception raised in a job; False if no station runs it."""
        for member in self.members:
            slot = slot_of(member, name)
            if slot is not None:
                member.ledger.want(slot, wish, number_of(name))
                with contextlib.suppress(ProcessLookupError):
                    os.kill(member.child.pid, signal.SIGTERM)
                return True
        return False

    def drain(self) -> None:
        """No station starts another job; each ends when it has nothing to do."""
        self._draining = True
        for member in self.members:
            member.ledger.drain()
            member.mail("wake")
        self._handover.give_up()
        self._look_at = 0.0
        self._tell_state()

    # --- death

    def _look_after(self, post: Post, member: Member) -> None:
        """Something came from the child's own pipe, or it died."""
        if post.member is not member:
            return
        death = member.child.look()
        member.child.messages()
        if member.child.frames.ended and member.child.frames.fd in self._selector.get_map():
            self._selector.unregister(member.child.frames.fd)
        if death is not None:
            self._bury(post, member, death)

    def _bury(self, post: Post, member: Member, death: Death) -> None:
        now = time.monotonic()
        self._hear(member)
        running = runs_of(member)
        began = member.ledger.state != STARTING
        served = death.exit_code == 0 and began
        if not served or running or member.ledger.asked > member.ledger.started:  # or it has done so itself
            self._give_back.bury(member, now)
        for _, entry in running:
            self._hold(member, entry)
            if entry.execution_id not in member.seen:
                self._tell(e.Seen((sighted_in(member, entry),), ()))
        since = {entry.execution_id: entry.since for _, entry in running}
        gone = tuple(name for name in member.seen if name not in since and name.startswith(member.token))
        if gone:
            self._let_go(gone)
            self._tell(e.Seen((), gone))
        words = member.box.last_words()
        for name in {*since, *(member.guests & member.targets)}:
            ran_for = now - since[name] if name in since else None
            self._left_behind(member, name, replace(death, words=words, ran_for=ran_for), now, len(since) > 1)
        for name in member.guests - member.targets - since.keys():
            self._handover.again(name, member.kind)
        if self._draining:
            self._handover.give_up()
        if post.maker is not None:  # an adopted one took from the budget of an earlier program
            self.refund(member.ledger.reserved)
        self._forget(member)
        post.member = None
        self._look_at = 0.0
        proven = began and (member.guests or now - member.born > YOUNG)
        if served or running or proven or self._ending:
            post.failures, post.start_at = 0, now
        else:
            how = f"exit code {death.exit_code}" if death.signal_number is None else f"signal {death.signal_number}"
            self._failed(post, now, f"{how}: {member.reason}" if member.reason else how)
        self.check()
        self._tell_state()

    def _left_behind(self, member: Member, name: str, death: Death, now: float, in_company: bool) -> None:
        holding = self._holdings.get(name)
        if holding is None:
            return
        holding.death, holding.ended, holding.in_company = death, now, in_company
        collateral = bool(member.targets) and name not in member.targets
        if collateral:
            self.refund(1)
        self._tell(e.CallEnded(name, reported=False, collateral=collateral))

    def _forget(self, member: Member) -> None:
        for fd in member.fds:
            if fd in self._selector.get_map():
                self._selector.unregister(fd)
        self._give_back.done_with(member.ledger)
        self._tallies.bury(member)
        self._done_before += member.ledger.done
        member.close()

    def close(self, limit: float = 5.0) -> None:
        """Kill what is left, and wait for it."""
        for member in self.members:
            member.child.kill()
        for post in (*self._posts, *self._adopted):
            if post.member is not None:
                post.member.child.wait()
                self._forget(post.member)
                post.member = None
