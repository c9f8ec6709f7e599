"""The command group: what every command has in common is said here once, how errors look above all."""

from __future__ import annotations

from typing import Any

import click

from atomiq._core.errors import AtomiqError
from atomiq._core.version import __version__
from atomiq.cli.cron import cron
from atomiq.cli.demo import demo
from atomiq.cli.doctor import doctor
from atomiq.cli.enqueue import enqueue
from atomiq.cli.health import health
from atomiq.cli.info import info
from atomiq.cli.manage import empty, requeue, resume, suspend
from atomiq.cli.options import wants_traceback
from atomiq.cli.outbox import outbox
from atomiq.cli.pool import pool
from atomiq.cli.relay import relay
from atomiq.cli.worker import worker


class Commands(click.Group):
    """A group whose commands end with one line on stderr and exit code 1 when atomiq refuses something."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except AtomiqError as error:
            if wants_traceback(ctx):
                raise
            raise click.ClickException(str(error) or type(error).__name__) from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="atomiq")
def main() -> None:
    """Background jobs on Redis or Valkey; every state change is one atomic step."""


RUNNING = (worker, pool, cron, relay, demo)
LOOKING = (info, health, doctor)
CHANGING = (enqueue, requeue, empty, suspend, resume, outbox)
for command in (*RUNNING, *LOOKING, *CHANGING):
    main.add_command(command)


def run() -> None:
    """The command line, under its own name however it was started."""
    main(prog_name="atomiq")
