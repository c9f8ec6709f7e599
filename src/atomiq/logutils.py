"""Logging as RQ's command line shows it (RQ's rq.logutils). Nothing is touched where the application has set up its
own."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, TextIO

from atomiq._core.log import logger_named
from atomiq._core.settings import DEFAULT_LOGGING_DATE_FORMAT, DEFAULT_LOGGING_FORMAT

_DARK = ("black", "darkred", "darkgreen", "brown", "darkblue", "purple", "teal", "lightgray")
_LIGHT = ("darkgray", "red", "green", "yellow", "blue", "fuchsia", "turquoise", "white")
_STYLES = {"bold": "01", "faint": "02", "standout": "03", "underline": "04", "blink": "05", "overline": "06"}


class Colorizer:
    """Text in colour, where standard output is a terminal (RQ).

    Attributes:
        codes: what a terminal is told for each colour or style; `reset` ends it.
        notty: standard output is no terminal, so text stays as it is.
    """

    def __init__(self) -> None:
        self.codes = {"": "", "reset": "\x1b[39;49;00m"}
        self.codes |= {name: f"\x1b[{code}m" for name, code in _STYLES.items()}
        for number, (dark, light) in enumerate(zip(_DARK, _LIGHT, strict=True), 30):
            self.codes |= {dark: f"\x1b[{number}m", light: f"\x1b[{number};01m"}
        self.notty = not (sys.stdout is not None and sys.stdout.isatty())

    def colorize(self, color_key: str, text: str) -> str:
        """The text in a colour.

        Raises:
            KeyError: there is no such colour.
        """
        return text if self.notty else self.painted(color_key, text)

    def painted(self, color_key: str, text: str) -> str:
        """The same whatever standard output is."""
        return f"{self.codes[color_key]}{text}{self.codes['reset']}"


colorizer = Colorizer()


def make_colorizer(color: str) -> Callable[[str], str]:
    """A function that puts text into a colour: green, yellow, blue, red, ... (RQ)."""

    def paint(text: str) -> str:
        return colorizer.colorize(color, text)

    return paint


green = make_colorizer("green")
yellow = make_colorizer("yellow")
blue = make_colorizer("blue")
red = make_colorizer("red")


class ColorizingStreamHandler(logging.StreamHandler[TextIO]):
    """Warnings in yellow and errors in red, on a terminal (RQ).

    `exclude`: an exception class; records about such exceptions stay as they are. What follows is a StreamHandler's.
    """

    levels: ClassVar[dict[int, Callable[[str], str]]] = {
        logging.WARNING: partial(colorizer.painted, "yellow"),
        logging.ERROR: partial(colorizer.painted, "red"),
        logging.CRITICAL: partial(colorizer.painted, "red"),
    }

    def __init__(self, exclude: Any = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.exclude = exclude

    @property
    def is_tty(self) -> bool:
        """Whether the stream is a terminal."""
        isatty = getattr(self.stream, "isatty", None)
        return bool(isatty and isatty())

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        paint = self.levels.get(record.levelno)
        if paint is None or not self.is_tty or (self.exclude is not None and self._is_about(record, self.exclude)):
            return text
        first, newline, rest = text.partition("\n")  # a traceback stays as it is
        return paint(first) + newline + rest

    @staticmethod
    def _is_about(record: logging.LogRecord, kind: Any) -> bool:
        return bool(record.exc_info and record.exc_info[0] and issubclass(record.exc_info[0], kind))


def setup_loghandlers(
    level: int | str | None = None,
    date_format: str = DEFAULT_LOGGING_DATE_FORMAT,
    log_format: str = DEFAULT_LOGGING_FORMAT,
    name: str = "atomiq.worker",
) -> None:
    """Log to stdout below ERROR and to stderr from there up, unless a handler is there already, up to the root (RQ).

    `level`: None leaves the logger's level, INFO if it has none.
    """
    logger = logger_named(name)
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
