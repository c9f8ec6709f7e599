"""Which server is meant: the rules that turn an argument, the environment or nothing into one URL.

In this order: the `url` argument; the `embedded` argument; ATOMIQ_URL, RQ_REDIS_URL, REDIS_URL; REDIS_HOST and its
companions (REDIS_PORT, REDIS_DB, REDIS_PASSWORD, REDIS_SSL, REDIS_SSL_…), as RQ reads them; localhost:6379.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, unquote, urlencode, urlsplit

from atomiq._core.errors import InvalidURL
from atomiq._core.settings import ENV_URL
from atomiq._wire.embedded import DEFAULT_FOLDER

PART_VARIABLES = ("REDIS_HOST", "REDIS_PORT", "REDIS_DB", "REDIS_PASSWORD", "REDIS_SSL")
TLS_VARIABLES = (
    "REDIS_SSL_CA_CERTS",
    "REDIS_SSL_CERT_REQS",
    "REDIS_SSL_CA_DATA",
    "REDIS_SSL_KEYFILE",
    "REDIS_SSL_CERTFILE",
)
DEFAULT_URL = "redis://localhost:6379/0"
# What people write -> what redis-py knows.
SAME_SCHEME = {"valkey": "redis", "valkeys": "rediss"}
SCHEMES = ("redis", "rediss", "unix", "embedded", "redis+sentinel", "rediss+sentinel", "valkey", "valkeys")
YES, NO = ("y", "yes", "t", "true", "1", "on"), ("n", "no", "f", "false", "0", "off", "")


@dataclass(frozen=True, slots=True)
class Target:
    """A server's URL and who named it, e.g. `the url argument` or `REDIS_URL`."""

    url: str
    source: str

    @property
    def scheme(self) -> str:
        return self.url.partition("://")[0]

    def __str__(self) -> str:
        """For messages: the URL without its password, and where it comes from."""
        return f"{masked(self.url)} ({self.source})"


@dataclass(frozen=True, slots=True)
class SentinelURL:
    """What a redis+sentinel:// URL says; `plain` is the same as a redis:// URL, for everything but the addresses."""

    sentinels: tuple[tuple[str, int], ...]
    master: str
    plain: str


def find_target(
    url: str | None = None,
    embedded: bool | str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Target:
    """Apply the rules above.

    Args:
        url: any of the known schemes; wins over everything.
        embedded: True for the embedded server in `.atomiq/`, or its folder.
        environ: the environment; default os.environ.

    Raises:
        InvalidURL: not a URL, or a scheme that atomiq doesn't know.
    """
    environ = os.environ if environ is None else environ
    if url is not None:
        return checked(url, "the url argument")
    if embedded:
        return checked(embedded_url(embedded), "the embedded argument")
    for name in ENV_URL:
        if environ.get(name):
            return checked(environ[name], f"from {name}")
    if any(environ.get(name) for name in PART_VARIABLES):
        return checked(url_of_parts(environ), "from REDIS_HOST and its companions")
    return Target(DEFAULT_URL, f"the default, as no URL was given and {', '.join(ENV_URL)} are not set")


def embedded_url(embedded: bool | str | os.PathLike[str]) -> str:
    """The embedded:// URL of a folder; True is the default folder, and a whole URL stays what it is."""
    if embedded is True:
        return f"embedded://{DEFAULT_FOLDER}"
    text = os.fspath(embedded) if not isinstance(embedded, bool) else ""
    return text if text.startswith("embedded://") else f"embedded://{quote(text)}"


def checked(url: str, source: str) -> Target:
    """The target, its scheme brought to redis-py's spelling.

    Raises:
        InvalidURL: with the known schemes, when it is of none of them; or with what is wrong in it.
    """
    scheme, separator, rest = str(url).strip().partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in SCHEMES:
        known = ", ".join(f"{name}://" for name in SCHEMES)
        raise InvalidURL(f"{masked(str(url))!r} ({source}) is not a URL of a kind atomiq knows: {known}")
    target = Target(f"{SAME_SCHEME.get(scheme, scheme)}://{rest}", source)
    if target.scheme in ("redis", "rediss"):
        check_address(target)
    elif target.scheme == "unix":
        parts = _split(target)
        if not parts.path.strip("/") or parts.netloc.rpartition("@")[2]:
            raise InvalidURL(f"{target} names no socket; it is unix:///absolute/path")
    return target


def _split(target: Target) -> SplitResult:
    try:
        parts = urlsplit(target.url)
        _ = parts.port
    except ValueError as error:
        hint = "; in a password, [ is written %5B" if "[" in target.url.rpartition("@")[0] else ""
        raise InvalidURL(f"{target}: {error}{hint}") from error
    return parts


def check_address(target: Target) -> None:
    """What redis-py would pass over in silence: a port that isn't one, a database that isn't a number."""
    parts = _split(target)
    database = unquote(parts.path).strip("/")
    if database and not database.isdecimal():
        raise InvalidURL(f"{target}: the database {database!r} is not a number")


def url_of_parts(environ: Mapping[str, str]) -> str:
    """The URL that REDIS_HOST and its companions spell."""
    secure = environ.get("REDIS_SSL", "").lower()
    if secure not in YES and secure not in NO:
        raise InvalidURL(f"REDIS_SSL={secure!r} is neither yes nor no")
    port = environ.get("REDIS_PORT", "")
    # Container platforms set REDIS_PORT to things like tcp://10.0.0.1:6379 for a service called redis.
    if port and not port.isdecimal() and "://" not in port:
        raise InvalidURL(f"REDIS_PORT={port!r} is not a number")
    password = environ.get("REDIS_PASSWORD")
    address = f"{environ.get('REDIS_HOST') or 'localhost'}:{port if port.isdecimal() else 6379}"
    login = f":{quote(password, safe='')}@" if password else ""
    url = f"{'rediss' if secure in YES else 'redis'}://{login}{address}/{environ.get('REDIS_DB') or 0}"
    if secure not in YES:
        return url
    tls = {name.removeprefix("REDIS_").lower(): environ[name] for name in TLS_VARIABLES if environ.get(name)}
    return f"{url}?{urlencode(tls)}" if tls else url


def parse_sentinel_url(target: Target) -> SentinelURL:
    """Read `redis+sentinel://[user:password@]host[:port],host[:port]/db?master=name[&…]`; port 26379, master mymaster.

    The login and all other options are for the Redis server; `rediss+sentinel` uses TLS to it.

    Raises:
        InvalidURL: no sentinel, or an address that can't be read.
    """
    # Not urlsplit: it would look for one address where there are several.
    whole, _, query = target.url.partition("#")[0].partition("?")
    network, slash, database = whole.partition("://")[2].partition("/")
    login, _, addresses = network.rpartition("@")
    sentinels = []
    for address in filter(None, addresses.split(",")):
        match = re.fullmatch(r"(\[[^\]]+\]|[^:\[\]]+)(?::(\d+))?", address)
        if match is None:
            raise InvalidURL(f"{target}: {address!r} is not host or host:port")
        sentinels.append((match[1].strip("[]"), int(match[2] or 26379)))
    if not sentinels:
        raise InvalidURL(f"{target} names no sentinel; it is redis+sentinel://host:port,host:port/db?master=name")
    options = [option for option in query.split("&") if option]
    masters = [unquote(option.removeprefix("master=")) for option in options if option.startswith("master=")]
    others = "&".join(option for option in options if not option.startswith("master="))
    scheme = target.scheme.removesuffix("+sentinel")
    plain = f"{scheme}://{login}{'@' if login else ''}localhost{slash}{database}{'?' if others else ''}{others}"
    check_address(Target(plain, target.source))
    return SentinelURL(tuple(sentinels), masters[0] if masters else "mymaster", plain)


def masked(url: str) -> str:
    """The URL with its passwords hidden."""
    url = re.sub(r"(://[^/@:]*:)(.*)@", r"\1***@", url)
    return re.sub(r"((?:^|[?&])[a-z_]*password=)[^&]*", r"\1***", url)
