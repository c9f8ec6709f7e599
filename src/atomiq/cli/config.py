"""Config modules (`-c settings`): RQ's names, read as RQ reads them."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import click

from atomiq._core.errors import InvalidURL
from atomiq._wire.target import PART_VARIABLES, TLS_VARIABLES, Target, checked, url_of_parts

SENTINEL_NAMES: Final = frozenset(
    {"INSTANCES", "MASTER_NAME", "DB", "USERNAME", "PASSWORD", "SOCKET_TIMEOUT", "SSL", "CONNECTION_KWARGS",
     "SENTINEL_KWARGS"}
)  # fmt: skip


def load_config(module: str) -> dict[str, Any]:
    """The upper-case names of a module.

    Raises:
        click.BadParameter: there is no such module, or importing it failed; says why.
    """
    try:
        found = importlib.import_module(module)
    except Exception as error:
        reason = f"the config module {module!r} can't be imported: {type(error).__name__}: {error}"
        raise click.BadParameter(reason, param_hint="'--config'") from error
    return {name: value for name, value in vars(found).items() if name.isupper()}


def target_of_config(settings: Mapping[str, Any], module: str) -> tuple[Target | None, dict[str, Any]]:
    """The server that a config module names, and keyword arguments for its connection. None when it names none.

    Raises:
        InvalidURL: what it says makes no URL.
    """
    source = f"from the config module {module}"
    if settings.get("REDIS_URL"):
        return checked(str(settings["REDIS_URL"]), source), {}
    if settings.get("SENTINEL") is not None:
        url, extra = sentinel_url(settings["SENTINEL"])
        return checked(url, source), extra
    parts = {name: as_text(settings[name]) for name in (*PART_VARIABLES, *TLS_VARIABLES) if settings.get(name)}
    if "REDIS_SSL_CERT_REQS" in settings and settings["REDIS_SSL_CERT_REQS"] is None:
        parts["REDIS_SSL_CERT_REQS"] = "none"
    if any(name in settings for name in PART_VARIABLES):
        return checked(url_of_parts(parts), source), {}
    return None, {}


def as_text(value: Any) -> str:
    """A setting as the environment would spell it."""
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def sentinel_url(said: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """RQ's SENTINEL dict as a URL, and the rest as keyword arguments of `connect`.

    Raises:
        InvalidURL: an entry that is not one of RQ's.
    """
    unknown = sorted(set(said) - SENTINEL_NAMES)
    if unknown:
        known = ", ".join(sorted(SENTINEL_NAMES))
        raise InvalidURL(f"SENTINEL in the config module has {', '.join(unknown)}; it takes {known}")
    user, password = said.get("USERNAME") or "", said.get("PASSWORD") or ""
    login = f"{quote(str(user), safe='')}:{quote(str(password), safe='')}@" if user or password else ""
    places = ",".join(f"{host}:{port}" for host, port in said.get("INSTANCES") or [("localhost", 26379)])
    scheme = "rediss" if said.get("SSL") else "redis"
    master = quote(said.get("MASTER_NAME") or "mymaster")
    url = f"{scheme}+sentinel://{login}{places}/{said.get('DB') or 0}?master={master}"
    extra = dict(said.get("CONNECTION_KWARGS") or {})
    if said.get("SOCKET_TIMEOUT") is not None:
        extra["socket_timeout"] = said["SOCKET_TIMEOUT"]
    if said.get("SENTINEL_KWARGS"):
        extra["sentinel_kwargs"] = dict(said["SENTINEL_KWARGS"])
    return url, extra
