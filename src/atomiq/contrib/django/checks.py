"""System checks: `manage.py check`, and what Django runs before its own commands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 - Django's name
from django.core.exceptions import ImproperlyConfigured

from atomiq._core.errors import AtomiqError
from atomiq._core.options import meant_option
from atomiq._wire.connect import check_connection, connect
from atomiq.contrib.django.conf import BEHAVIOUR, ONLY_RQ, PLACE, form, on_commit_of, queue_names, queue_settings
from atomiq.contrib.django.conf import server_of as _server_of

_KNOWN: Final = (*PLACE, *BEHAVIOUR)
_PATIENCE_S: Final = 1.0


def check_settings(**_: Any) -> list[CheckMessage]:
    """What can be said without asking a server."""
    if not form():
        hint = "Add ATOMIQ = {'URL': 'redis://...'}, or django-rq's RQ_QUEUES. Without, ATOMIQ_URL or localhost counts."
        return [Warning("There is no setting for atomiq's queues.", hint=hint, id="atomiq.W001")]
    try:
        return [message for name in queue_names() for message in _of_queue(name)]
    except ImproperlyConfigured as error:
        return [Error(str(error), id="atomiq.E001")]


def _of_queue(name: str) -> Iterator[CheckMessage]:
    said = queue_settings(name)
    _server_of(said)
    known = (*_KNOWN, *ONLY_RQ) if form() == "RQ_QUEUES" else _KNOWN
    for option in said:
        if option not in known and (form() == "ATOMIQ" or not option.startswith(("SHOW_", "API_"))):
            meant = meant_option(option, known)
            hint = f"Did you mean {meant}?" if meant else f"There are {', '.join(known)}."
            yield Warning(f"Queue {name!r}: unknown option {option!r}.", hint=hint, id="atomiq.W002")
    if said.get("COMMIT_MODE") == "request_finished":
        hint = "Jobs are sent when the transaction commits; that is before the end of the request."
        yield Warning(f"Queue {name!r}: COMMIT_MODE 'request_finished' is not known here.", hint=hint, id="atomiq.W003")
    alias = (on_commit_of(said) or "django:").partition(":")[2]
    if alias and alias not in settings.DATABASES:
        hint = f"DATABASES has {', '.join(map(repr, settings.DATABASES)) or 'none'}."
        yield Error(f"Queue {name!r}: ON_COMMIT names no database: {alias!r}.", hint=hint, id="atomiq.E002")
    if not alias and any(each.get("ATOMIC_REQUESTS") for each in settings.DATABASES.values()):
        hint = "Set ON_COMMIT to True, or use enqueue_on_commit() or the outbox."
        message = f"Queue {name!r} sends jobs at once, and ATOMIC_REQUESTS keeps rows uncommitted until the end."
        yield Warning(message, hint=hint, id="atomiq.W004")


def check_server(**_: Any) -> list[CheckMessage]:
    """Whether the servers answer, each asked for a second at most."""
    found: list[CheckMessage] = []
    asked: list[Any] = []
    try:
        places = [_server_of(queue_settings(name)) for name in queue_names()]
    except ImproperlyConfigured:
        return []  # said by check_settings
    for place in places:
        if place in asked:
            continue
        asked.append(place)
        url, extra = place
        try:
            connection = connect(url, **{**extra, "socket_connect_timeout": _PATIENCE_S, "socket_timeout": _PATIENCE_S})
            try:
                check_connection(connection, url or "the server of the environment")
            finally:
                connection.close()
        except AtomiqError as error:
            found.append(_unreachable(error))
    return found


def _unreachable(error: Exception) -> CheckMessage:
    hint = "Start it, or correct ATOMIQ['URL'] (RQ_QUEUES). Until it answers, enqueueing raises; the outbox keeps jobs."
    return Warning(f"atomiq's server can't be reached: {error}", hint=hint, id="atomiq.W005")
