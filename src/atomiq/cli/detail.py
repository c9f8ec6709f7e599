"""`atomiq info --job ID`: all that is known about one job."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from atomiq._core.errors import DeserializationError
from atomiq.results import Result

LONGEST = 2000
LONGEST_FAILURE = 16_000
"""A failure record that says how a child died is a cause, a stack and the last lines printed; all of it is wanted."""


def job_lines(job: Any) -> Iterator[str]:
    """Name and value, a line each; what is empty is left out. A long value ends in `...`. Failures are indented below
    what they belong to."""
    for name, value in facts(job):
        if value not in (None, "", [], {}, 0):
            text = f"{value:%Y-%m-%d %H:%M:%S.%f} UTC" if isinstance(value, datetime) else str(value)
            yield f"{name + ':':<14} {text if len(text) <= LONGEST else text[:LONGEST] + '...'}"
    failures = []
    for result in job.results():
        line = f"{'result:':<14} {result.created_at:%Y-%m-%d %H:%M:%S} {result.type.name.lower()} {outcome(result)}"
        yield line.rstrip()
        if result.exc_string:
            failures.append(result.exc_string)
            yield from indented(result.exc_string)
    for wait in job.waits:
        why = f"error: {wait.error}" if wait.error else "not there"
        yield f"{'waited:':<14} {wait.at:%Y-%m-%d %H:%M:%S.%f} UTC for {wait.seconds:g} s, {why}"
    last_death = job.last_death
    if last_death and not any(last_death.strip() in failure for failure in failures):
        yield f"{'last death:':<14} its process died, and the job was put back to run again"
        yield from indented(last_death)


def indented(failure: str) -> Iterator[str]:
    """A failure record, line by line. Of one that is too long the beginning and the end: both may name the cause."""
    text = failure.rstrip()
    left_out = len(text) - LONGEST_FAILURE
    if left_out > 0:
        half = LONGEST_FAILURE // 2
        text = f"{text[:half]}\n... {left_out} characters left out ...\n{text[-half:]}"
    yield from (f"    {line}".rstrip() for line in text.splitlines())


def facts(job: Any) -> Iterator[tuple[str, Any]]:
    """What the job's hash says, in the order in which things happen."""
    yield "job", job.id
    yield "status", job.get_status().value
    yield "call", readable(job.get_call_string)
    yield "description", job.description
    yield "queue", job.origin
    yield "created", job.created_at
    yield "enqueued", job.enqueued_at
    yield "started", job.started_at
    yield "ended", job.ended_at
    yield "worker", job.worker_name
    yield "attempts", job.attempts
    yield "abandoned", job.abandonments
    yield "requires", readable(lambda: job.requires)
    yield "retries left", job.retries_left
    yield "repeats left", job.repeats_left
    yield "time limit", job.timeout
    yield "waits for", ", ".join(job.dependency_ids)
    yield "waited for by", ", ".join(job.dependent_ids)
    yield "group", job.group_id
    yield "progress", job.progress
    yield "meta", job.meta


def readable(read: Any) -> str | None:
    """What `read` answers, or why it can't be read here."""
    try:
        text: str | None = read()
    except DeserializationError as error:
        return f"can't be read: {error}"
    return text


def outcome(result: Any) -> str:
    """The value of a successful result."""
    if result.type is not Result.Type.SUCCESSFUL:
        return ""
    try:
        return repr(result.return_value)[:LONGEST]
    except DeserializationError as error:
        return f"can't be read: {error}"
