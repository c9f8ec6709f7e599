"""`repair`: mends what a report names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, Final, Literal

from atomiq._commands.doctor import Patience, examine_job, repair_job, repair_thing
from atomiq._commands.raw import compact_queue
from atomiq._commands.settle import pack_exception, reap
from atomiq._core.settings import DEFAULT_ABANDONED, DEFAULT_MAX_ABANDONED
from atomiq._wire.sync import Store
from atomiq.doctor.examination import OVERDUE, OVERDUE_RQ
from atomiq.doctor.findings import Finding, Repair, Report
from atomiq.doctor.pace import Asker
from atomiq.doctor.suspicion import CROWD

Outcome = Literal["mended", "healed", "changed"]

REACH: Final = 25_000
"""Entries of a list that are searched, from each end, before a lost job is put into it."""
WHOLE: Final = 1_000_000_000
MOST_STEPS: Final = 10_000


def repair(
    connection: Any,
    report: Report | Iterable[Finding],
    *,
    dry_run: bool = True,
    overdue: float = OVERDUE,
    overdue_rq: float = OVERDUE_RQ,
    max_abandoned: int = DEFAULT_MAX_ABANDONED,
    abandoned: str = DEFAULT_ABANDONED,
    tell: Callable[[int], None] | None = None,
) -> list[Repair]:
    """Mend the findings of a report, each in one step that looks again first: what is well by now is left alone.

    Args:
        connection: a redis.Redis.
        report: of `examine`, or some of its findings.
        dry_run: only say what would be done (default).
        overdue: as it was for `examine`.
        overdue_rq: as it was for `examine`.
        max_abandoned: a job that lost its worker more often than that is failed.
        abandoned: what becomes of jobs without a worker and without a policy of their own, `retry` or `fail`.
        tell: as for `examine`.

    Raises:
        ServerError: the server can't be reached, or refuses a command.
    """
    findings = report.findings if isinstance(report, Report) else list(report)
    if dry_run:
        return [Repair(finding, "planned" if finding.remedy else "left") for finding in findings]
    patience = Patience(REACH, round(overdue * 1000), round(overdue_rq * 1000))
    surgeon = _Surgeon(Asker(Store.of(connection), tell), patience, max_abandoned, abandoned)
    swept = surgeon.sweep(findings)
    done = [Repair(finding, "mended") for finding in swept]
    rest = [finding for finding in findings if finding not in swept]
    return [*done, *(each for part in _by_subject(rest) for each in surgeon.mend(part))]


def _by_subject(findings: list[Finding]) -> Iterator[list[Finding]]:
    """Findings about one job together. First ids without a job, as who waits for these learns of it then; last what
    stands beside the jobs."""
    jobs: dict[str, list[Finding]] = {}
    for finding in findings:
        if not finding.thing:
            jobs.setdefault(finding.subject, []).append(finding)
    yield from sorted(jobs.values(), key=lambda part: (part[0].word != "no_job", part[0].subject))
    for finding in findings:
        if finding.thing:
            yield [finding]


class _Surgeon:
    def __init__(self, asker: Asker, patience: Patience, max_abandoned: int, abandoned: str) -> None:
        self.asker = asker
        self.patience = patience
        self.max_abandoned = max_abandoned
        self.abandoned = abandoned

    def sweep(self, findings: list[Finding]) -> set[Finding]:
        """Ids without a job leave a list together where it has very many of them: to take out one takes as long as to
        go through the whole list. Says those that have left."""
        crowds: dict[str, dict[str, Finding]] = defaultdict(dict)
        for finding in findings:
            if finding.word == "no_job" and finding.place.startswith("queue:"):
                crowds[finding.place][finding.subject] = finding
        swept: set[Finding] = set()
        for place, crowd in crowds.items():
            offset: int | None = 0 if len(crowd) > CROWD else None
            while offset is not None:
                queue = place.partition(":")[2]
                page = self.asker.ask(compact_queue(self.asker.keys, queue=queue, offset=offset))
                swept.update(crowd[job_id] for job_id in page.gone if job_id in crowd)
                offset = page.next_offset
        return swept

    def mend(self, findings: list[Finding]) -> list[Repair]:
        """All findings about one subject."""
        done = [Repair(finding, "left") for finding in findings if not finding.remedy]
        wanted = [finding for finding in findings if finding.remedy]
        if not wanted:
            return done
        if wanted[0].thing:
            return [*done, Repair(wanted[0], self._thing(wanted[0]))]
        over = [finding for finding in wanted if finding.word == "lease_over" and finding.detail]
        done += [Repair(finding, self._reap(finding)) for finding in over]
        rest = [finding for finding in wanted if finding not in over]
        return [*done, *self._job(rest)] if rest else done

    def _job(self, findings: list[Finding]) -> list[Repair]:
        suspect = findings[0].suspect
        assert suspect is not None
        words = sorted({finding.word for finding in findings})
        in_list = any(place.container == "queue" for place in suspect.places)
        # What goes through the whole list (LREM) may as well search it whole.
        reach = WHOLE if in_list or not {"twice", "stuck"}.isdisjoint(words) else REACH
        reason = next((finding.text for finding in findings if finding.word == "unknown_status"), "")
        command = repair_job(
            self.asker.keys,
            suspect=suspect,
            witness=findings[0].witness,
            faults=words,
            patience=replace(self.patience, reach=reach),
            exc_string=pack_exception(f"atomiq doctor: {reason}") if reason else "",
        )
        said, mended = self.asker.ask(command)
        if said != "ok":
            still = self._faults_of(findings[0]) if said == "changed" else set()
            return [Repair(finding, "changed" if finding.word in still else "healed") for finding in findings]
        return [Repair(finding, "mended" if finding.word in mended else "healed") for finding in findings]

    def _reap(self, finding: Finding) -> Outcome:
        """As any worker would: all leases of the queue that are over, unless this one isn't any more."""
        if not self._is_over(finding):
            return "healed"
        _, _, queue = finding.place.partition(":")
        for _ in range(MOST_STEPS):
            command = reap(
                self.asker.keys, queue=queue, max_abandoned=self.max_abandoned, policy=self.abandoned, limit=50
            )
            if not self.asker.ask(command).more:
                break
        return "changed" if self._is_over(finding) else "mended"

    def _is_over(self, finding: Finding) -> bool:
        return "lease_over" in self._faults_of(finding)

    def _faults_of(self, finding: Finding) -> set[str]:
        """What is wrong with the job now."""
        assert finding.suspect is not None
        command = examine_job(self.asker.keys, suspects=[finding.suspect], patience=self.patience)
        (now,) = self.asker.ask(command)
        return {fault.word for fault in now.faults}

    def _thing(self, finding: Finding) -> Outcome:
        outcome: Outcome = "healed"
        for _ in range(MOST_STEPS):
            command = repair_thing(
                self.asker.keys, kind=finding.thing, name=finding.subject, fault=finding.word, places=finding.places
            )
            said = self.asker.ask(command)
            if said != "healed":
                outcome = "mended"
            if said != "more":
                break
        return outcome
