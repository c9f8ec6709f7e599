"""What values of `atomiq worker`'s options mean, and which are refused."""

from __future__ import annotations

import importlib
import logging

import click

from atomiq.worker import DequeueStrategy


def logging_level(verbose: bool, quiet: bool, level: str | None) -> str | None:
    """The level of the log.

    Raises:
        click.UsageError: both flags, or a level that doesn't exist.
    """
    if verbose and quiet:
        raise click.UsageError("Flags --verbose and --quiet are mutually exclusive.")
    if level is not None and level.upper() not in logging.getLevelNamesMapping():
        raise click.UsageError(f"{level!r} is not a logging level: DEBUG, INFO, WARNING, ERROR, CRITICAL")
    return "DEBUG" if verbose else "WARNING" if quiet else level.upper() if level else None


def check_format(log_format: str) -> None:
    """Refuse a format that logging would.

    Raises:
        click.BadParameter: with logging's reason.
    """
    try:
        logging.Formatter(log_format)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="'--log-format'") from error


def strategy_named(name: str) -> DequeueStrategy:
    """The strategy of this name. Ends the command as RQ does, with exit code 1, when there is none."""
    try:
        return DequeueStrategy(name)
    except ValueError:
        known = "`default`, `random` or `round_robin`"
        click.secho(f"ERROR: Dequeue Strategy can only be one of {known}.", fg="red", err=True)
        raise click.exceptions.Exit(1) from None


def imported(module: str) -> None:
    """Import a module that children are to start with.

    Raises:
        click.BadParameter: it can't be imported; the message has the reason.
    """
    try:
        importlib.import_module(module)
    except Exception as error:
        raise click.BadParameter(f"{module}: {type(error).__name__}: {error}", param_hint="--import") from error
