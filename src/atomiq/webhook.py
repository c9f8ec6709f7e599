"""Webhooks: an HTTP request when a job has finished or failed (RQ's rq.webhook)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, Protocol, Self
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request

from atomiq._core.errors import InvalidOption
from atomiq._core.log import get_logger
from atomiq._wire.http import within

_DEFAULT_TIMEOUT: Final = 10
LONGEST_WAY: Final = 30.0
"""Seconds. A server that says a letter now and then is never silent for its timeout; a webhook ends after these."""
_log: Final = get_logger("webhook")


class EndedJob(Protocol):
    """What a webhook says of a job."""

    @property
    def id(self) -> str: ...

    @property
    def called_name(self) -> str | None: ...

    @property
    def enqueued_at(self) -> datetime | None: ...

    @property
    def ended_at(self) -> datetime | None: ...


@dataclass
class Webhook:
    """Where to send word of a job's end (RQ).

    It is sent once, by whoever settles the job, after the job's state is stored. A failure of it is logged and changes
    nothing; it is not sent again. A failed job's is sent when no retry is left, a stopped job's not at all.

    Args:
        url: http or https; redirects are followed.
        job_status: 'finished' (each successful run) or 'failed'.
        method: 'GET' without a body, or 'POST' with what `get_payload` says as JSON. Default 'GET'.
        headers: further headers. A Content-Type of theirs takes the place of application/json.
        timeout: seconds that the server may be silent. Default 10. All in all it may take 30, or these if more.

    Raises:
        InvalidOption: a ValueError; not a URL, not one of the words, not a whole number of seconds above 0.
        TypeError: headers are no dict.
    """

    url: str
    job_status: Literal["finished", "failed"]
    method: Literal["GET", "POST"] = field(default="GET", kw_only=True)
    headers: dict[str, str] | None = field(default=None, kw_only=True)
    timeout: int = field(default=_DEFAULT_TIMEOUT, kw_only=True)

    def __post_init__(self) -> None:
        if not _is_url(self.url):
            raise InvalidOption(f"url must be an http:// or https:// URL, got {self.url!r}")
        if self.job_status not in ("finished", "failed"):
            raise InvalidOption(f"job_status must be 'finished' or 'failed', got {self.job_status!r}")
        if self.method not in ("GET", "POST"):
            raise InvalidOption(f"method must be 'GET' or 'POST', got {self.method!r}")
        if self.headers and not isinstance(self.headers, dict):
            raise TypeError(f"headers must be a dict or None, got {type(self.headers).__name__}")
        timeout: Any = self.timeout
        if not isinstance(timeout, int) or timeout <= 0:
            raise InvalidOption(f"timeout must be a positive integer, got {self.timeout!r}")

    def to_dict(self) -> dict[str, Any]:
        """As it is stored with the job (RQ)."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """A webhook from what `to_dict` said (RQ). Raises KeyError: no url or job_status; and what `Webhook` raises."""
        return cls(
            data["url"],
            data["job_status"],
            method=data.get("method", "GET"),
            headers=data.get("headers"),
            timeout=data.get("timeout", _DEFAULT_TIMEOUT),
        )

    def get_payload(self, job: EndedJob, *, exc_string: str | None = None) -> dict[str, Any]:
        """What a POST says: job_id, func_name, status, enqueued_at, ended_at (ISO 8601 or None), and for 'failed'
        exc_info (RQ). The job's arguments are not loaded for it."""
        payload = {
            "job_id": job.id,
            "func_name": job.called_name,
            "status": str(getattr(self.job_status, "value", self.job_status)),
            "enqueued_at": _iso(job.enqueued_at),
            "ended_at": _iso(job.ended_at),
        }
        if self.job_status == "failed":
            payload["exc_info"] = exc_string
        return payload

    def send(self, job: EndedJob, *, exc_string: str | None = None) -> None:
        """Send it now and wait until it has arrived (RQ). Raises nothing: what goes wrong is logged as a warning."""
        try:
            with within(max(LONGEST_WAY, self.timeout)) as way:
                way.open(self._request(job, exc_string), self.timeout)
        except Exception as error:  # noqa: BLE001  a job's end is no matter of who is told of it
            what = f"{type(error).__name__}: {error}"
            _log.warning("Job %s: the webhook to %s could not be sent: %s", job.id, self.url, what)
            if isinstance(error, HTTPError):  # it is the answer as well
                error.close()

    def _request(self, job: EndedJob, exc_string: str | None) -> Request:
        headers = {str(name): str(value) for name, value in (self.headers or {}).items()}
        body = None
        if self.method == "POST":
            body = json.dumps(self.get_payload(job, exc_string=exc_string)).encode()
            if not any(name.lower() == "content-type" for name in headers):
                headers["Content-Type"] = "application/json"
        return Request(self.url, data=body, headers=headers, method=self.method)  # noqa: S310


def restore_webhooks(stored: bytes | str | None, name: str, kind: str = "Job") -> list[Webhook]:
    """Webhooks from the field of a job's hash. If one of them is none, there are none, and a warning (RQ)."""
    if not stored:
        return []
    try:
        return [Webhook.from_dict(each) for each in json.loads(stored)]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        _log.warning("%s %s: its webhooks can't be read: %s: %s", kind, name, type(error).__name__, error)
        return []


def _is_url(url: object) -> bool:
    if not isinstance(url, str):
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
