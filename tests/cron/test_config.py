"""Config files: which are found, what goes wrong in them, and what is registered."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from atomiq.cron import CronScheduler, DuplicateCronName

GOOD = """
from atomiq.cron import register
from tests import tasks
register(tasks.add, 'q', args=(1, 2), interval=5)
register(tasks.echo, 'low', (1,), cron='*/5 * * * *', name='five', timezone='Europe/Berlin')
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the import path; what is imported from it is forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def scheduler(redis_connection: redis.Redis) -> CronScheduler:
    return CronScheduler(redis_connection, logging.INFO)


def names(scheduler: CronScheduler) -> list[str]:
    return [job.name for job in scheduler.get_jobs()]


@pytest.mark.parametrize("spelling", ["confcron.py", "confcron", "{folder}/confcron.py"])
def test_spellings_of_a_path(folder: Path, scheduler: CronScheduler, spelling: str) -> None:
    (folder / "confcron.py").write_text(GOOD)
    path = spelling.format(folder=folder)
    scheduler.load_config_from_file(path)
    assert (names(scheduler), scheduler.config_file) == (["tests.tasks.add", "five"], path)


@pytest.mark.parametrize("spelling", ["deep/confdeep.py", "deep.confdeep"])
def test_in_a_package(folder: Path, scheduler: CronScheduler, spelling: str) -> None:
    (folder / "deep").mkdir()
    (folder / "deep" / "__init__.py").touch()
    (folder / "deep" / "confdeep.py").write_text(GOOD)
    scheduler.load_config_from_file(spelling)
    assert len(names(scheduler)) == 2


def test_loading_again_takes_what_is_there_now(folder: Path, scheduler: CronScheduler) -> None:
    config = folder / "confagain.py"
    config.write_text(GOOD)
    scheduler.load_config_from_file(str(config))
    config.write_text(GOOD.replace("name='five'", "name='another name'"))
    scheduler.load_config_from_file(str(config))
    assert names(scheduler) == ["tests.tasks.add", "another name"]


def test_a_bad_entry_is_left_out_and_named(
    folder: Path, scheduler: CronScheduler, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "confbad.py").write_text(GOOD + "register(tasks.add, 'q', args=(1,))\n")
    scheduler.load_config_from_file("confbad")
    assert len(names(scheduler)) == 2
    (message,) = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert "confbad.py:6" in message
    assert "Must specify either interval or cron parameter" in message


def test_what_is_no_function_costs_no_other_entry(
    folder: Path, scheduler: CronScheduler, caplog: pytest.LogCaptureFixture
) -> None:
    """`register(report(), ...)`, called instead of named: an AttributeError about `__module__` ended the process."""
    (folder / "confcalled.py").write_text(GOOD + "register({'sent': 3}, 'q', interval=5, name='called')\n")
    scheduler.load_config_from_file("confcalled")
    assert names(scheduler) == ["tests.tasks.add", "five"]
    (message,) = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert "confcalled.py:6 is left out: expected a function" in message


def test_the_log_is_rqs(folder: Path, scheduler: CronScheduler, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "conflog.py").write_text(GOOD)
    scheduler.load_config_from_file("conflog.py")
    assert caplog.messages == [
        "Loading cron configuration from conflog.py",
        "Registered 'tests.tasks.add' to run on q every 5 seconds",
        "Registered 'five' to run on low with cron schedule '*/5 * * * *'",
        "Successfully registered 2 cron jobs from 'conflog.py'",
    ]


def test_two_of_one_name(folder: Path, scheduler: CronScheduler) -> None:
    (folder / "conftwo.py").write_text(GOOD + "register(tasks.add, 'low', args=(2,), interval=9)\n")
    with pytest.raises(DuplicateCronName) as caught:
        scheduler.load_config_from_file("conftwo")
    assert str(caught.value) == (
        "two cron entries are called 'tests.tasks.add': tests.tasks.add on q every 5 seconds (conftwo.py:4), and "
        "tests.tasks.add on low every 9 seconds (conftwo.py:6). Give one of them another name="
    )


@pytest.mark.parametrize(
    ("path", "error", "text"),
    [
        ("{folder}/none.py", FileNotFoundError, "Configuration file not found at '{folder}/none.py'"),
        ("{folder}", IsADirectoryError, "Configuration path points to a directory"),
        ("none_there.py", ImportError, "Failed to import configuration module 'none_there' (from 'none_there.py'): "),
        ("confraises", ImportError, "An error occurred while importing 'confraises' (from 'confraises'): Zero"),
        ("{folder}/confraises.py", ImportError, "Failed to load configuration file '{folder}/confraises.py': Zero"),
        ("confneeds", ImportError, "Failed to import configuration module 'confneeds' (from 'confneeds'): No module"),
        ("{folder}/confneeds.py", ImportError, "Failed to load configuration file '{folder}/confneeds.py': "),
        ("", ImportError, "An error occurred while importing ''"),
    ],
)
def test_what_goes_wrong(folder: Path, scheduler: CronScheduler, path: str, error: type[Exception], text: str) -> None:
    (folder / "confraises.py").write_text("1 / 0\n")
    (folder / "confneeds.py").write_text("import nothing_like_that\n")
    with pytest.raises(error) as caught:
        scheduler.load_config_from_file(path.format(folder=folder))
    assert text.format(folder=folder) in str(caught.value)
    assert scheduler.get_jobs() == []
