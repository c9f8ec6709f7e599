"""The settings, in our form (`ATOMIQ`) or in django-rq's (`RQ_QUEUES` and `RQ`), and connections made from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from atomiq._wire.connect import connect

PLACE: Final = ("URL", "HOST", "PORT", "DB", "USERNAME", "PASSWORD", "SSL", "SSL_CERT_REQS", "SOCKET",
                "UNIX_SOCKET_PATH", "SENTINELS", "MASTER_NAME", "SOCKET_TIMEOUT", "SENTINEL_KWARGS",
                "CONNECTION_KWARGS", "REDIS_CLIENT_KWARGS")  # fmt: skip
"""Entries that say which server is meant."""
BEHAVIOUR: Final = ("DEFAULT_TIMEOUT", "ASYNC", "SERIALIZER", "JOB_CLASS", "QUEUE_CLASS", "ON_COMMIT", "EXECUTOR",
                    "ABANDONED")  # fmt: skip
ONLY_RQ: Final = ("USE_REDIS_CACHE", "DEFAULT_RESULT_TTL", "COMMIT_MODE", "AUTOCOMMIT", "WORKER_CLASS", "BURST")
"""Entries of django-rq that are known here; the first is refused, as it needs django-redis."""
_TEXTS: Final = (str, int, float)

_connections: Final[dict[str, Any]] = {}


class UnknownQueue(ImproperlyConfigured, KeyError):
    """The settings have no queue of this name."""

    __str__ = ImproperlyConfigured.__str__


def form() -> str:
    """Which setting counts: 'ATOMIQ', 'RQ_QUEUES', or '' when there is neither."""
    return next((name for name in ("ATOMIQ", "RQ_QUEUES") if getattr(settings, name, None) is not None), "")


def queue_names() -> list[str]:
    """Queues that the settings name; `default` if they name none."""
    return list(_named()) or ["default"]


def queue_settings(name: str) -> dict[str, Any]:
    """Everything that the settings say about a queue, by the names of `PLACE` and `BEHAVIOUR`.

    Raises:
        UnknownQueue: the settings name others.
        ImproperlyConfigured: something that is no dict.
    """
    named = _named()
    if named and name not in named:
        raise UnknownQueue(f"{form()} has no queue {name!r}; it has {', '.join(map(repr, named))}")
    said = {**_shared(), **named.get(name, {})}
    if "ON_COMMIT" not in said and form() == "RQ_QUEUES":
        mode = said.get("COMMIT_MODE") or ("auto" if said.get("AUTOCOMMIT") is True else "on_db_commit")
        said["ON_COMMIT"] = mode != "auto"
    return said


def on_commit_of(said: Mapping[str, Any]) -> str | None:
    """What a queue's `on_commit` is to be. Default: the database 'default', if there is one."""
    wanted = said.get("ON_COMMIT", True)
    if isinstance(wanted, str):
        return f"django:{wanted}"
    engine = settings.DATABASES.get("default", {}).get("ENGINE", "")
    return "django:default" if wanted and engine and engine != "django.db.backends.dummy" else None


def server_of(said: Mapping[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """URL and keyword arguments of `connect`; no URL: the environment says which server is meant.

    Raises:
        ImproperlyConfigured: entries that don't make a server.
    """
    if said.get("USE_REDIS_CACHE"):
        raise ImproperlyConfigured("USE_REDIS_CACHE is not supported: give the queue the URL of that cache")
    extra = {**(said.get("CONNECTION_KWARGS") or {}), **(said.get("REDIS_CLIENT_KWARGS") or {})}
    if said.get("SOCKET_TIMEOUT") is not None:
        extra["socket_timeout"] = said["SOCKET_TIMEOUT"]
    if said.get("URL"):
        if said.get("DB") is not None and "db" not in extra:
            extra["db"] = said["DB"]
        return str(said["URL"]), extra
    login = _login(said.get("USERNAME"), said.get("PASSWORD"))
    scheme = "rediss" if said.get("SSL") else "redis"
    database = said.get("DB") or 0
    if said.get("SENTINELS"):
        if said.get("SENTINEL_KWARGS"):
            extra["sentinel_kwargs"] = dict(said["SENTINEL_KWARGS"])
        places = ",".join(f"{host}:{port}" for host, port in said["SENTINELS"])
        master = quote(str(said.get("MASTER_NAME") or "mymaster"))
        return f"{scheme}+sentinel://{login}{places}/{database}?master={master}", extra
    path = said.get("SOCKET") or said.get("UNIX_SOCKET_PATH")
    if path:
        return f"unix://{login}{path}?db={database}", extra
    if not said.get("HOST"):
        parts = [name for name in ("PORT", "DB", "USERNAME", "PASSWORD", "SSL") if said.get(name)]
        if parts:
            raise ImproperlyConfigured(f"{', '.join(parts)} without HOST or URL: nothing says which server is meant")
        return None, extra
    if said.get("SSL") and "SSL_CERT_REQS" in said:
        extra["ssl_cert_reqs"] = said["SSL_CERT_REQS"] or "none"
    return f"{scheme}://{login}{said['HOST']}:{said.get('PORT') or 6379}/{database}", extra


def get_connection(name: str = "default") -> Any:
    """The connection of a queue; queues on the same server share it.

    Raises: as `queue_settings` and `connect`.
    """
    url, extra = server_of(queue_settings(name))
    known = repr((url, sorted(extra.items(), key=lambda item: item[0])))
    if known not in _connections:
        _connections[known] = connect(url, **extra)
    return _connections[known]


def forget_connections(**_: Any) -> None:
    """Read the settings anew: tests override them."""
    _connections.clear()


def plain_url(said: Mapping[str, Any]) -> str | None:
    """All that `server_of` says as one URL, for a command line.

    Raises:
        ImproperlyConfigured: a keyword argument that can't be written into a URL.
    """
    url, extra = server_of(said)
    if not extra:
        return url
    if url is None:
        raise ImproperlyConfigured(f"keyword arguments for a connection ({', '.join(extra)}), but no URL or HOST")
    strange = [name for name, value in extra.items() if not isinstance(value, _TEXTS)]
    if strange:
        raise ImproperlyConfigured(
            f"{', '.join(strange)} can't be given to a command; write a connection class for --connection-class"
        )
    return f"{url}{'&' if '?' in url else '?'}{urlencode(extra)}"


def _login(user: object, password: object) -> str:
    return f"{quote(str(user or ''), safe='')}:{quote(str(password or ''), safe='')}@" if user or password else ""


def _named() -> dict[str, dict[str, Any]]:
    which = form()
    found = getattr(settings, which, {}) if which else {}
    found = _dict(found, which).get("QUEUES", {}) if which == "ATOMIQ" else found
    return {name: _dict(said, f"{which}[{name!r}]") for name, said in _dict(found, which).items()}


def _shared() -> dict[str, Any]:
    which = form()
    if which == "ATOMIQ":
        return {name: value for name, value in _dict(settings.ATOMIQ, which).items() if name != "QUEUES"}
    shared = dict(_dict(getattr(settings, "RQ", None) or {}, "RQ")) if which else {}
    if str(shared.get("QUEUE_CLASS", "")).startswith("django_rq."):
        del shared["QUEUE_CLASS"]
    return shared


def _dict(found: Any, where: str) -> dict[str, Any]:
    if not isinstance(found, Mapping):
        raise ImproperlyConfigured(f"{where} must be a dict, not {type(found).__name__}: {found!r}")
    return dict(found)
