"""The command group: what every command has in common is said here once, how errors look above all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import click

from atomiq._core.callref import import_attribute
from atomiq._core.errors import AtomiqError
from atomiq._core.shortage import FILES, in_words
from atomiq._core.version import __version__
from atomiq.cli.options import wants_traceback

COMMANDS: Final[Mapping[str, str]] = {
    # what runs
    "worker": "workers.worker",
    "worker-pool": "pool.pool",
    "cron": "cli_cron.cron",
    "relay": "relay.relay",
    "demo": "demo.demo",
    # what looks
    "info": "overview.info",
    "health": "health.health",
    "doctor": "doctor.doctor",
    # what changes
    "enqueue": "enqueue.enqueue",
    "requeue": "manage.requeue",
    "empty": "manage.empty",
    "suspend": "manage.suspend",
    "resume": "manage.resume",
    "outbox": "outbox.outbox",
}
"""Where in atomiq.cli each command is. They are imported when they are asked for: what a worker has imported, each of
its forks has to copy."""


class Commands(click.Group):
    """A group whose commands end with one line on stderr and exit code 1 when atomiq refuses something."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*COMMANDS, *self.commands})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        for name in {cmd_name} if cmd_name in COMMANDS else COMMANDS:  # click names those that are like an unknown one
            if name not in self.commands:
                found: Any = import_attribute(f"atomiq.cli.{COMMANDS[name]}")
                self.add_command(found, name)
        return super().get_command(ctx, cmd_name)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except AtomiqError as error:
            if wants_traceback(ctx):
                raise
            raise click.ClickException(str(error) or type(error).__name__) from error
        except OSError as error:
            if error.errno not in FILES or wants_traceback(ctx):
                raise
            raise click.ClickException(in_words(error)) from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="atomiq")
def main() -> None:
    """Background jobs on Redis or Valkey; every state change is one atomic step."""


def run() -> None:
    """The command line, under its own name however it was started."""
    main(prog_name="atomiq")
