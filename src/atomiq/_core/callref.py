"""Functions by name: what a worker can import, whether a call's arguments fit, and how a call reads in a log."""

from __future__ import annotations

import builtins
import importlib
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, Final, NamedTuple

from atomiq._core.errors import InvalidArguments, InvalidFunction
from atomiq._core.signature import signature_of

_LONGEST_ARGUMENT = 75


class FunctionRef(NamedTuple):
    """How a function is stored: a dotted name, or the name of a method and the (serialised) instance it belongs to."""

    name: str
    instance: Any = None


def reference(func: Callable[..., Any] | str) -> FunctionRef:
    """How to store a function, bound method, callable instance or dotted name.

    Raises:
        InvalidFunction: a ValueError; a worker could not import it.
        TypeError: a class, or something that can't be called (RQ).
    """
    if isinstance(func, FunctionType):
        return FunctionRef(function_name(func))
    if isinstance(func, str):
        return _dotted(func)
    if isinstance(func, type):
        name = f"{func.__module__}.{func.__qualname__}"
        raise TypeError(f"a class can't be enqueued: {name}; give a function that calls it")
    if isinstance(func, MethodType):
        _check_module(func.__self__ if isinstance(func.__self__, type) else type(func.__self__), func)
        return FunctionRef(func.__name__, func.__self__)
    if isinstance(func, BuiltinFunctionType):
        owner = func.__self__
        if owner is None or isinstance(owner, ModuleType):
            return FunctionRef(f"{func.__module__}.{func.__qualname__}")
        return FunctionRef(func.__name__, owner)
    if callable(func):
        _check_module(type(func), func)
        return FunctionRef("__call__", func)
    raise TypeError(f"expected a function, a callable or the dotted name of one, not {type(func).__name__}: {func!r}")


@lru_cache(maxsize=4096)
def _dotted(name: str) -> FunctionRef:
    check_dotted(name)
    return FunctionRef(name)


@lru_cache(maxsize=4096)
def function_name(func: Callable[..., Any]) -> str:
    """Dotted name of a plain function or builtin.

    Raises:
        InvalidFunction: a lambda, a nested function, one of `__main__`, or one that its module doesn't have.
    """
    qualname = func.__qualname__
    module = func.__module__
    if func.__name__ == "<lambda>":
        raise InvalidFunction(f"a worker can't import a lambda: {module}.{qualname}; use a function of a module")
    if "<locals>" in qualname:
        raise InvalidFunction(f"a worker can't import a nested function: {module}.{qualname}; move it to the module")
    if module == "__main__":
        raise InvalidFunction(
            f"a worker can't import functions from the __main__ module: {qualname}; move it to another module"
        )
    found: Any = sys.modules.get(module)
    for part in qualname.split(".") if found is not None else ():
        found = getattr(found, part, None)
    if found is None:
        raise InvalidFunction(f"a worker could not import {module}.{qualname}: there is nothing of that name")
    return f"{module}.{qualname}"


def _check_module(owner: type, func: Callable[..., Any]) -> None:
    if owner.__module__ == "__main__":
        raise InvalidFunction(
            f"a worker can't import classes from the __main__ module: {owner.__qualname__}; move it to another module"
        )
    if "<locals>" in owner.__qualname__:
        raise InvalidFunction(f"a worker can't import a nested class: {owner.__qualname__}; move it to the module")


WHERE_MODULES_ARE: Final = "on sys.path; start where it is, or name its folder with --path or in PYTHONPATH"
"""What to do about a module that isn't found."""


def check_dotted(name: str) -> None:
    """Refuse a name that no worker could import, whatever its modules are.

    Raises:
        InvalidFunction: a ValueError; not a dotted name, of `__main__`, or a bare name that is no builtin's.
    """
    parts = name.split(".")
    if not all(part.isidentifier() for part in parts):
        raise InvalidFunction(f"not the dotted name of a function: {name!r}; expected 'package.module.function'")
    if parts[0] == "__main__":
        raise InvalidFunction(f"a worker can't import from the __main__ module: {name}; move it to another module")
    if len(parts) == 1 and not hasattr(builtins, name):
        raise InvalidFunction(f"{name!r} names no module, and no builtin is called so; expected 'module.{name}'")


def import_attribute(name: str) -> Callable[..., Any]:
    """The object a dotted name stands for: `module.function`, `module.Class.method`, or a builtin's bare name (RQ).

    Raises:
        InvalidFunction: a ValueError; the module can't be imported or has nothing of that name. The cause is chained.
    """
    parts = name.split(".")
    missing = ""
    for split in range(len(parts) - 1, 0, -1):
        module_name = ".".join(parts[:split])
        try:
            found: Any = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            missing = f": no module named {error.name!r}"
            if error.name is not None and (module_name == error.name or module_name.startswith(error.name + ".")):
                continue
            raise _import_failed(name, module_name, error) from error
        except (ImportError, ValueError) as error:
            raise _import_failed(name, module_name, error) from error
        return _attribute(found, parts[split:], name)
    if missing and not hasattr(builtins, parts[0]):
        raise InvalidFunction(f"Invalid attribute name: {name}{missing} {WHERE_MODULES_ARE}")
    return _attribute(builtins, parts, name)


def _import_failed(name: str, module_name: str, error: Exception) -> InvalidFunction:
    return InvalidFunction(f"Invalid attribute name: {name} (importing {module_name} failed: {error})")


def _attribute(found: Any, path: Sequence[str], name: str) -> Callable[..., Any]:
    for part in path:
        try:
            found = getattr(found, part)
        except AttributeError as error:
            raise InvalidFunction(f"Invalid attribute name: {name}: {error}") from error
    return found  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class Parameters:
    """What a function accepts, laid out for a quick check."""

    signature: inspect.Signature
    positional: tuple[str, ...]
    required_positional: int
    keywords: frozenset[str]
    required: frozenset[str]
    required_keywords: bool
    any_positional: bool
    any_keyword: bool

    def accept(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
        """Whether a call certainly fits; False means look closer."""
        given = len(args)
        if given > len(self.positional) and not self.any_positional:
            return False
        if not kwargs:
            return given >= self.required_positional and not self.required_keywords
        filled = self.positional[:given]
        for name in kwargs:
            if name in self.keywords:
                if name in filled:
                    return False
            elif not self.any_keyword:
                return False
        return self.required <= (kwargs.keys() & self.keywords).union(filled)


def parameters_of(func: Callable[..., Any] | str) -> Parameters | None:
    """What a function accepts; None when that can't be known (a dotted name, a builtin without signature)."""
    if isinstance(func, str):
        return None
    try:
        if isinstance(func, FunctionType):
            return _parameters(func, False)
        if isinstance(func, MethodType) and isinstance(func.__func__, FunctionType):
            return _parameters(func.__func__, True)
        return _lay_out(signature_of(func))
    except (TypeError, ValueError):
        return None


@lru_cache(maxsize=4096)
def _parameters(func: FunctionType, bound: bool) -> Parameters:
    signature = signature_of(func)
    parameters = list(signature.parameters.values())
    if bound and parameters and parameters[0].kind is not inspect.Parameter.VAR_POSITIONAL:
        signature = signature.replace(parameters=parameters[1:])
    return _lay_out(signature)


def _lay_out(signature: inspect.Signature) -> Parameters:
    kind = inspect.Parameter
    parameters = signature.parameters.values()
    positional = [each for each in parameters if each.kind in (kind.POSITIONAL_ONLY, kind.POSITIONAL_OR_KEYWORD)]
    keyword_only = [each for each in parameters if each.kind is kind.KEYWORD_ONLY]
    required = [each.name for each in (*positional, *keyword_only) if each.default is kind.empty]
    return Parameters(
        signature=signature,
        positional=tuple(each.name for each in positional),
        required_positional=sum(each.default is kind.empty for each in positional),
        keywords=frozenset(
            each.name for each in parameters if each.kind in (kind.POSITIONAL_OR_KEYWORD, kind.KEYWORD_ONLY)
        ),
        required=frozenset(required),
        required_keywords=any(each.default is kind.empty for each in keyword_only),
        any_positional=any(each.kind is kind.VAR_POSITIONAL for each in parameters),
        any_keyword=any(each.kind is kind.VAR_KEYWORD for each in parameters),
    )


def accepts_keyword(func: Callable[..., Any] | str, name: str) -> bool:
    """Whether the function could take a keyword of this name; True when that can't be known."""
    parameters = parameters_of(func)
    return parameters is None or parameters.any_keyword or name in parameters.keywords


def check_call(func: Callable[..., Any] | str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Refuse arguments that the function can't be called with.

    Raises:
        InvalidArguments: a TypeError and ValueError; names the function and the problem.
    """
    parameters = parameters_of(func)
    if parameters is None or parameters.accept(args, kwargs):
        return
    try:
        parameters.signature.bind(*args, **kwargs)
    except TypeError as error:
        name = getattr(func, "__qualname__", None) or type(func).__qualname__
        raise InvalidArguments(f"{name}{parameters.signature} can't be called with these arguments: {error}") from None


def call_string(
    name: str | None, args: Sequence[Any], kwargs: Mapping[str, Any], max_length: int | None = None
) -> str | None:
    """`func(1, key='value')`, each argument cut to 75 characters, keywords sorted (RQ); None without a name."""
    if name is None:
        return None
    longest = max_length or _LONGEST_ARGUMENT
    shown = [_short(argument, longest) for argument in args]
    if kwargs:
        shown += sorted(f"{key}={_short(value, longest)}" for key, value in kwargs.items())
    return f"{name}({', '.join(shown)})"


def _short(argument: Any, longest: int) -> str:
    """The beginning of an argument's repr, without building the whole repr of something huge."""
    kind = type(argument)
    try:
        if kind in (str, bytes, list, tuple) and len(argument) > longest:
            argument = argument[: longest + 2]
        elif kind is dict and len(argument) > longest:
            argument = dict(islice(argument.items(), longest))
        text = repr(argument)
    except Exception:  # noqa: BLE001 - a description must not fail because of somebody's __repr__
        text = f"<{kind.__qualname__}: repr failed>"
    return text if len(text) <= longest else f"{text[:longest]}..."
