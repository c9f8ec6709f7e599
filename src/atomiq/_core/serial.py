"""Serializers, and the stored form of a call.

A serializer is anything with `dumps(obj) -> bytes` and `loads(bytes) -> obj`.
"""

from __future__ import annotations

import json
import pickle
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from atomiq._core.callref import import_attribute
from atomiq._core.errors import DeserializationError, UnserializableArguments
from atomiq._core.settings import COMPRESS_ABOVE

_ZLIB_FIRST_BYTE = 0x78


@runtime_checkable
class Serializer(Protocol):
    """What a serializer must have (RQ)."""

    def dumps(self, obj: Any, /) -> bytes: ...

    def loads(self, data: bytes, /) -> Any: ...


class PickleSerializer:
    """pickle with the highest protocol (RQ)."""

    @staticmethod
    def dumps(obj: Any, *args: Any, **kwargs: Any) -> bytes:
        return pickle.dumps(obj, *args, **{"protocol": pickle.HIGHEST_PROTOCOL, **kwargs})

    @staticmethod
    def loads(data: bytes, *args: Any, **kwargs: Any) -> Any:
        return pickle.loads(data, *args, **kwargs)


class DefaultSerializer(PickleSerializer):
    """The serializer used when none is named: pickle."""


class JSONSerializer:
    """json as UTF-8 (RQ). Tuples come back as lists; bound methods can't be stored."""

    @staticmethod
    def dumps(obj: Any, *args: Any, **kwargs: Any) -> bytes:
        return json.dumps(obj, *args, **kwargs).encode()

    @staticmethod
    def loads(data: bytes, *args: Any, **kwargs: Any) -> Any:
        return json.loads(data.decode(), *args, **kwargs)


_ALIASES: dict[str, Serializer] = {"json": JSONSerializer, "pickle": PickleSerializer}


def resolve_serializer(serializer: Serializer | type[Serializer] | str | None = None) -> Serializer:
    """The serializer for None (pickle), 'pickle', 'json', a dotted name, or an object with both methods (RQ).

    Raises:
        NotImplementedError: the object lacks `dumps` or `loads`.
        InvalidFunction: a ValueError; the dotted name can't be imported.
    """
    if not serializer:
        return DefaultSerializer
    found: Any = serializer
    if isinstance(serializer, str):
        found = _ALIASES.get(serializer) or import_attribute(serializer)
    for method in ("dumps", "loads"):
        if not callable(getattr(found, method, None)):
            raise NotImplementedError(f"Serializer should have (at least) a {method!r} method: {found!r}")
    return found  # type: ignore[no-any-return]


def dump_call(
    serializer: Serializer, name: str, instance: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> bytes:
    """Serialised call.

    Raises:
        UnserializableArguments: a ValueError; names the argument that can't be serialised.
    """
    try:
        return serializer.dumps((name, instance, args, kwargs))
    except Exception as error:
        culprit = _culprit(serializer, instance, args, kwargs)
        problem = f"{type(error).__name__}: {error}"
        raise UnserializableArguments(f"{name}: {culprit} can't be serialised: {problem}") from error


def dump_meta(serializer: Serializer, meta: Mapping[str, Any]) -> bytes:
    """Serialised meta of a job.

    Raises:
        UnserializableArguments: a ValueError.
    """
    try:
        return serializer.dumps(meta)
    except Exception as error:
        raise UnserializableArguments(f"meta can't be serialised: {type(error).__name__}: {error}") from error


def _culprit(serializer: Serializer, instance: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    candidates = [("the instance of the method", instance)]
    candidates += [(f"argument {position}", value) for position, value in enumerate(args, 1)]
    candidates += [(f"argument {key!r}", value) for key, value in kwargs.items()]
    for label, value in candidates:
        try:
            serializer.dumps(value)
        except Exception:  # noqa: BLE001 - a serializer may raise anything
            return f"{label} ({type(value).__qualname__})"
    return "the call"


def load_call(serializer: Serializer, data: bytes) -> tuple[str, Any, tuple[Any, ...], dict[str, Any]]:
    """Function name, instance, arguments and keywords of a serialised call.

    Raises:
        DeserializationError: not a call, or not of this serializer, or a class of it can't be imported here.
    """
    try:
        name, instance, args, kwargs = serializer.loads(data)
    except Exception as error:
        raise DeserializationError(f"the call of the job can't be loaded: {type(error).__name__}: {error}") from error
    return name, instance, args, kwargs


def pack(data: bytes) -> bytes:
    """Bytes for the hash: compressed when that pays. RQ reads both forms.

    What happens to begin like a zlib stream is always compressed, because the reader would take it for one.
    """
    if len(data) <= COMPRESS_ABOVE and data[:1] != b"x":
        return data
    return zlib.compress(data, 1)


def unpack(stored: bytes) -> bytes:
    """Bytes as they were before `pack`; bytes that are not compressed come back as they are."""
    if not stored or stored[0] != _ZLIB_FIRST_BYTE:
        return stored
    try:
        return zlib.decompress(stored)
    except zlib.error:
        return stored
