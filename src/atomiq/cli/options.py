"""Options that all commands share, and the connection, classes and serializer that they name."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, TypeVar

import click

from atomiq._core.callref import import_attribute
from atomiq._core.serial import resolve_serializer
from atomiq._wire.connect import check_connection, connect
from atomiq._wire.server import ServerInfo, check_server
from atomiq._wire.target import Target, checked, embedded_url, find_target
from atomiq.cli.config import load_config, target_of_config
from atomiq.defaults import DEFAULT_CONNECTION_CLASS, DEFAULT_JOB_CLASS, DEFAULT_QUEUE_CLASS, DEFAULT_WORKER_CLASS
from atomiq.job import Job
from atomiq.queue import Queue
from atomiq.utils import import_job_class, import_queue_class

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_FOLDER: Final = ".atomiq/"
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
            client = chosen(self.connection_class, import_attribute, "--connection-class")
            connection = client.from_url(target.url, **self.extra)
        check_connection(connection, str(target))
        return connection

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

    def make_queue(self, name: str) -> Any:
        """A queue of the chosen classes on the chosen server."""
        return self.queue(name, connection=self.connection, job_class=self.job, serializer=self.serializer_object)

    def named_queues(self, names: Sequence[str]) -> list[Any]:
        """Queues of these names; without names all there are, sorted."""
        if names:
            return [self.make_queue(name) for name in names]
        found: list[Any] = self.queue.all(self.connection, job_class=self.job, serializer=self.serializer_object)
        return found


def chosen(name: str, importer: Callable[[str], Any], option: str) -> Any:
    """What a dotted name that an option gives stands for.

    Raises:
        click.BadParameter: it can't be imported, or is of the wrong kind.
    """
    try:
        return importer(name)
    except (ValueError, ImportError, AttributeError, NotImplementedError) as error:
        raise click.BadParameter(str(error), param_hint=f"'{option}'") from error


def env(name: str, rq: str | None = None) -> list[str]:
    """Environment names of an option: ours, then RQ's."""
    return [f"ATOMIQ_{name}", f"RQ_{rq or name}"]


def _remember_debug(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    ctx.meta[_DEBUG] = value


def wants_traceback(ctx: click.Context) -> bool:
    """Whether --debug was given."""
    return bool(ctx.meta.get(_DEBUG))


SHARED: Final = (
    click.option(
        "--url",
        "-u",
        help="Server: redis://, rediss://, unix://, redis+sentinel:// or embedded://PATH. "
        "Env: ATOMIQ_URL, RQ_REDIS_URL, REDIS_URL. Default: localhost:6379.",
    ),
    click.option(
        "--embedded",
        metavar="[PATH]",
        help="Use the embedded server in this folder (default .atomiq/). "
        "PATH starts with a dot or has a slash in it, or is given as --embedded=PATH.",
    ),
    click.option("--config", "-c", envvar=env("CONFIG"), help="Importable module with settings."),
    click.option("--worker-class", "-w", envvar=env("WORKER_CLASS"), default=DEFAULT_WORKER_CLASS, show_default=True),
    click.option("--job-class", "-j", envvar=env("JOB_CLASS"), default=DEFAULT_JOB_CLASS, show_default=True),
    click.option("--queue-class", envvar=env("QUEUE_CLASS"), default=DEFAULT_QUEUE_CLASS, show_default=True),
    click.option(
        "--connection-class",
        envvar=env("CONNECTION_CLASS", "CONNECTION_CLASS"),
        default=DEFAULT_CONNECTION_CLASS,
        show_default=True,
    ),
    click.option("--path", "-P", multiple=True, default=(".",), show_default=True, help="Put on the import path."),
    click.option("--serializer", "-S", help="json, pickle (default) or a dotted path."),
    click.option(
        "--debug",
        is_flag=True,
        envvar="ATOMIQ_DEBUG",
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
        return ctx.invoke(command, settings, **given)

    taking_settings.__doc__ = command.__doc__
    taking_settings.__name__ = command.__name__
    taking_settings.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
    decorated: Any = taking_settings
    for option in reversed(SHARED):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return]
