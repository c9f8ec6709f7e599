"""The one parser of the keywords that enqueue keeps for itself, and the checks of every option a job can have."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from atomiq._core.callref import accepts_keyword, parameters_of
from atomiq._core.errors import ArgumentsTwice, InvalidOption
from atomiq._core.ids import validate_group_name, validate_job_id
from atomiq._core.precondition import Precondition, as_precondition
from atomiq._core.settings import EXECUTORS
from atomiq._core.ttl import check_keep, check_timeout, check_ttl
from atomiq._core.values import (
    NO_DEPENDENCIES,
    Callback,
    Dependencies,
    EnqueueArgs,
    Repeat,
    RequiringArgs,
    Retry,
    call_args,
    call_kwargs,
    parse_depends_on,
)

RESERVED: Final = (
    "job_timeout",
    "description",
    "result_ttl",
    "ttl",
    "failure_ttl",
    "depends_on",
    "job_id",
    "at_front",
    "meta",
    "retry",
    "repeat",
    "on_success",
    "on_failure",
    "on_stopped",
    "pipeline",
    "unique",
    "webhooks",
    "args",
    "kwargs",
)
"""Keywords of enqueue that never reach the function."""
REQUIRES: Final = "requires"
"""One that RQ doesn't have; see `take_requires`."""

_RESERVED_SET: Final = frozenset(RESERVED)
_OFTEN_MEANT: Final = {
    "timeout": "job_timeout",
    "id": "job_id",
    "retries": "retry",
    "max_retries": "retry",
    "repeats": "repeat",
    "dependencies": "depends_on",
    "front": "at_front",
    "metadata": "meta",
    "require": REQUIRES,
    "precondition": REQUIRES,
}
_ELSEWHERE: Final = ("executor", "abandoned")
"""Options of a job that enqueue leaves to the function."""
_CLOSE: Final = 0.75


def meant_option(name: str, options: Sequence[str] = RESERVED) -> str | None:
    """The option that an unknown keyword is probably a misspelling of; by default among those that enqueue reserves."""
    often = _OFTEN_MEANT.get(name)
    if often in options or (often == REQUIRES and options is RESERVED):
        return often
    close = difflib.get_close_matches(name, options, n=1, cutoff=_CLOSE)
    return close[0] if close else None


def parse_enqueue(func: Callable[..., Any] | str, args: tuple[Any, ...], keywords: Mapping[str, Any]) -> EnqueueArgs:
    """Split what enqueue was given into the options of the job and the arguments of the function (RQ's `parse_args`).

    Raises:
        InvalidOption: a ValueError; an unknown keyword that the function doesn't take looks like a misspelt option.
        ArgumentsTwice: `args=` or `kwargs=` together with arguments given in the plain way.
    """
    if not keywords:
        return EnqueueArgs._make((func, *NOTHING_GIVEN, args, {}, None))
    requires = None
    if REQUIRES in keywords:
        keywords, requires = take_requires(func, keywords)
    given = {name: value for name, value in keywords.items() if name in _RESERVED_SET}
    own = {name: value for name, value in keywords.items() if name not in _RESERVED_SET}
    if "args" in given or "kwargs" in given:
        _refuse_double(args, own)
        args, own = call_args(given.pop("args", None)), call_kwargs(given.pop("kwargs", None))
    elif own:
        refuse_misspelt(func, own)
    if "job_timeout" in given:
        given["timeout"] = given.pop("job_timeout")
    for event in ("on_success", "on_failure", "on_stopped"):
        if given.get(event):
            given[event] = as_callback(given[event], event)
    made = EnqueueArgs._make((func, *NOTHING_GIVEN, args, own, None))._replace(**given)
    return made if requires is None else RequiringArgs.of(made, requires)


def take_requires(func: Callable[..., Any] | str, keywords: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
    """The other keywords, and what the job requires: None if that is not said. Functions of RQ's users may have a
    parameter of this name: it is theirs then, unless it is given a precondition."""
    others = dict(keywords)
    parameters = parameters_of(func)
    if parameters is not None and REQUIRES in parameters.keywords and not isinstance(others[REQUIRES], Precondition):
        return others, None
    return others, others.pop(REQUIRES)


NOTHING_GIVEN: Final[tuple[Any, ...]] = tuple(
    False if name in ("at_front", "unique") else None for name in EnqueueArgs._fields[1:-3]
)
"""The options between function and arguments in an EnqueueArgs, none of them given."""


def _refuse_double(args: tuple[Any, ...], own: Mapping[str, Any]) -> None:
    if args:
        raise ArgumentsTwice("Extra positional arguments cannot be used when using explicit args and kwargs")
    for name in own:
        meant = meant_option(name)
        hint = f"; did you mean {meant}?" if meant else "; put it into kwargs"
        raise InvalidOption(f"unknown option {name!r}: beside explicit args or kwargs it reaches no function{hint}")


def refuse_misspelt(func: Callable[..., Any] | str, keywords: Iterable[str]) -> None:
    """Refuse a keyword that the function certainly doesn't take and that looks like one of enqueue's.

    Raises:
        InvalidOption: a ValueError; says which option is probably meant.
    """
    if parameters_of(func) is None:
        return
    for name in keywords:
        if not accepts_keyword(func, name):
            meant, shown = meant_option(name), getattr(func, "__qualname__", repr(func))
            if name in _ELSEWHERE:
                raise InvalidOption(
                    f"{shown} takes no keyword {name!r}, and enqueue has none, as RQ's has none: give it to the Queue, "
                    f"to @job, or to create_job, and the job of that to enqueue_job"
                )
            if meant is not None:
                raise InvalidOption(f"{shown} takes no keyword {name!r}, and enqueue has none: did you mean {meant}?")


def as_callback(value: Callback | Callable[..., Any] | str | None, event: str) -> Callback | None:
    """A Callback; a bare function or name still works, with a DeprecationWarning (RQ).

    Raises:
        InvalidOption, InvalidFunction: ValueErrors; neither, or not importable by a worker.
    """
    if value is None or isinstance(value, Callback):
        return value
    message = f"Passing a string or function for `{event}` is deprecated, pass a Callback"
    warnings.warn(message, DeprecationWarning, stacklevel=4)
    return Callback(value)


@dataclass(slots=True)
class JobOptions:
    """Every option of a job, checked. None means: not given."""

    timeout: int | None = None
    result_ttl: int | None = None
    ttl: int | None = None
    failure_ttl: int | None = None
    description: str | None = None
    dependencies: Dependencies = NO_DEPENDENCIES
    job_id: str | None = None
    meta: dict[str, Any] | None = None
    retry: Retry | None = None
    repeat: Repeat | None = None
    on_success: Callback | None = None
    on_failure: Callback | None = None
    on_stopped: Callback | None = None
    webhooks: list[Any] | None = None
    group_id: str | None = None
    abandoned: str | None = None
    executor: str | None = None
    requires: Precondition | None = None


NO_OPTIONS: Final = JobOptions()


def check_options(given: Mapping[str, Any]) -> JobOptions:
    """Checked options; names are those of `Queue.create_job`, values None are as good as not given.

    Raises:
        InvalidTime, TimeoutFormatError: ValueErrors; a duration that makes no sense.
        InvalidName, InvalidOption: ValueErrors; a bad job id, or an option of the wrong kind.
        TypeError: job id not a string, webhooks not a sequence.
    """
    options = JobOptions()
    for name, value in given.items():
        if value is not None:
            target, check = _CHECKS[name]
            setattr(options, target, check(value))
    return options


def check_unique(unique: bool, job_id: str | None, depends_on: object) -> None:
    """Refuse `unique=True` without a job id, or with dependencies (RQ).

    Raises:
        InvalidOption: a ValueError.
    """
    if unique and not job_id:
        raise InvalidOption("unique=True needs an explicit job_id")
    if unique and depends_on:
        raise InvalidOption("unique=True can't be combined with depends_on")


def check_abandoned(value: str) -> str:
    """'retry' or 'fail': what becomes of a job whose worker went away.

    Raises:
        InvalidOption: a ValueError; anything else.
    """
    if value not in ("retry", "fail"):
        raise InvalidOption(f"abandoned must be 'retry' or 'fail', not {value!r}")
    return value


def check_executor(value: str) -> str:
    """The name of an executor.

    Raises:
        InvalidOption: a ValueError; there is none of this name.
    """
    if value not in EXECUTORS:
        raise InvalidOption(f"executor must be one of {', '.join(EXECUTORS)}, not {value!r}")
    return value


def _check_job_id(value: str) -> str:
    validate_job_id(value)
    return value


def _check_group(value: str) -> str:
    validate_group_name(value)
    return value


def _of_kind(kind: type, name: str) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if not isinstance(value, kind):
            raise InvalidOption(f"{name} must be a {kind.__name__}, not {type(value).__name__}: {value!r}")
        return value

    return check


def _check_description(value: Any) -> str:
    text = str(value)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidOption(f"description can't be stored: {error}") from error
    return text


def _check_webhooks(value: Any) -> list[Any]:
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        raise TypeError(f"webhooks must be a list of Webhook, not {type(value).__name__}")
    for each in value:
        if not hasattr(each, "to_dict"):
            raise TypeError(f"webhooks must be a list of Webhook, found {type(each).__name__}")
    return list(value)


_CHECKS: Final[dict[str, tuple[str, Callable[[Any], Any]]]] = {
    "timeout": ("timeout", check_timeout),
    "result_ttl": ("result_ttl", lambda value: check_keep(value, "result_ttl")),
    "ttl": ("ttl", check_ttl),
    "failure_ttl": ("failure_ttl", lambda value: check_keep(value, "failure_ttl")),
    "description": ("description", _check_description),
    "depends_on": ("dependencies", parse_depends_on),
    "job_id": ("job_id", _check_job_id),
    "meta": ("meta", _of_kind(dict, "meta")),
    "retry": ("retry", _of_kind(Retry, "retry")),
    "repeat": ("repeat", _of_kind(Repeat, "repeat")),
    "on_success": ("on_success", lambda value: as_callback(value, "on_success")),
    "on_failure": ("on_failure", lambda value: as_callback(value, "on_failure")),
    "on_stopped": ("on_stopped", lambda value: as_callback(value, "on_stopped")),
    "webhooks": ("webhooks", _check_webhooks),
    "group_id": ("group_id", _check_group),
    "abandoned": ("abandoned", check_abandoned),
    "executor": ("executor", check_executor),
    "requires": ("requires", as_precondition),
}
