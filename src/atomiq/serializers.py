"""How calls, meta and return values become bytes (RQ's rq.serializers)."""

from __future__ import annotations

from atomiq._core.serial import (
    SERIALIZER_ALIASES,
    DefaultSerializer,
    JSONSerializer,
    PickleSerializer,
    Serializer,
    resolve_serializer,
)

__all__ = [
    "SERIALIZER_ALIASES",
    "DefaultSerializer",
    "JSONSerializer",
    "PickleSerializer",
    "Serializer",
    "resolve_serializer",
]
