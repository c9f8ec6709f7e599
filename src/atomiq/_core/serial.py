"""Serializers, and the stored form of a call.

A serializer is anything with `dumps(obj) -> bytes` and `loads(bytes) -> obj`.
"""

from __future__ import annotations

import json
import pickle
import pickletools
import zlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, Protocol, runtime_checkable

from atomiq._core.callref import WHERE_MODULES_ARE, import_attribute
from atomiq._core.errors import BaseTimeoutException, DeserializationError, InvalidFunction, UnserializableArguments
from atomiq._core.settings import COMPRESS_ABOVE

_ZLIB_FIRST_BYTE = 0x78
_FRAME_BEGINS: Final = b"\x80\x05\x95"
_FRAME_AT: Final = 11
_TUPLE_OPCODES: Final = b"\x85\x86\x87t"
_MEMOIZE: Final = 0x94
_TEXT_OPCODES: Final = frozenset(["SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE"])
_BEFORE_TEXT: Final = frozenset(["PROTO", "FRAME", "MARK"])


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
    def dumps(*args: Any, **kwargs: Any) -> bytes:
        return json.dumps(*args, **kwargs).encode()

    @staticmethod
    def loads(s: bytes, *args: Any, **kwargs: Any) -> Any:
        return json.loads(s.decode(), *args, **kwargs)


SERIALIZER_ALIASES: dict[str, Serializer] = {"json": JSONSerializer, "pickle": DefaultSerializer}
"""Short names that may stand for a serializer (RQ)."""


def resolve_serializer(serializer: Serializer | type[Serializer] | str | None = None) -> Serializer:
    """The serializer for None (pickle), 'pickle', 'json', a dotted name, or an object with both methods (RQ).

    Raises:
        NotImplementedError: the object lacks `dumps` or `loads`.
        InvalidFunction: a ValueError; the dotted name can't be imported.
    """
    if not serializer or serializer is DefaultSerializer:
        return DefaultSerializer
    found: Any = serializer
    if isinstance(serializer, str):
        if "." not in serializer and serializer not in SERIALIZER_ALIASES:
            raise InvalidFunction(f"no serializer is called {serializer!r}; give json, pickle or a dotted name")
        found = SERIALIZER_ALIASES.get(serializer) or import_attribute(serializer)
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
        if instance is None and (serializer is DefaultSerializer or serializer is PickleSerializer):
            return _pickled_call(name, args, kwargs)
        return _as_bytes(serializer.dumps((name, instance, args, kwargs)))
    except BaseTimeoutException:  # of the job that is running here, and no fault of what is serialised
        raise
    except Exception as error:
        culprit = _culprit(serializer, instance, args, kwargs)
        problem = f"{type(error).__name__}: {error}"
        raise UnserializableArguments(f"{name}: {culprit} can't be serialised: {problem}") from error


def _pickled_call(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bytes:
    """`pickle.dumps((name, None, args, kwargs))` in 9 to 13 bytes less, and quicker.

    A hash is only compact on the server while each value has 64 bytes at most, so every byte of a small call counts.
    Left out is what no reader needs: the length of the frame, and the numbering of objects that nothing refers to.
    """
    dumped = pickle.dumps((None, args, kwargs) if kwargs else (None, args), 5)
    head = _call_head(name)
    if head and dumped.startswith(_FRAME_BEGINS) and int.from_bytes(dumped[3:11], "little") == len(dumped) - _FRAME_AT:
        if kwargs:
            return head + dumped[_FRAME_AT:-3] + b"t."
        numbered = dumped[-4] == _MEMOIZE and dumped[-5] in _TUPLE_OPCODES
        return head + dumped[_FRAME_AT : -4 if numbered else -3] + b"}t."
    return pickle.dumps((name, None, args, kwargs), 5)


@lru_cache(maxsize=4096)
def _call_head(name: str) -> bytes:
    """The pickle of a call up to its name; empty for a name that needs another form."""
    encoded = name.encode("utf-8", "surrogatepass")
    return b"\x80\x05(\x8c%c%b" % (len(encoded), encoded) if len(encoded) < 256 else b""


def dump_meta(serializer: Serializer, meta: Mapping[str, Any]) -> bytes:
    """Serialised meta of a job.

    Raises:
        UnserializableArguments: a ValueError.
    """
    try:
        return _as_bytes(serializer.dumps(meta))
    except BaseTimeoutException:
        raise
    except Exception as error:
        raise UnserializableArguments(f"meta can't be serialised: {type(error).__name__}: {error}") from error


def _as_bytes(dumped: Any) -> bytes:
    """A text would be stored like bytes here, and only fail when the job has run and its result is dumped."""
    if isinstance(dumped, str):
        raise TypeError("the serializer's dumps() must return bytes, not str")
    return dumped  # type: ignore[no-any-return]


def _culprit(serializer: Serializer, instance: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    candidates = [("the instance of the method", instance)]
    candidates += [(f"argument {position}", value) for position, value in enumerate(args, 1)]
    candidates += [(f"argument {key!r}", value) for key, value in kwargs.items()]
    for label, value in candidates:
        try:
            serializer.dumps(value)
        except BaseTimeoutException:
            raise
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
    except BaseTimeoutException:
        raise
    except Exception as error:
        what = f"{type(error).__name__}: {error}{_what_to_do(error)}"
        raise DeserializationError(f"the call of the job can't be loaded: {what}") from error
    return name, instance, args, kwargs


def _what_to_do(error: Exception) -> str:
    """About a call that can't be loaded here: pickles name the modules of what is in them."""
    if isinstance(error, ModuleNotFoundError):
        return f" {WHERE_MODULES_ARE}"
    if isinstance(error, AttributeError) and "__main__" in str(error):
        return "; what a script defines itself no worker can import: move it to another module"
    return ""


def name_in_call(serializer: Serializer, data: bytes) -> str | None:
    """The function's name in a serialised call: of a pickle without loading anything; None if none is to be found.

    Raises:
        DeserializationError: of another serializer's, whatever `load_call` raises.
    """
    if serializer not in (DefaultSerializer, PickleSerializer):
        return load_call(serializer, data)[0]
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name in _TEXT_OPCODES:
                return str(argument)
            if opcode.name not in _BEFORE_TEXT:
                return None
    except (ValueError, IndexError):
        return None
    return None


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
