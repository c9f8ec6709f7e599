"""The brain's books: what is held, what was asked for, and the words to ask with."""

from __future__ import annotations

import logging
from collections.abc import Callable

from atomiq.stations.rules import Rules
from atomiq.stations.search import Reorder, Search
from atomiq.worker import events as e
from atomiq.worker import moves as m
from atomiq.worker.chores import Chores
from atomiq.worker.runs import KILL_AFTER_INTERRUPT, Intent, Phase, Run


class Books:
    """State of one worker's brain, and the small steps that all its parts make."""

    def __init__(self, rules: Rules, reorder: Reorder, jitter: Callable[[], float]) -> None:
        """`jitter()`: a number in [0, 1), to spread the tries of many workers to reach their server again."""
        self.rules = rules
        self.phase: Phase = "working"
        self.executed = 0
        self.lost = 0
        self.runs: dict[str, Run] = {}
        self.asides: dict[tuple[e.AsideKind, str], float] = {}
        self.connected = True
        self.crew = e.CrewState()
        self._search = Search(rules, reorder)
        self._chores = Chores(rules)
        self._jitter = jitter
        self._swept = -1
        self._abandoned: list[str] = []
        self._put_off: list[tuple[e.AsideKind, str]] = []
        self._stop_asked_at: float | None = None
        self._failures = 0
        self._retry_at: float | None = None
        self._grace_at: float | None = None
        self._grace_is_over = False
        self._moves: list[m.Move] = []

    def _over(self) -> bool:
        return self.phase == "over"

    @property
    def _busy(self) -> bool:
        return bool(self.runs or self.asides)

    @property
    def _has_more_to_do(self) -> bool:
        """Why a worker that is to end by itself doesn't end yet."""
        return self._busy or self._chores.freeing

    def _sweeps(self, now: float) -> bool:
        """Before a burst ends: whether it looks first for dependants that nobody told it of. A claim that meets an
        expired parent frees 100 of them, and has no word for more. Once for as many jobs as are done."""
        done = self.executed + self.crew.done
        if self._swept == done:
            return False
        self._swept = done
        self._chores.free(now, more=True)
        return True

    def _taken(self, but: str = "") -> int:
        """How many of our own slots are taken, this execution not counted."""
        return sum(name != but for name in self.runs)

    def _kill_time(self, now: float, limit: float | None) -> float | None:
        return None if limit is None or not self.rules.killable else now + limit + self.rules.kill_after

    def _kill(self, now: float, execution_id: str, intent: Intent) -> None:
        run = self.runs[execution_id]
        run.intent, run.kill_at = intent, now + KILL_AFTER_INTERRUPT
        self._do(m.Kill(execution_id))

    def _start_aside(self, now: float, kind: e.AsideKind, name: str) -> None:
        limit: float | None = None
        if kind != "abandoned":
            run = self.runs[name]
            run.in_aside = True
            limit = run.job.stopped_callback if kind == "stopped" else None
        self.asides[kind, name] = self._aside_end(now, limit)
        self._do(m.StartAside(kind, name))

    def _aside_end(self, now: float, limit: float | None) -> float:
        """When a callback that begins now is killed."""
        return now + (self.rules.aside_limit if limit is None else limit) + self.rules.kill_after

    def _claim(self, running: int) -> m.Claim | None:
        count = self._search.claim(running)
        return m.Claim(self._search.order, count, self._search.watched_schedule) if count else None

    def _quit(self, cold: bool = False, failed: str = "", reload: bool = False) -> None:
        self._stop_listening()
        self.phase = "over"
        self._do(m.Quit(cold=cold, failed=failed, reload=reload))

    def _stop_listening(self) -> None:
        if self._search.listening:
            self._search.listening = False
            self._do(m.StopListening())

    def _log(self, level: int, text: str) -> None:
        self._do(m.Log(level, text))

    def _warn(self, text: str) -> None:
        self._log(logging.WARNING, text)

    def _info(self, text: str) -> None:
        self._log(logging.INFO, text)

    def _do(self, move: m.Move) -> None:
        self._moves.append(move)
