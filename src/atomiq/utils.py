"""RQ's helpers that other code relies on, under RQ's names (`rq.utils`)."""

from __future__ import annotations

import json
import platform
import re
import sys
import warnings
from collections.abc import Generator, Iterable, Sequence
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from atomiq._core import timestamp
from atomiq._core.callref import call_string, import_attribute, reference
from atomiq._core.classes import lookup
from atomiq._core.errors import TimeoutFormatError
from atomiq._core.ttl import parse_timeout

__all__ = [
    "NOT_JSON_SERIALIZABLE",
    "Platform",
    "TimeoutFormatError",
    "as_text",
    "backend_class",
    "ceildiv",
    "compact",
    "current_timestamp",
    "decode_redis_hash",
    "ensure_job_list",
    "get_call_string",
    "get_connection_from_queues",
    "get_platform",
    "get_version",
    "import_attribute",
    "import_job_class",
    "import_queue_class",
    "import_worker_class",
    "is_nonstring_iterable",
    "normalize_config_path",
    "now",
    "parse_composite_key",
    "parse_names",
    "parse_timeout",
    "resolve_function_reference",
    "safe_json_dumps",
    "split_list",
    "str_to_date",
    "truncate_long_string",
    "utcformat",
    "utcparse",
    "validate_absolute_path",
]

T = TypeVar("T")
NOT_JSON_SERIALIZABLE = "<not JSON serializable>"


class Platform(Enum):
    """Kinds of operating systems."""

    WINDOWS = "windows"
    MAC = "mac"
    LINUX = "linux"
    OTHERS = "others"


def get_platform() -> Platform:
    """The kind of operating system this runs on."""
    return _PLATFORMS.get(platform.system(), Platform.OTHERS)


_PLATFORMS = {"Linux": Platform.LINUX, "Darwin": Platform.MAC, "Windows": Platform.WINDOWS}


def now() -> datetime:
    """This machine's time, aware UTC."""
    return datetime.now(UTC)


def current_timestamp() -> int:
    """This machine's time, whole unix seconds."""
    return int(now().timestamp())


def utcformat(dt: datetime) -> str:
    """`YYYY-MM-DDTHH:MM:SS.ffffffZ`; an aware time is converted to UTC, a naive one is taken as UTC."""
    return timestamp.utcformat(dt)


def utcparse(string: str) -> datetime:
    """Aware UTC time of RQ's text form, with or without fraction. Raises ValueError for anything else."""
    return timestamp.utcparse(string)


def str_to_date(date_str: bytes | str) -> datetime:
    """Aware UTC time of RQ's text form.

    Raises:
        ValueError: empty, or not a time.
    """
    if not date_str:
        raise ValueError("Empty string or bytestring provided")
    return timestamp.utcparse(date_str)


def as_text(v: bytes | str) -> str:
    """Text of bytes or text.

    Raises:
        ValueError: neither.
    """
    if isinstance(v, bytes):
        return v.decode()
    if isinstance(v, str):
        return v
    raise ValueError(f"Unknown type {type(v)!r}")


def decode_redis_hash(h: dict[Any, Any], *, decode_values: bool = False) -> dict[str, Any]:
    """A hash as read, its names (and with `decode_values` its values) as text."""
    return {as_text(name): as_text(value) if decode_values else value for name, value in h.items()}


def safe_json_dumps(value: Any) -> str:
    """JSON, or a placeholder for a value that has none."""
    try:
        return json.dumps(value)
    except (TypeError, ValueError):
        return NOT_JSON_SERIALIZABLE


def compact(lst: Iterable[T | None]) -> list[T]:
    """The list without None."""
    return [item for item in lst if item is not None]


def is_nonstring_iterable(obj: Any) -> bool:
    """Whether it can be iterated over and is no text."""
    return isinstance(obj, Iterable) and not isinstance(obj, str)


def ensure_job_list(obj: Any) -> list[Any]:
    """An iterable as a list, anything else as a list of one."""
    return list(obj) if is_nonstring_iterable(obj) else [obj]


def ceildiv(a: int, b: int) -> int:
    """Quotient, rounded up."""
    return -(-a // b)


def split_list(a_list: Sequence[T], segment_size: int) -> Generator[Sequence[T], None, None]:
    """Parts of at most `segment_size`."""
    for start in range(0, len(a_list), segment_size):
        yield a_list[start : start + segment_size]


def truncate_long_string(data: str, max_length: int | None = None) -> str:
    """Text cut to `max_length` with `...` after it; None for no cut."""
    return data if max_length is None or len(data) <= max_length else f"{data[:max_length]}..."


def get_call_string(
    func_name: str | None, args: Sequence[Any], kwargs: dict[str, Any], max_length: int | None = None
) -> str | None:
    """`func(1, key='value')`, each argument cut to `max_length`, None for no cut; None without a name."""
    return call_string(func_name, args, kwargs, sys.maxsize if max_length is None else max_length)


def parse_names(queues_or_names: Iterable[Any]) -> list[str]:
    """Names of queues or names; of anything else its text (RQ)."""
    return [
        as_text(each) if isinstance(each, (str, bytes)) else str(getattr(each, "name", each))
        for each in queues_or_names
    ]


def get_connection_from_queues(queues_or_names: Iterable[Any]) -> Any:
    """The connection of the first Queue among them, None without one."""
    return next((each.connection for each in queues_or_names if hasattr(each, "connection")), None)


def parse_composite_key(composite_key: str) -> tuple[str, str]:
    """Job id and execution id of `job:execution`; of a bare id, as RQ before 2.0 had it, that and an empty text.

    Raises:
        ValueError: more than two parts.
    """
    job_id, separator, execution_id = composite_key.partition(":")
    if not separator:
        text = f"Composite key must contain job_id:execution_id, got {composite_key}"
        warnings.warn(text, DeprecationWarning, stacklevel=2)
    if ":" in execution_id:
        raise ValueError(f"not of the form job_id:execution_id: {composite_key!r}")
    return job_id, execution_id


def resolve_function_reference(func: Any) -> tuple[Any, str]:
    """Instance (None for a function) and name that a callable is stored by. Raises InvalidFunction, a ValueError."""
    stored_as = reference(func)
    return stored_as.instance, stored_as.name


def get_version(connection: Any) -> tuple[int, int, int]:
    """Version that the server reports for Redis; (5, 0, 9) if it reports none (RQ)."""
    reported = str(connection.info("server").get("redis_version", ""))
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", reported)
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else (5, 0, 9)


def backend_class(holder: Any, default_name: str, override: type[Any] | str | None = None) -> Any:
    """The class `override` (or its dotted name), else the attribute `default_name` of `holder`."""
    if override is None:
        return getattr(holder, default_name)
    return import_attribute(override) if isinstance(override, str) else override


def import_job_class(name: str) -> Any:
    """The Job class of a dotted name. Raises ValueError for anything else."""
    return _subclass(name, lookup("Job"))


def import_queue_class(name: str) -> Any:
    """The Queue class of a dotted name. Raises ValueError for anything else."""
    return _subclass(name, lookup("Queue"))


def import_worker_class(name: str) -> Any:
    """The worker class of a dotted name. Raises ValueError for anything else."""
    base: Any = import_attribute("atomiq.worker.BaseWorker")
    return _subclass(name, base)


def _subclass(name: str, base: type[Any]) -> Any:
    found: Any = import_attribute(name)
    if not (isinstance(found, type) and issubclass(found, base)):
        raise ValueError(f"{name} is not a {base.__name__} class")
    return found


def normalize_config_path(config_path: str) -> str:
    """Dotted module name of a path such as `a/b.py`."""
    return config_path.removesuffix(".py").replace("\\", ".").replace("/", ".").lstrip(".")


def validate_absolute_path(file_path: str) -> str:
    """The path of a file that exists.

    Raises:
        FileNotFoundError: there is nothing.
        IsADirectoryError: it is a folder.
    """
    if not Path(file_path).exists():
        raise FileNotFoundError(f"Configuration file not found at '{file_path}'")
    if Path(file_path).is_dir():
        raise IsADirectoryError(f"Configuration path points to a directory, not a file: '{file_path}'")
    return file_path
