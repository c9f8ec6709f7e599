"""Commands that are those of `atomiq`, with Django set up and the server of the settings."""

from __future__ import annotations

import importlib
import os
from typing import Any, ClassVar, Final

import click
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from atomiq.contrib.django.conf import plain_url, queue_names, queue_settings

_WITH_VALUE: Final = ("--settings", "--pythonpath")
_CLASSES: Final = {"SERIALIZER": "--serializer", "JOB_CLASS": "--job-class"}
"""Entries of the settings that have to be the same where jobs are enqueued and where they are run."""
_FLAGS: Final = ("--no-color", "--force-color", "--skip-checks", "--traceback")


def split(arguments: Any) -> tuple[list[str], list[str]]:
    """Django's own options, and all the rest."""
    given, own, left = list(arguments or ()), [], []
    while given:
        word = given.pop(0)
        if word in _WITH_VALUE and given:
            own += [word, given.pop(0)]
        elif word in _FLAGS or word.startswith(tuple(f"{name}=" for name in _WITH_VALUE)):
            own.append(word)
        else:
            left.append(word)
    return own, left


class AtomiqCommand(BaseCommand):
    """`manage.py atomiqX ...` is `atomiq X ...`. The options are those of `atomiq X --help`."""

    requires_system_checks: ClassVar[list[str]] = []
    command = ""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parse = parser.parse_args

        def parse_args(args: Any = None, namespace: Any = None) -> Any:
            own, left = split(args)
            parsed = parse(own, namespace)
            parsed.arguments = left
            return parsed

        parser.parse_args = parse_args
        return parser

    def handle(self, *args: Any, **options: Any) -> None:
        main = importlib.import_module("atomiq.cli.main").main
        arguments = [*args, *options.get("arguments", [])]
        before = os.environ.get("ATOMIQ_URL")
        try:
            self._name_server(arguments)
            code = main.main([self.command, *arguments], prog_name="atomiq", standalone_mode=False)
            if isinstance(code, int) and code:  # what click's Exit says
                raise SystemExit(code)
        except click.ClickException as error:
            raise CommandError(error.format_message(), returncode=error.exit_code) from error
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from error
        finally:
            if before is None:
                os.environ.pop("ATOMIQ_URL", None)
            else:
                os.environ["ATOMIQ_URL"] = before

    def _name_server(self, arguments: list[str]) -> None:
        """By the environment, which the command's own --url wins over; and the classes of its queues."""
        names = [name for name in arguments if name in queue_names()] or queue_names()[:1]
        urls = {plain_url(queue_settings(name)) for name in names}
        if len(urls) > 1:
            raise CommandError(f"{', '.join(names)} are on different servers; give each a worker of its own")
        url = urls.pop()
        if url is not None:
            os.environ["ATOMIQ_URL"] = url
        if self.command in ("worker", "cron"):
            arguments[:0] = self._classes(names if self.command == "worker" else queue_names())

    def _classes(self, names: list[str]) -> list[str]:
        """Options that name the classes of queues; those that follow win over them."""
        options: list[str] = []
        for entry, option in _CLASSES.items():
            named = {dotted(entry, queue_settings(name).get(entry)) for name in names}
            if len(named) == 1:
                options += [option, one] if (one := named.pop()) else []
            elif self.command == "worker":
                raise CommandError(f"{', '.join(names)} have not the same {entry}; give each a worker of its own")
        return options


def dotted(entry: str, given: Any) -> str:
    """How a command line names a class of the settings; empty if there is none."""
    if given is None or isinstance(given, str):
        return given or ""
    if not hasattr(given, "__qualname__"):
        raise CommandError(f"{entry} can't be given to a command: name it in the settings by its dotted path")
    return f"{given.__module__}.{given.__qualname__}"
