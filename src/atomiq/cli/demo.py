"""`atomiq demo`: starts the demonstration, a program of its own (`python -m atomiq.demo`)."""

from __future__ import annotations

import subprocess
import sys

import click


@click.command(
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    short_help="See it work: two workers, one of them killed in the middle, and the books at the end.",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def demo(arguments: tuple[str, ...]) -> None:
    """Index Python's own standard library with two workers, kill one of them, and balance the books."""
    command = [sys.executable, "-m", "atomiq.demo", *arguments]
    with subprocess.Popen(command) as process:
        while True:
            try:
                code = process.wait()
                break
            except KeyboardInterrupt:
                continue  # the terminal has told the child too, and it cleans up
    raise click.exceptions.Exit(code if code >= 0 else 128 - code)
