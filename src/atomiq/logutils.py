"""Logging as RQ's command line shows it (RQ's rq.logutils). Nothing is touched where the application has set up its
own."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any, TextIO

from atomiq._core.settings import DEFAULT_LOGGING_DATE_FORMAT, DEFAULT_LOGGING_FORMAT

_CODES = {"green": "\x1b[32m", "yellow": "\x1b[33m", "blue": "\x1b[34m", "red": "\x1b[31m"}
_RESET = "\x1b[39;49;00m"


def make_colorizer(color: str) -> Callable[[str], str]:
    """A function that puts text into a colour: green, yellow, blue, red (RQ)."""
    code = _CODES[color]

    def paint(text: str) -> str:
        return f"{code}{text}{_RESET}"

    return paint


green = make_colorizer("green")
yellow = make_colorizer("yellow")
blue = make_colorizer("blue")
red = make_colorizer("red")


class ColorizingStreamHandler(logging.StreamHandler[TextIO]):
    """Warnings in yellow and errors in red, on a terminal (RQ)."""

    def __init__(self, exclude: Any = None, stream: TextIO | None = None) -> None:
        super().__init__(stream)
        self.exclude = exclude

    @property
    def is_tty(self) -> bool:
        """Whether the stream is a terminal."""
        isatty = getattr(self.stream, "isatty", None)
        return bool(isatty and isatty())

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        if not self.is_tty or (self.exclude is not None and isinstance(record.exc_info, self.exclude)):
            return text
        first, newline, rest = text.partition("\n")  # a traceback stays as it is
        if record.levelno >= logging.ERROR:
            return red(first) + newline + rest
        return (yellow(first) if record.levelno >= logging.WARNING else first) + newline + rest


def setup_loghandlers(
    level: int | str | None = None,
    date_format: str = DEFAULT_LOGGING_DATE_FORMAT,
    log_format: str = DEFAULT_LOGGING_FORMAT,
    name: str = "atomiq.worker",
) -> None:
    """Log to stdout below ERROR and to stderr from there up, unless a handler is there already, up to the root (RQ).

    `level`: None leaves the logger's level, INFO if it has none.
    """
    logger = logging.getLogger(name)
    if level is not None:
        logger.setLevel(level)
    elif logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
    if logger.hasHandlers():
        return
    formatter = logging.Formatter(fmt=log_format, datefmt=date_format)
    below = ColorizingStreamHandler(stream=sys.stdout)
    below.addFilter(lambda record: record.levelno < logging.ERROR)
    above = ColorizingStreamHandler(stream=sys.stderr)
    above.setLevel(logging.ERROR)
    for handler in (below, above):
        handler.setFormatter(formatter)
        logger.addHandler(handler)
