"""`examine`: a report on a live database."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from atomiq._commands.doctor import Diagnosis, Fault, Patience
from atomiq._commands.views import view_suspended
from atomiq._core.errors import AtomiqError
from atomiq._wire.sync import Store
from atomiq.doctor.findings import Finding, Report, Severity
from atomiq.doctor.pace import Asker
from atomiq.doctor.survey import Survey
from atomiq.doctor.suspicion import Ill, Suspicion, still
from atomiq.doctor.types import wrong_beside, wrong_types
from atomiq.doctor.words import NEWER

GRACE: Final = 5.0
OVERDUE: Final = 120.0
OVERDUE_RQ: Final = 900.0
REACH: Final = 300
"""Entries of a list that are searched for a suspect, from each end. Longer ones are read instead."""

_ORDER: Final = {"fault": 0, "leftover": 1, "note": 2}
_PASSING: Final = frozenset({"queue", "scheduled", "deferred", "canceled"})
"""Containers in which the id of a job whose ttl is over stays until somebody meets it."""


def examine(
    connection: Any,
    *,
    grace: float = GRACE,
    overdue: float = OVERDUE,
    overdue_rq: float = OVERDUE_RQ,
    tell: Callable[[int], None] | None = None,
) -> Report:
    """Look at everything in a live database. Changes nothing, stops nobody, and sends only short commands.

    Args:
        connection: a redis.Redis.
        grace: seconds after which what looks wrong must still be so, in the same way. Only waited for if anything does.
        overdue: seconds after which somebody should have seen that a lease is over.
        overdue_rq: the same for executions of RQ's workers, whose maintenance looks for them every 10 minutes.
        tell: called after each command with how many there were, for whoever waits.

    Raises:
        ServerError: the server can't be reached, or refuses a command.
    """
    asker = Asker(Store.of(connection), tell)
    try:
        return _examine(asker, Patience(REACH, round(overdue * 1000), round(overdue_rq * 1000)), grace)
    except AtomiqError as error:
        found = wrong_types(asker) if "WRONGTYPE" in str(error) else []
        if not found:
            raise
        return Report(findings=found, commands=asker.commands, slowest_ms=asker.slowest * 1000)


def _examine(asker: Asker, patience: Patience, grace: float) -> Report:
    begun = time.monotonic()
    survey = Survey(asker)
    survey.take()
    suspicion = Suspicion(asker, patience)
    ill = suspicion.jobs(survey.suspects.values(), survey.twice)
    things = suspicion.things(survey.things)
    waited = 0.0
    if things or any(not _is_note(fault) for each in ill.values() for fault in each.diagnosis.faults):
        waiting_since = time.monotonic()
        time.sleep(grace)
        waited = time.monotonic() - waiting_since
        ill = still(ill, suspicion.jobs([survey.suspects[job_id] for job_id in ill], survey.twice))
        names: dict[str, list[str]] = {}
        for kind, name in things:
            names.setdefault(kind, []).append(name)
        again = suspicion.things(names)
        things = {thing: word for thing, word in again.items() if things[thing] == word}
        _leave_alone_what_moves(survey, ill, things)
    lost = [job_id for job_id, each in ill.items() if any(fault.word == "orphan" for fault in each.diagnosis.faults)]
    found = [*_findings(ill, things, survey), *wrong_beside(asker, survey.queues, lost)]
    findings = sorted(found, key=lambda one: (_ORDER[one.severity], one.kind, one.subject))
    return Report(
        findings=findings,
        statuses=Counter({status: count for status, count in survey.statuses.items() if count}),
        kinds=survey.kinds,
        outlived=survey.outlived,
        suspended=asker.ask(view_suspended(asker.keys)),
        seconds=time.monotonic() - begun,
        waited=waited,
        commands=asker.commands,
        slowest_ms=asker.slowest * 1000,
    )


def _leave_alone_what_moves(survey: Survey, ill: dict[str, Ill], things: dict[tuple[str, str], str]) -> None:
    """A list that RQ compacts just now gets shorter; what it holds comes back into its queue."""
    for name, ids in survey.compacting.items():
        if survey.ids_in(name) != ids:
            things.pop(("compact", name), None)
            for job_id in ids:
                ill.pop(job_id, None)


def _findings(ill: dict[str, Ill], things: dict[tuple[str, str], str], survey: Survey) -> list[Finding]:
    gone = {
        job_id
        for job_id, each in ill.items()
        if any(
            fault.word == "no_job" and fault.place and fault.place.container in _PASSING
            for fault in each.diagnosis.faults
        )
    }
    found = [_job_finding(each, fault, gone) for each in ill.values() for fault in each.diagnosis.faults]
    for (kind, name), word in things.items():
        severity: Severity = "leftover" if word == "leftover" or (word == "no_job" and name in gone) else "fault"
        places = tuple(sorted(survey.worker_lists.get(name, ()))) if kind == "worker" else ()
        found.append(Finding(f"{kind}_{word}", severity, name, word=word, thing=kind, places=places))
    return found


def _is_note(fault: Fault) -> bool:
    return fault.word == "behind" or (fault.word == "unknown_status" and fault.detail in NEWER)


def _job_finding(ill: Ill, fault: Fault, gone: set[str]) -> Finding:
    diagnosis = ill.diagnosis
    kind = "newer_status" if fault.word == "unknown_status" and fault.detail in NEWER else fault.word
    return Finding(
        kind=kind,
        severity=_severity(diagnosis, fault, gone),
        subject=diagnosis.job_id,
        place=str(fault.place) if fault.place else "",
        status=diagnosis.status if diagnosis.witness else "",
        detail=fault.detail,
        witness=diagnosis.witness,
        word=fault.word,
        suspect=ill.suspect,
    )


def _severity(diagnosis: Diagnosis, fault: Fault, gone: set[str]) -> Severity:
    if _is_note(fault):
        return "note"
    if fault.word == "no_job":
        return "leftover" if diagnosis.job_id in gone else "fault"
    if fault.word == "double":
        return "leftover" if fault.detail else "fault"
    if fault.word == "deferred_for_ever":
        how, *missing = fault.detail.split()
        return "leftover" if how == "cancel" and missing and gone.issuperset(missing) else "fault"
    return "fault"
