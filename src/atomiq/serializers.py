"""How calls, meta and return values become bytes (RQ's rq.serializers)."""

from __future__ import annotations

from atomiq._core.serial import DefaultSerializer, JSONSerializer, PickleSerializer, Serializer, resolve_serializer

__all__ = ["DefaultSerializer", "JSONSerializer", "PickleSerializer", "Serializer", "resolve_serializer"]
