"""Job, execution and call ids, and what a name may be."""

from __future__ import annotations

import base64
import os
import re

from atomiq._core.errors import InvalidName

_JOB_ID = re.compile(r"[A-Za-z0-9_-]+\Z")
_NOT_IN_NAMES = re.compile(r"[\x00-\x1f\x7f,]")
_LONGEST_NAME = 512
_VARIANT = {digit: "89ab"[int(digit, 16) % 4] for digit in "0123456789abcdef"}


def validate_job_id(job_id: str) -> None:
    """Refuse what can't be a job id: only letters, digits, `_` and `-` (RQ).

    Raises:
        TypeError: not a string.
        InvalidName: a ValueError; empty or with another character.
    """
    if not isinstance(job_id, str):
        raise TypeError(f"Job ID must be a string, not {type(job_id)}")
    if not _JOB_ID.match(job_id):
        raise InvalidName(f"Job ID must only contain letters, numbers, underscores and dashes: {job_id!r}")


def parse_job_id(job_or_execution_id: str) -> str:
    """Job id of a job id or of a composite `job:execution` id (RQ). Raises TypeError: not a string."""
    if not isinstance(job_or_execution_id, str):
        raise TypeError(f"Job ID must be a string, not {type(job_or_execution_id)}")
    return job_or_execution_id.partition(":")[0]


def validate_queue_name(name: str) -> None:
    """Refuse a queue name that would break a key or a list of names.

    Raises:
        TypeError: not a string.
        InvalidName: empty, too long, a comma or control character in it, outer blanks, or the name of RQ's own lists.
    """
    _validate_name("queue", name)
    if name.endswith(":intermediate") or name.startswith("_compact:"):
        raise InvalidName(f"queue name {name!r} is the name of an internal list of RQ")


def validate_group_name(name: str) -> None:
    """Refuse a group name that would break a key: same errors as `validate_queue_name`."""
    _validate_name("group", name)


def validate_worker_name(name: str) -> None:
    """Refuse a worker name that no process can show, or no server store; RQ takes any other.

    Raises:
        InvalidName: a NUL in it, or what can't be written as UTF-8.
    """
    if "\x00" in name:
        raise InvalidName(f"worker name may not contain a NUL: {name!r}")
    _validate_text("worker", name)


def validate_cron_name(name: str) -> None:
    """Refuse a name of a cron entry that nobody could read or type; commas are fine, as in RQ.

    Raises:
        TypeError: not a string.
        InvalidName: empty, too long, a control character in it, or outer blanks.
    """
    _validate_name("cron entry", name, comma=True)


def _validate_name(kind: str, name: str, comma: bool = False) -> None:
    if not isinstance(name, str):
        raise TypeError(f"{kind} name must be a string, not {type(name)}")
    if not name:
        raise InvalidName(f"{kind} name is empty")
    if len(name) > _LONGEST_NAME:
        raise InvalidName(f"{kind} name is longer than {_LONGEST_NAME} characters: {name[:40]!r}...")
    if _NOT_IN_NAMES.search(name.replace(",", "") if comma else name):
        not_in_it = "a control character" if comma else "a comma or a control character"
        raise InvalidName(f"{kind} name may not contain {not_in_it}: {name!r}")
    if name != name.strip():
        raise InvalidName(f"{kind} name begins or ends with a blank: {name!r}")
    _validate_text(kind, name)


def _validate_text(kind: str, name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise InvalidName(f"{kind} name can't be written as UTF-8: {name!r}") from error


def new_job_id() -> str:
    """A random UUID (version 4), 36 characters, as RQ's."""
    digits = os.urandom(16).hex()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{_VARIANT[digits[16]]}{digits[17:20]}-{digits[20:]}"


def new_execution_id() -> str:
    """32 hex characters, as RQ's."""
    return os.urandom(16).hex()


def new_call_token() -> str:
    """Names one enqueue call, so that sending it twice enqueues once. 16 characters: it is stored with the job."""
    return base64.urlsafe_b64encode(os.urandom(12)).decode()
