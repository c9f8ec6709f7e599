"""Which server a command talks to, and what it says when it can't."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import pytest
import redis
from click.testing import CliRunner
from tests.cli.conftest import Atomiq, Process, run_atomiq

from atomiq._core.errors import InvalidURL
from atomiq.cli.config import sentinel_url, target_of_config
from atomiq.cli.main import main
from atomiq.cli.options import Settings, with_folder

RQ_COMMANDS = ("cron", "empty", "enqueue", "info", "requeue", "resume", "suspend", "worker", "worker-pool")


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (["--embedded"], ["--embedded=.atomiq/"]),
        (["--embedded", "high", "low"], ["--embedded=.atomiq/", "high", "low"]),
        (["--embedded", "./data", "low"], ["--embedded=./data", "low"]),
        (["--embedded", "~/data"], ["--embedded=~/data"]),
        (["--embedded", "/srv/q"], ["--embedded=/srv/q"]),
        (["--embedded", "--burst"], ["--embedded=.atomiq/", "--burst"]),
        (["--embedded=data", "low"], ["--embedded=data", "low"]),
        (["a", "--", "--embedded", "x"], ["a", "--", "--embedded", "x"]),
    ],
)
def test_embedded_takes_a_folder_where_one_is_meant(given: list[str], read: list[str]) -> None:
    assert with_folder(given) == read


def config(monkeypatch: pytest.MonkeyPatch, **settings: object) -> str:
    module = type(sys)("settings_for_test")
    vars(module).update(settings)
    monkeypatch.setitem(sys.modules, "settings_for_test", module)
    return "settings_for_test"


def test_precedence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Option, then RQ_REDIS_URL and its like, then the config module, then REDIS_URL, then localhost."""
    name = config(monkeypatch, REDIS_URL="redis://from-config", ignored=1)
    monkeypatch.setenv("REDIS_URL", "redis://from-redis-url")
    assert Settings(url="redis://option", config=name).target.url == "redis://option"
    assert Settings(embedded="data", config=name).target.url == "embedded://data"
    assert Settings(config=name).target.url == "redis://from-config"
    assert Settings().target.url == "redis://from-redis-url"
    monkeypatch.setenv("RQ_REDIS_URL", "redis://from-rq")
    assert Settings(config=name).target.url == "redis://from-rq"
    monkeypatch.delenv("RQ_REDIS_URL")
    monkeypatch.delenv("REDIS_URL")
    assert Settings().target.url == "redis://localhost:6379/0"


def test_a_config_module_without_a_server_leaves_it_to_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_HOST", "there")
    assert Settings(config=config(monkeypatch, QUEUES=["a"])).target.url == "redis://there:6379/0"


def test_parts_of_an_address_in_a_config_module() -> None:
    settings = {"REDIS_HOST": "h", "REDIS_PORT": 6380, "REDIS_DB": 2, "REDIS_PASSWORD": "p w", "REDIS_SSL": False}
    target, _ = target_of_config(settings, "m")
    assert target is not None
    assert target.url == "redis://:p%20w@h:6380/2"
    secure, _ = target_of_config({"REDIS_HOST": "h", "REDIS_SSL": "yes", "REDIS_SSL_CERT_REQS": "none"}, "m")
    assert secure is not None
    assert secure.url == "rediss://h:6379/0?ssl_cert_reqs=none"
    with pytest.raises(InvalidURL):
        target_of_config({"REDIS_HOST": "h", "REDIS_SSL": "perhaps"}, "m")


def test_sentinels_in_a_config_module() -> None:
    url, extra = sentinel_url(
        {
            "INSTANCES": [("a", 1), ("b", 2)],
            "MASTER_NAME": "primary",
            "DB": 3,
            "USERNAME": "u",
            "PASSWORD": "p",
            "SOCKET_TIMEOUT": 2,
            "CONNECTION_KWARGS": {"health_check_interval": 5},
            "SENTINEL_KWARGS": {"password": "s", "ssl": True},
        }
    )
    assert url == "redis+sentinel://u:p@a:1,b:2/3?master=primary"
    sentinels = {"password": "s", "ssl": True}
    assert extra == {"health_check_interval": 5, "socket_timeout": 2, "sentinel_kwargs": sentinels}
    with pytest.raises(InvalidURL, match="MASTER"):
        sentinel_url({"MASTER": "x"})


def test_a_config_module_names_the_server(redis_connection: redis.Redis, redis_url: str, tmp_path: Path) -> None:
    (tmp_path / "my_settings.py").write_text(f"REDIS_URL = {redis_url!r}\n")
    redis_connection.sadd("rq:queues", "rq:queue:here")
    done = run_atomiq("info", "-r", "-c", "my_settings", "-P", str(tmp_path))
    assert (done.returncode, done.stdout) == (0, "queue here 0, 0 executing, 0 finished, 0 failed\n"), done.stderr


def test_two_servers_are_one_too_many() -> None:
    done = CliRunner().invoke(main, ["info", "--url", "redis://x", "--embedded"])
    assert done.exit_code == 2
    assert "--url and --embedded" in done.output


def test_nobody_there() -> None:
    """What was tried, who said so, and the way out, in one line on stderr."""
    done = run_atomiq("info", "--url", "redis://localhost:1")
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: no server at redis://localhost:1 (--url)")
    assert "--embedded" in line


def test_debug_shows_the_traceback(atomiq_process: Process) -> None:
    for options, environment in ((["--debug"], {}), ([], {"ATOMIQ_DEBUG": "1"})):
        done = run_atomiq("info", "--url", "redis://localhost:1", *options, **environment)
        assert done.returncode == 1
        assert "Traceback" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--url", "http://x"], 1, "Error: 'http://x' (--url) is not a URL of a kind atomiq knows"),
        (["-c", "no_such_module"], 2, "the config module 'no_such_module' can't be imported: ModuleNotFoundError"),
        (["--connection-class", "nowhere.Redis"], 2, "Invalid value for '--connection-class'"),
        (["-j", "os.path", "--job", "x"], 2, "os.path is not a Job class"),
        (["-S", "nowhere.Serializer", "--job", "x"], 2, "Invalid value for '--serializer'"),
        (["--no-such-option"], 2, "No such option"),
    ],
)
def test_refusals(atomiq: Atomiq, arguments: list[str], code: int, message: str) -> None:
    done = atomiq("info", *arguments)
    assert done.exit_code == code, done.output
    assert message in done.output
    assert "Traceback" not in done.output


def test_another_connection_class(atomiq: Atomiq) -> None:
    assert atomiq("info", "-r", "--connection-class", "redis.client.StrictRedis").exit_code == 0


def test_both_ways_to_call_it() -> None:
    done = run_atomiq("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("atomiq, version ")
    assert CliRunner().invoke(main, ["--help"]).output.startswith("Usage:")
    assert isinstance(main, click.Group)
    assert set(RQ_COMMANDS) <= set(main.list_commands(click.Context(main)))
