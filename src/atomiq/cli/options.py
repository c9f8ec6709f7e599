"""Options that all commands share, and the connection, classes and serializer that they name."""

from __future__ import annotations

import logging.config
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, TypeVar

import click

from atomiq._core.callref import import_attribute
from atomiq._core.errors import InvalidName
from atomiq._core.serial import resolve_serializer
from atomiq._wire.connect import check_connection, connect
from atomiq._wire.embedded import DEFAULT_FOLDER
from atomiq._wire.server import ServerInfo, check_server
from atomiq._wire.target import Target, checked, embedded_url, find_target
from atomiq.cli.config import load_config, target_of_config
from atomiq.defaults import DEFAULT_CONNECTION_CLASS, DEFAULT_JOB_CLASS, DEFAULT_QUEUE_CLASS, DEFAULT_WORKER_CLASS
from atomiq.job import Job
from atomiq.queue import Queue
from atomiq.utils import import_job_class, import_queue_class, import_worker_class

F = TypeVar("F", bound=Callable[..., Any])

KNOWN_TO_REDIS_PY: Final = ("redis", "rediss", "unix")
ABOVE_CONFIG: Final = ("ATOMIQ_URL", "RQ_REDIS_URL")
_DEBUG: Final = "atomiq.debug"


class Command(click.Command):
    """A command whose `--embedded` takes a folder only where one is meant: after `=`, or a word that is plainly a path.

    `atomiq worker --embedded high` listens to the queue `high`; `--embedded ./data` and `--embedded=data` name folders.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, with_folder(args))


def with_folder(args: Sequence[str]) -> list[str]:
    """The arguments with a bare `--embedded` spelt out."""
    done: list[str] = []
    left = list(args)
    while left:
        word = left.pop(0)
        if word == "--":
            return [*done, word, *left]
        if word == "--embedded":
            word = f"--embedded={left.pop(0) if left and is_path(left[0]) else DEFAULT_FOLDER}"
        done.append(word)
    return done


def is_path(word: str) -> bool:
    """Whether a word after `--embedded` is a folder, not a queue."""
    return word.startswith((".", "~")) or "/" in word


@dataclass
class Settings:
    """What the shared options say. The connection is made when it is first asked for."""

    url: str | None = None
    embedded: str | None = None
    config: str | None = None
    worker_class: str = DEFAULT_WORKER_CLASS
    job_class: str = DEFAULT_JOB_CLASS
    queue_class: str = DEFAULT_QUEUE_CLASS
    connection_class: str = DEFAULT_CONNECTION_CLASS
    path: tuple[str, ...] = (".",)
    serializer: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def from_config(self) -> Mapping[str, Any]:
        """Upper-case names of the config module; empty without one."""
        return load_config(self.config) if self.config else {}

    @property
    def queues_of_config(self) -> tuple[str, ...]:
        """QUEUES in the config module.

        Raises:
            click.BadParameter: it is a text.
        """
        found = self.from_config.get("QUEUES") or ()
        if isinstance(found, str):
            reason = f"QUEUES in the config module {self.config} is the text {found!r}; it has to be a list of names"
            raise click.BadParameter(reason, param_hint="'--config'")
        return tuple(found)

    def configure_logging(self) -> None:
        """Set logging up as DICT_CONFIG in the config module says, if it is there.

        Raises:
            click.BadParameter: logging refuses it.
        """
        said = self.from_config.get("DICT_CONFIG")
        if not said:
            return
        try:
            logging.config.dictConfig(said)
        except (ValueError, TypeError, AttributeError, ImportError) as error:
            reason = f"DICT_CONFIG in the config module {self.config} can't be used: {error}"
            raise click.BadParameter(reason, param_hint="'--config'") from error

    @cached_property
    def target(self) -> Target:
        """The server that is meant.

        The options, else ATOMIQ_URL or RQ_REDIS_URL, else the config module, else REDIS_URL and its companions, else
        localhost.
        """
        config = self.from_config
        if self.embedded is not None:
            return checked(embedded_url(self.embedded), "--embedded")
        if self.url is not None:
            return checked(self.url, "--url")
        if any(os.environ.get(name) for name in ABOVE_CONFIG):
            return find_target()
        found, self.extra = target_of_config(config, self.config or "")
        return found or find_target()

    @cached_property
    def server(self) -> ServerInfo:
        """What that server is. Raises ServerTooOld."""
        return check_server(self.connection)

    @cached_property
    def connection(self) -> Any:
        """A connection to that server that has answered once. Raises ServerUnavailable or what `connect` raises."""
        target = self.target
        if self.connection_class == DEFAULT_CONNECTION_CLASS:
            connection = connect(target.url, **self.extra)
        else:
            connection = chosen(
                self.connection_class, lambda _: self._connection_of_class(target), "--connection-class"
            )
        check_connection(connection, str(target))
        return connection

    def _connection_of_class(self, target: Target) -> Any:
        if target.scheme in KNOWN_TO_REDIS_PY:
            return self.client.from_url(target.url, **self.extra)
        found = connect(target.url, **self.extra)
        found.auto_close_connection_pool = False
        return self.client.from_pool(found.connection_pool)

    @cached_property
    def client(self) -> Any:
        """The connection class."""
        return chosen(self.connection_class, import_attribute, "--connection-class")

    @cached_property
    def worker(self) -> Any:
        """The worker class. Imported only here: most commands have no use for what a worker is made of, which takes as
        long to import as all the rest."""
        return chosen(self.worker_class, import_worker_class, "--worker-class")

    @cached_property
    def job(self) -> Any:
        """The job class."""
        return Job if self.job_class == DEFAULT_JOB_CLASS else chosen(self.job_class, import_job_class, "--job-class")

    @cached_property
    def queue(self) -> Any:
        """The queue class."""
        if self.queue_class == DEFAULT_QUEUE_CLASS:
            return Queue
        return chosen(self.queue_class, import_queue_class, "--queue-class")

    @cached_property
    def serializer_object(self) -> Any:
        """The serializer, None for the default."""
        return chosen(self.serializer, resolve_serializer, "--serializer") if self.serializer else None

    def check_classes(self) -> None:
        """Import what is named, also where a command has no use for it (RQ).

        Raises:
            click.BadParameter: one of them can't be imported, or is of the wrong kind.
        """
        named = () if self.worker_class == DEFAULT_WORKER_CLASS else (self.worker,)
        for _ in (*named, self.job, self.queue, self.client, self.serializer_object):
            pass

    def make_queue(self, name: str) -> Any:
        """A queue of the chosen classes on the chosen server.

        Raises:
            click.UsageError: no queue can be called so.
        """
        connection = self.connection
        try:
            return self.queue(name, connection=connection, job_class=self.job, serializer=self.serializer_object)
        except InvalidName as error:
            raise click.UsageError(str(error)) from error

    def named_queues(self, names: Sequence[str]) -> list[Any]:
        """Queues of these names; without names all there are, sorted."""
        if names:
            return [self.make_queue(name) for name in names]
        found: list[Any] = self.queue.all(self.connection, job_class=self.job, serializer=self.serializer_object)
        return found


def chosen(name: str, importer: Callable[[str], Any], option: str) -> Any:
    """What a dotted name that an option gives stands for. RQ's names (`rq.SimpleWorker`) mean atomiq's.

    Raises:
        click.BadParameter: it can't be imported, or is of the wrong kind.
    """
    ours = f"atomiq.{name.removeprefix('rq.')}" if name.startswith("rq.") else name
    try:
        return importer(ours)
    except (ValueError, TypeError, ImportError, AttributeError, NotImplementedError) as error:
        raise click.BadParameter(f"{error}{hint_about(ours)}", param_hint=f"'{option}'") from error


def hint_about(name: str) -> str:
    """What helps when a class is refused because its base is the installed rq's."""
    try:
        bases = getattr(import_attribute(name), "__mro__", ())
    except ValueError:
        return ""
    if not any(base.__module__.partition(".")[0] == "rq" for base in bases):
        return ""
    return (
        "; its base is a class of rq's: import that from atomiq, or start this command with "
        "python -m atomiq.contrib.rq_alias"
    )


def env(name: str) -> list[str]:
    """Environment names of an option: ours, then RQ's."""
    return [f"ATOMIQ_{name}", f"RQ_{name}"]


def _remember_debug(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    ctx.meta[_DEBUG] = value


def wants_traceback(ctx: click.Context) -> bool:
    """Whether --debug was given."""
    return bool(ctx.meta.get(_DEBUG))


def class_option(*names: str, envvar: list[str], default: str, kind: str) -> Callable[[F], F]:
    """An option that names a class."""
    return click.option(
        *names,
        metavar="PATH",
        envvar=envvar,
        show_envvar=True,
        default=default,
        show_default=True,
        help=f"Dotted name of the {kind} class.",
    )


SHARED: Final = (
    click.option(
        "--url",
        "-u",
        help="Server: redis://, rediss://, unix://, redis+sentinel:// or embedded://PATH. Without it: ATOMIQ_URL, "
        "RQ_REDIS_URL, the config module, REDIS_URL, REDIS_HOST and its companions, localhost:6379.",
    ),
    click.option(
        "--embedded",
        metavar="[PATH]",
        help="Use the embedded server in this folder (default .atomiq/). "
        "PATH starts with a dot or has a slash in it, or is given as --embedded=PATH.",
    ),
    click.option(
        "--config",
        "-c",
        metavar="MODULE",
        envvar=env("CONFIG"),
        show_envvar=True,
        help="Module with settings, such as REDIS_URL, SENTINEL, QUEUES, NAME and DICT_CONFIG.",
    ),
    class_option("--worker-class", "-w", envvar=env("WORKER_CLASS"), default=DEFAULT_WORKER_CLASS, kind="worker"),
    class_option("--job-class", "-j", envvar=env("JOB_CLASS"), default=DEFAULT_JOB_CLASS, kind="job"),
    class_option("--queue-class", envvar=env("QUEUE_CLASS"), default=DEFAULT_QUEUE_CLASS, kind="queue"),
    class_option(
        "--connection-class", envvar=env("CONNECTION_CLASS"), default=DEFAULT_CONNECTION_CLASS, kind="Redis client"
    ),
    click.option(
        "--path",
        "-P",
        multiple=True,
        metavar="FOLDER",
        default=(".",),
        show_default=True,
        help="Import from here too. Repeatable.",
    ),
    click.option(
        "--serializer",
        "-S",
        metavar="NAME",
        help="How calls and results are written: json, pickle or a dotted path.  [default: pickle]",
    ),
    click.option(
        "--debug",
        is_flag=True,
        envvar="ATOMIQ_DEBUG",
        show_envvar=True,
        expose_value=False,
        is_eager=True,
        callback=_remember_debug,
        help="Show tracebacks of refusals too.",
    ),
)


def shared_options(command: F) -> F:
    """Give a command the options of `Settings`; it gets them as its first argument, its own as keywords."""

    @click.pass_context
    def taking_settings(ctx: click.Context, /, **given: Any) -> Any:
        if given["url"] is not None and given["embedded"] is not None:
            raise click.UsageError("--url and --embedded name two servers; give one of them")
        names = [name for name in Settings.__dataclass_fields__ if name in given]
        settings = Settings(**{name: given.pop(name) for name in names})
        for each in settings.path:
            # Appended, as RQ does: the standard library and installed packages win over a stray file.
            sys.path.append(os.path.abspath(each) if each == "." else each)  # noqa: PTH100
        settings.check_classes()
        return ctx.invoke(command, settings, **given)

    taking_settings.__doc__ = command.__doc__
    taking_settings.__name__ = command.__name__
    taking_settings.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
    decorated: Any = taking_settings
    for option in reversed(SHARED):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return]
