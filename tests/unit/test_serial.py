"""Serializers and the stored call."""

from __future__ import annotations

import json
import pickle
import threading
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atomiq._core.errors import DeserializationError, UnserializableArguments
from atomiq._core.serial import (
    DefaultSerializer,
    JSONSerializer,
    dump_call,
    dump_meta,
    load_call,
    pack,
    resolve_serializer,
    unpack,
)
from atomiq.timeouts import JobTimeoutException


class Custom:
    def dumps(self, obj: Any) -> bytes:
        return repr(obj).encode()

    def loads(self, data: bytes) -> Any:
        return data


def test_resolving() -> None:
    assert resolve_serializer(None) is DefaultSerializer
    assert resolve_serializer("json") is JSONSerializer
    assert resolve_serializer("pickle") is DefaultSerializer
    assert resolve_serializer("json") is resolve_serializer("atomiq.serializers.JSONSerializer")
    assert resolve_serializer(pickle) is pickle  # type: ignore[arg-type, comparison-overlap]
    custom = Custom()
    assert resolve_serializer(custom) is custom
    with pytest.raises(NotImplementedError, match="dumps"):
        resolve_serializer(object())  # type: ignore[arg-type]
    with pytest.raises(ValueError):
        resolve_serializer("no.such.thing")
    with pytest.raises(ValueError, match="no serializer is called 'yaml'; give json, pickle or a dotted name"):
        resolve_serializer("yaml")


def test_pickle_uses_the_highest_protocol() -> None:
    assert DefaultSerializer.dumps(1) == pickle.dumps(1, pickle.HIGHEST_PROTOCOL)


def test_a_call_survives() -> None:
    data = dump_call(DefaultSerializer, "m.f", None, (1, "a"), {"k": b"v"})
    assert load_call(DefaultSerializer, data) == ("m.f", None, (1, "a"), {"k": b"v"})
    assert load_call(JSONSerializer, dump_call(JSONSerializer, "m.f", None, (1,), {})) == ("m.f", None, [1], {})


simple = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9) | st.binary(max_size=9)
)
values = st.recursive(
    simple,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.lists(inner, max_size=5).map(tuple)
        | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=20,
)


@given(
    st.text(min_size=1, max_size=300),
    st.lists(values, max_size=5).map(tuple),
    st.dictionaries(st.text(max_size=5), values, max_size=3),
)
def test_the_short_form_of_a_call_says_the_same(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Any reader of pickles reads it, RQ's too; it is not longer than what pickle makes by itself."""
    data = dump_call(DefaultSerializer, name, None, args, kwargs)
    assert pickle.loads(data) == (name, None, args, kwargs)
    if repr(name)[1:-1] not in repr((args, kwargs)):  # else pickle may refer to the name instead of repeating it
        assert len(data) <= len(pickle.dumps((name, None, args, kwargs), pickle.HIGHEST_PROTOCOL))


def test_a_small_call_is_small() -> None:
    assert len(dump_call(DefaultSerializer, "bench.noop.work", None, (5,), {})) == 27


def test_objects_that_meet_twice_in_a_call_are_one_object_again() -> None:
    shared = [1]
    _, _, args, kwargs = load_call(
        DefaultSerializer, dump_call(DefaultSerializer, "m.f", None, (shared, {"in": shared}), {"key": shared})
    )
    assert args[0] is args[1]["in"] is kwargs["key"]


@pytest.mark.parametrize(
    ("data", "advice"),
    [
        (b"c__main__\nBasket\n.", "a script defines itself no worker can import: move it to another module"),
        (b"cno_such_module\nBasket\n.", r"'no_such_module' on sys\.path; start where it is"),
    ],
)
def test_what_to_do_about_a_call_that_can_not_be_loaded(data: bytes, advice: str) -> None:
    """An argument whose class is the producer's own: pickle takes it, and the worker only said that it isn't there."""
    with pytest.raises(DeserializationError, match=advice):
        load_call(DefaultSerializer, data)


@pytest.mark.parametrize("size", range(140, 160))
def test_arguments_that_hold_themselves(size: int) -> None:
    """Their pickle ends with the number of an object, and that number may be any byte."""
    items: list[Any] = [str(number) for number in range(size)]
    given_args = (items,)
    items.append(given_args)
    _, _, args, _ = load_call(DefaultSerializer, dump_call(DefaultSerializer, "m.f", None, given_args, {}))
    assert args[0][-1] is args
    assert len(args[0]) == size + 1


@pytest.mark.parametrize("kwargs", [{}, {"key": b"y" * 70_000}])
def test_a_call_of_many_frames(kwargs: dict[str, Any]) -> None:
    call = ("m.f", None, ("x" * 70_000, [str(number) for number in range(30_000)]), kwargs)
    assert load_call(DefaultSerializer, dump_call(DefaultSerializer, *call)) == call


@pytest.mark.parametrize(
    ("args", "kwargs", "named"),
    [((1, threading.Lock()), {}, "argument 2"), ((), {"key": lambda: 0}, "argument 'key'")],
)
def test_what_can_not_be_serialised_is_named(args: tuple[Any, ...], kwargs: dict[str, Any], named: str) -> None:
    with pytest.raises(UnserializableArguments, match=named) as caught:
        dump_call(DefaultSerializer, "m.f", None, args, kwargs)
    assert isinstance(caught.value, ValueError)
    assert caught.value.__cause__ is not None


def test_json_can_not_store_everything() -> None:
    with pytest.raises(UnserializableArguments, match="argument 1"):
        dump_call(JSONSerializer, "m.f", None, (object(),), {})
    with pytest.raises(UnserializableArguments, match="meta"):
        dump_meta(JSONSerializer, {"a": object()})


@pytest.mark.parametrize("data", [b"", b"rubbish", pickle.dumps(5), pickle.dumps((1, 2)), b"cno.such.module\nX\n."])
def test_what_is_no_call(data: bytes) -> None:
    with pytest.raises(DeserializationError):
        load_call(DefaultSerializer, data)


@given(st.binary(max_size=3000))
def test_packed_bytes_come_back(data: bytes) -> None:
    assert unpack(pack(data)) == data


def test_small_is_plain_and_big_is_compressed() -> None:
    small = DefaultSerializer.dumps(("f", None, (), {}))
    assert pack(small) == small
    assert len(pack(b"\x80" + b"a" * 5000)) < 200


def test_bytes_that_look_compressed_are_compressed_once_more() -> None:
    looks_like_it = zlib.compress(json.dumps([1]).encode())
    assert unpack(pack(looks_like_it)) == looks_like_it


def test_what_rq_compressed_is_read() -> None:
    assert unpack(zlib.compress(b"anything")) == b"anything"
    assert unpack(b"x not compressed") == b"x not compressed"
    assert unpack(b"") == b""


class Slow:
    """The time limit of the job that is running here is over while its arguments are made into bytes, or back."""

    def dumps(self, obj: Any) -> bytes:
        raise JobTimeoutException

    def loads(self, data: bytes) -> Any:
        raise JobTimeoutException


@pytest.mark.parametrize(
    "call",
    [
        lambda: dump_call(Slow(), "f", None, (1,), {}),
        lambda: dump_meta(Slow(), {}),
        lambda: load_call(Slow(), b""),
    ],
)
def test_a_time_limit_meanwhile(call: Callable[[], object]) -> None:
    """In a job that enqueues others: it was told that their arguments can't be serialised, a ValueError, which may have
    been caught as such, and the job went on beyond its limit."""
    with pytest.raises(JobTimeoutException):
        call()
