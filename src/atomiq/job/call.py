"""Which call a job is: its id, and the function with its arguments, decoded only when asked for."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from types import CoroutineType, ModuleType
from typing import Any, Final

from atomiq._core.callref import call_string, import_attribute
from atomiq._core.errors import DeserializationError
from atomiq._core.ids import new_job_id, validate_job_id
from atomiq._core.record import JobRecord
from atomiq._core.serial import dump_call, load_call, name_in_call
from atomiq.job.current import running

Call = tuple[str, Any, Sequence[Any], Mapping[str, Any]]

_MOST_REMEMBERED: Final = 4096
_found: Final[dict[str, tuple[str, ModuleType, str]]] = {}
"""Where a function was found: name of its module, the module itself, name in it."""


def function_named(name: str) -> Any:
    """`import_attribute`, quick the second time. A module that was loaded anew or changed meanwhile counts as it is
    now."""
    place = _found.get(name)
    if place is not None and sys.modules.get(place[0]) is place[1]:
        function = getattr(place[1], place[2], None)
        if function is not None:
            return function
    function = import_attribute(name)
    module_name, _, attribute = name.rpartition(".")
    module = sys.modules.get(module_name)
    if module is not None and getattr(module, attribute, None) is function:
        if len(_found) >= _MOST_REMEMBERED:
            _found.clear()
        _found[name] = (module_name, module, attribute)
    return function


class JobCall(JobRecord):
    """A job record with its id and its call."""

    _id: str | None = None

    @property
    def id(self) -> str:
        """The job's id; made on first access if none was given."""
        if self._id is None:
            self._id = new_job_id()
        return self._id

    @id.setter  # noqa: A003 - RQ's name
    def id(self, value: str) -> None:
        validate_job_id(value)
        self._id = value

    def get_id(self) -> str:
        """The job's id (RQ)."""
        return self.id

    def set_id(self, value: str) -> None:
        """Give the job another id (RQ)."""
        self.id = value

    # -- the call -----------------------------------------------------------------------------------------------------

    @property
    def data(self) -> bytes:
        """The serialised call.

        Raises:
            ValueError: the job has no function.
            UnserializableArguments: a ValueError.
        """
        if self._data is None:
            call: Call | None = self.__dict__.get("_call")
            if call is None:
                raise ValueError("Cannot build the job data")
            self._data = dump_call(self.serializer, *call)
        return self._data

    @data.setter
    def data(self, data: bytes) -> None:
        self._data = data
        self.__dict__.pop("_call", None)

    def _get_call(self) -> Call:
        call: Call | None = self.__dict__.get("_call")
        if call is None:
            if self._data is None:
                raise DeserializationError(f"job {self._id} has no call: it was neither made by Job.create nor fetched")
            call = self.__dict__["_call"] = load_call(self.serializer, self.data)
        return call

    def _set_call(self, position: int, value: Any) -> None:
        call: list[Any] = ["", None, (), {}]
        if "_call" in self.__dict__ or self._data is not None:
            call = list(self._get_call())
        call[position] = value
        self.__dict__["_call"] = tuple(call)
        self._data = None

    @property
    def func_name(self) -> str:
        """Dotted name of the function, or name of the method of `instance`. Raises DeserializationError."""
        return self._get_call()[0]

    @func_name.setter
    def func_name(self, value: str) -> None:
        self._set_call(0, value)

    @property
    def instance(self) -> Any:
        """The object whose method is called, None for functions. Raises DeserializationError."""
        return self._get_call()[1]

    @instance.setter
    def instance(self, value: Any) -> None:
        self._set_call(1, value)

    @property
    def args(self) -> Any:
        """Positional arguments. Raises DeserializationError."""
        return self._get_call()[2]

    @args.setter
    def args(self, value: Sequence[Any]) -> None:
        self._set_call(2, value)

    @property
    def kwargs(self) -> Any:
        """Keyword arguments. Raises DeserializationError."""
        return self._get_call()[3]

    @kwargs.setter
    def kwargs(self, value: Mapping[str, Any]) -> None:
        self._set_call(3, value)

    @property
    def func(self) -> Callable[..., Any]:
        """The function itself, imported. Raises InvalidFunction, a ValueError, when it can't be."""
        name, instance, _, _ = self._get_call()
        found: Callable[..., Any] = getattr(instance, name) if instance is not None else function_named(name)
        return found

    def get_call_string(self) -> str | None:
        """The call as text, such as `tasks.add(1, y=2)` (RQ)."""
        name, _, args, kwargs = self._get_call()
        return call_string(name, args, kwargs)

    @property
    def called_name(self) -> str | None:
        """`func_name` without its arguments being loaded; None if the stored call is not readable."""
        call: Call | None = self.__dict__.get("_call")
        if call is not None:
            return call[0]
        try:
            return name_in_call(self.serializer, self.data)
        except (DeserializationError, ValueError):
            return None

    def call_function(self) -> Any:
        """Call the function, and say what it returns: a coroutine is not awaited."""
        kind = type(self)
        if kind.func is _FUNC and kind.args is _ARGS and kind.kwargs is _KWARGS:  # nobody's own: one look for all three
            name, instance, args, kwargs = self._get_call()
            return (function_named(name) if instance is None else getattr(instance, name))(*args, **kwargs)
        return self.func(*self.args, **self.kwargs)

    def perform(self) -> Any:
        """Call the function here and now, as the current job (RQ)."""
        with running(self):
            return self._execute()

    def _execute(self) -> Any:
        """Call the function; a coroutine is run in an event loop of its own. RQ's users override it."""
        result = self.call_function()
        return asyncio.run(result) if type(result) is CoroutineType else result


_FUNC: Final = JobCall.func
_ARGS: Final = JobCall.args
_KWARGS: Final = JobCall.kwargs
"""As we have made them: what a subclass, or somebody who patches Job, puts in their place is used."""
