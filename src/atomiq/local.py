"""Values of one thread or task (RQ's `rq.local`, which has it from Werkzeug): local attributes, local stacks, proxies.

atomiq itself keeps the running job in a context variable and needs none of this; code written for RQ may.
"""

from __future__ import annotations

import operator
from _thread import get_ident
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Any, Final

_MISSING: Final = object()


class Local:
    """An object whose attributes are those of the thread, or of the asyncio task, that looks."""

    __slots__ = ("_values",)

    def __init__(self) -> None:
        object.__setattr__(self, "_values", ContextVar[dict[str, Any]](f"atomiq.local.{id(self)}"))

    def __call__(self, proxy: str) -> LocalProxy:
        """A proxy for the attribute of this name."""
        return LocalProxy(self, proxy)

    def __iter__(self) -> Any:
        return iter([(get_ident(), self._own())])

    def __getattr__(self, name: str) -> Any:
        found = self._own().get(name, _MISSING)
        if found is _MISSING:
            raise AttributeError(name)
        return found

    def __setattr__(self, name: str, value: Any) -> None:
        self._values.set({**self._own(), name: value})

    def __delattr__(self, name: str) -> None:
        own = dict(self._own())
        if own.pop(name, _MISSING) is _MISSING:
            raise AttributeError(name)
        self._values.set(own)

    def __release_local__(self) -> None:
        self._values.set({})

    def _own(self) -> dict[str, Any]:
        values: ContextVar[dict[str, Any]] = object.__getattribute__(self, "_values")
        return values.get({})


class LocalStack:
    """A stack of one thread or task."""

    def __init__(self) -> None:
        self._local = Local()

    def push(self, obj: Any) -> list[Any]:
        """Put something on top; says the whole stack."""
        stack = [*self._stack(), obj]
        self._local.stack = stack
        return stack

    def pop(self) -> Any:
        """What was on top, taken off; None if there was nothing."""
        stack = self._stack()
        if not stack:
            return None
        self._local.stack = stack[:-1]
        return stack[-1]

    @property
    def top(self) -> Any:
        """What is on top, None if there is nothing."""
        stack = self._stack()
        return stack[-1] if stack else None

    def __len__(self) -> int:
        return len(self._stack())

    def __call__(self) -> LocalProxy:
        """A proxy for what is on top.

        The proxy raises RuntimeError while there is nothing.
        """

        def top() -> Any:
            if not self._stack():
                raise RuntimeError("object unbound")
            return self.top

        return LocalProxy(top)

    def __release_local__(self) -> None:
        release_local(self._local)

    def _stack(self) -> list[Any]:
        return list(getattr(self._local, "stack", ()))


def release_local(local: Local | LocalStack) -> None:
    """Forget what this thread or task has in it."""
    local.__release_local__()


class LocalManager:
    """Several locals that are released together."""

    def __init__(self, locals: Any = None, ident_func: Callable[[], Any] | None = None) -> None:  # noqa: A002 - RQ's
        if locals is None:
            self.locals: list[Any] = []
        elif isinstance(locals, Iterable) and not isinstance(locals, Local):
            self.locals = list(locals)
        else:
            self.locals = [locals]
        self.ident_func = ident_func

    def get_ident(self) -> Any:
        """What tells this context from others: what `ident_func` says, else the number of the thread."""
        return self.ident_func() if self.ident_func is not None else get_ident()

    def cleanup(self) -> None:
        """Release all of them."""
        for each in self.locals:
            release_local(each)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} storages: {len(self.locals)}>"


class LocalProxy:
    """Stands for what a local has, or what a function says, at the time it is used."""

    __slots__ = ("__local", "_name")

    def __init__(self, local: Any, name: str | None = None) -> None:
        object.__setattr__(self, "_LocalProxy__local", local)
        object.__setattr__(self, "_name", name)

    def _get_current_object(self) -> Any:
        """What it stands for now.

        Raises:
            RuntimeError: nothing.
        """
        local = object.__getattribute__(self, "_LocalProxy__local")
        name = object.__getattribute__(self, "_name")
        if not isinstance(local, Local):
            return local()
        try:
            return getattr(local, name)
        except AttributeError:
            raise RuntimeError(f"no object bound to {name}") from None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._get_current_object(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._get_current_object(), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._get_current_object(), name)

    def __bool__(self) -> bool:
        try:
            return bool(self._get_current_object())
        except RuntimeError:
            return False

    def __repr__(self) -> str:
        try:
            return repr(self._get_current_object())
        except RuntimeError:
            return f"<{type(self).__name__} unbound>"

    def __dir__(self) -> list[str]:
        try:
            return dir(self._get_current_object())
        except RuntimeError:
            return []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._get_current_object()(*args, **kwargs)

    def __str__(self) -> str:
        return str(self._get_current_object())

    def __iter__(self) -> Any:
        return iter(self._get_current_object())

    def __eq__(self, other: object) -> Any:
        return self._get_current_object() == other

    def __hash__(self) -> int:
        return hash(self._get_current_object())

    def __len__(self) -> int:
        return len(self._get_current_object())

    def __contains__(self, obj: Any) -> bool:
        return obj in self._get_current_object()

    def __getitem__(self, key: Any) -> Any:
        return self._get_current_object()[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self._get_current_object()[key] = value

    def __delitem__(self, key: Any) -> None:
        del self._get_current_object()[key]


def _passed_on(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(self: LocalProxy, *args: Any) -> Any:
        return function(self._get_current_object(), *args)

    return call


def _passed_on_reflected(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(self: LocalProxy, other: Any) -> Any:
        return function(other, self._get_current_object())

    return call


_BINARY: Final = "add sub mul truediv floordiv mod pow lshift rshift and_ or_ xor"
for _name in ("lt", "le", "gt", "ge", "neg", "pos", "invert", "index", *_BINARY.split()):
    setattr(LocalProxy, f"__{_name.rstrip('_')}__", _passed_on(getattr(operator, _name)))
for _name in _BINARY.split():
    setattr(LocalProxy, f"__r{_name.rstrip('_')}__", _passed_on_reflected(getattr(operator, _name)))
for _name, _function in (("int", int), ("float", float), ("abs", abs), ("complex", complex)):
    setattr(LocalProxy, f"__{_name}__", _passed_on(_function))
del _name, _function
