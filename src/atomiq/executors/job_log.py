"""What a worker says about jobs: to its log, in RQ's words where RQ has them, and to their webhooks. What nobody wants
costs one test."""

from __future__ import annotations

import datetime
import logging

from atomiq._commands.claim import Claimed
from atomiq._commands.settle import Settled, Settlement
from atomiq.executors.webhooks import Notifier


class JobLog:
    """For one worker. `descriptions`: whether a job's description may be shown; `lifespans`: how long its result is
    kept. `notifier`: sends webhooks; None: nobody does."""

    def __init__(
        self, log: logging.Logger, name: str, descriptions: bool, lifespans: bool, notifier: Notifier | None = None
    ) -> None:
        self._log = log
        self._name = name
        self._descriptions = descriptions
        self._lifespans = lifespans
        self.notifier = notifier

    def started(self, claimed: Claimed) -> None:
        if not self._log.isEnabledFor(logging.INFO):
            return
        if self._descriptions:
            self._log.info("Worker %s: %s: %s (%s)", self._name, claimed.queue, _description(claimed), claimed.job_id)
        else:
            self._log.info("Worker %s: %s: %s", self._name, claimed.queue, claimed.job_id)

    def settled(self, claimed: Claimed, end: Settlement, settled: Settled, took: float) -> None:
        """`took`: seconds that the call took."""
        if settled.word not in ("ok", "already"):
            return  # the brain says what there is to say
        notifier = self.notifier
        if notifier is not None and (b"webhooks" in claimed.fields or notifier.always):
            notifier.ended(claimed, end, settled)
        if end.outcome == "finished":
            if self._log.isEnabledFor(logging.INFO):
                self._finished(claimed, end, took)
        elif end.outcome == "waiting":
            return  # its child has said what for
        elif end.outcome == "stopped":
            self._log.info("Worker %s: job %s stopped", self._name, end.job_id)
        else:
            self._not_finished(end, settled)

    def _finished(self, claimed: Claimed, end: Settlement, took: float) -> None:
        what = f"{_description(claimed)} job" if self._descriptions else f"job {end.job_id}"
        self._log.info(
            "Successfully completed %s in %ss on worker %s", what, datetime.timedelta(seconds=took), self._name
        )
        self._log.info("Worker %s: %s: Job OK (%s)", self._name, end.queue, end.job_id)
        if not self._lifespans:
            return
        if end.result_ttl == 0:
            self._log.info("Worker %s: job %s result discarded immediately", self._name, end.job_id)
        elif end.result_ttl > 0:
            text = "Worker %s: job %s result is kept for %s seconds"
            self._log.info(text, self._name, end.job_id, end.result_ttl)
        else:
            text = "Worker %s: job %s result will never expire, clean up result key manually"
            self._log.info(text, self._name, end.job_id)

    def _not_finished(self, end: Settlement, settled: Settled) -> None:
        if end.exc_string.startswith(("Work-horse", "atomiq.")):  # no child was left to say it
            self._log.warning("Worker %s: job %s: %s", self._name, end.job_id, end.exc_string)
        if settled.status in ("queued", "scheduled"):
            self._log.info("Worker %s: job %s is to be run again: %s", self._name, end.job_id, settled.status)


def _description(claimed: Claimed) -> str:
    return claimed.fields.get(b"description", b"").decode("utf-8", "replace")
