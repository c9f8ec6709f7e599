"""Colours on a terminal, and handlers only where the application has none (RQ's rq.logutils)."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest

from atomiq.logutils import ColorizingStreamHandler, colorizer, make_colorizer, red, setup_loghandlers


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(colorizer, "notty", False)


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    found = logging.getLogger("somebodys.app")
    found.propagate = False
    yield found
    found.handlers.clear()
    found.setLevel(logging.NOTSET)


def record(level: int, error: Exception | None = None) -> logging.LogRecord:
    info = None if error is None else (type(error), error, None)
    return logging.LogRecord("x", level, "f.py", 1, "first\nsecond", (), info)


def test_text_without_a_terminal_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(colorizer, "notty", True)
    assert red("x") == "x"
    assert colorizer.colorize("blue", "x") == "x"


@pytest.mark.usefixtures("terminal")
def test_text_on_a_terminal() -> None:
    assert red("x") == "\x1b[31;01mx\x1b[39;49;00m"
    assert make_colorizer("darkgreen")("x") == "\x1b[32mx\x1b[39;49;00m"
    with pytest.raises(KeyError):
        make_colorizer("nope")("x")


@pytest.mark.parametrize("level", [logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL])
def test_the_first_line_is_painted_by_its_level(level: int) -> None:
    text = ColorizingStreamHandler(None, Terminal()).format(record(level))
    assert text.endswith("\nsecond")
    assert text.startswith("\x1b") == (level >= logging.WARNING)
    assert ColorizingStreamHandler(stream=io.StringIO()).format(record(level)) == "first\nsecond"


def test_what_is_excluded_is_not_painted() -> None:
    """It compared the class with the whole of exc_info, and so excluded nothing."""
    handler = ColorizingStreamHandler(KeyError, Terminal())
    assert handler.format(record(logging.ERROR, KeyError("k"))).startswith("first")
    assert handler.format(record(logging.ERROR, ValueError("v"))).startswith("\x1b")


def test_handlers_are_set_up_once(logger: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    logger.handlers.clear()  # those by which pytest captures
    setup_loghandlers("DEBUG", log_format="%(levelname)s %(message)s", name=logger.name)
    setup_loghandlers(name=logger.name)
    assert logger.level == logging.DEBUG
    logger.info("fine")
    logger.error("bad")
    out, err = capsys.readouterr()
    assert (out, err) == ("INFO fine\n", "ERROR bad\n")


def test_an_applications_own_handler_stays_the_only_one(logger: logging.Logger) -> None:
    own = logging.NullHandler()
    logger.addHandler(own)
    setup_loghandlers(name=logger.name)
    assert own in logger.handlers
    assert not any(isinstance(each, ColorizingStreamHandler) for each in logger.handlers)
    assert logger.level == logging.INFO
