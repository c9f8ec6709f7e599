"""What config modules and class options may say, and how a mistake in them is told."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click
import pytest
import redis
from redis.sentinel import SentinelConnectionPool
from tests.cli.conftest import Atomiq

from atomiq import Worker
from atomiq._core.errors import InvalidURL
from atomiq._wire.connect import connect, unavailable_text
from atomiq._wire.target import find_target
from atomiq.cli.config import target_of_config
from atomiq.cli.options import Settings

Config = Callable[..., str]


class MyRedis(redis.Redis):
    """A connection class of the user's."""


class NarrowWorker(Worker):
    """A subclass written for RQ: it knows no arguments but those that `rq worker` passes."""

    def __init__(
        self, queues: Any, name: Any, connection: Any, default_result_ttl: Any, worker_ttl: Any,
        maintenance_interval: Any, job_monitoring_interval: Any, job_class: Any, queue_class: Any,
        exception_handlers: Any, disable_default_exception_handler: Any, log_job_description: Any, serializer: Any,
    ) -> None:  # fmt: skip
        super().__init__(queues, name=name, connection=connection)


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch) -> Config:
    """Make a config module of the settings given; its name."""

    def make(**settings: object) -> str:
        module = type(sys)("settings_for_test")
        vars(module).update(settings)
        monkeypatch.setitem(sys.modules, "settings_for_test", module)
        return "settings_for_test"

    return make


def test_certificates_that_nobody_checks() -> None:
    """None is how redis-py spells it, and so do config modules; an absent setting means `required`."""
    settings = {"REDIS_SSL": True, "REDIS_SSL_CERT_REQS": None}
    target, _ = target_of_config(settings, "m")
    assert target is not None
    assert target.url == "rediss://localhost:6379/0?ssl_cert_reqs=none"


def test_sentinel_with_nothing_but_defaults() -> None:
    target, _ = target_of_config({"SENTINEL": {}}, "m")
    assert target is not None
    assert target.url == "redis+sentinel://localhost:26379/0?master=mymaster"


def test_options_for_the_sentinels_themselves() -> None:
    """SENTINEL_KWARGS other than the login were dropped: sentinels behind TLS could not be asked."""
    connection = connect("redis+sentinel://a:1/0", sentinel_kwargs={"ssl": True, "socket_timeout": 3})
    pool = connection.connection_pool
    assert isinstance(pool, SentinelConnectionPool)
    (sentinel,) = pool.sentinel_manager.sentinels
    assert issubclass(sentinel.connection_pool.connection_class, redis.SSLConnection)
    assert sentinel.connection_pool.connection_kwargs["socket_timeout"] == 3


def test_a_connection_class_of_the_users_on_sentinels(monkeypatch: pytest.MonkeyPatch, config: Config) -> None:
    """`from_url` of redis-py knows nothing of sentinels."""
    monkeypatch.setattr("atomiq.cli.options.check_connection", lambda connection, tried: None)
    here = f"{__name__}.MyRedis"
    settings = Settings(config=config(SENTINEL={"MASTER_NAME": "main"}), connection_class=here)
    assert type(settings.connection) is MyRedis
    assert settings.connection.connection_pool.service_name == "main"


def test_no_master_is_one_line() -> None:
    """redis-py ends this message with the representation of a connection pool, two thousand characters of it."""
    error = redis.sentinel.MasterNotFoundError("No master found for 'm' : <redis.client.Redis(...)> - TimeoutError()")
    assert unavailable_text("there", error).startswith("no server at there: No master found for 'm'. Start")


@pytest.mark.parametrize("port", ["abc", "-1", "6379a"])
def test_a_port_that_is_none(port: str) -> None:
    """It was passed over in silence, and the server at the usual port taken."""
    with pytest.raises(InvalidURL, match="REDIS_PORT"):
        find_target(environ={"REDIS_PORT": port})
    with pytest.raises(InvalidURL, match="REDIS_PORT"):
        target_of_config({"REDIS_PORT": port}, "m")


def test_a_port_that_a_container_platform_has_set() -> None:
    target = find_target(environ={"REDIS_HOST": "h", "REDIS_PORT": "tcp://10.0.0.1:6379"})
    assert target.url == "redis://h:6379/0"


def test_queues_as_a_text(config: Config) -> None:
    """A text is a sequence of letters; RQ listens to a queue for each of them."""
    assert Settings(config=config(QUEUES=["a", "b"])).queues_of_config == ("a", "b")
    with pytest.raises(click.BadParameter, match="'high'; it has to be a list"):
        _ = Settings(config=config(QUEUES="high")).queues_of_config


def test_logging_that_cannot_be_set_up(config: Config) -> None:
    with pytest.raises(click.BadParameter, match=r"DICT_CONFIG .* Unsupported version: 7"):
        Settings(config=config(DICT_CONFIG={"version": 7})).configure_logging()


@pytest.mark.parametrize(
    ("option", "name"),
    [
        ("-w", "rq.SimpleWorker"),
        ("-w", "rq.worker.SpawnWorker"),
        ("-j", "rq.job.Job"),
        ("--queue-class", "rq.Queue"),
        ("-S", "rq.serializers.JSONSerializer"),
    ],
)
def test_names_of_rq_mean_ours(atomiq: Atomiq, option: str, name: str) -> None:
    """Command lines and environments written for RQ go on working, with and without an RQ installed."""
    done = atomiq("info", "-r", option, name)
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("option", ["-w", "-j", "--queue-class", "--connection-class", "-S"])
@pytest.mark.parametrize("command", ["info", "suspend", "empty"])
def test_classes_are_looked_at_where_they_are_not_used(atomiq: Atomiq, command: str, option: str) -> None:
    """A misspelt class in the environment is found by the first command, not by the first worker."""
    done = atomiq(command, option, "nowhere.Thing")
    assert done.exit_code == 2
    assert "nowhere.Thing" in done.output


@pytest.mark.parametrize("name", ["os.path.join", "datetime.date"])
def test_a_connection_class_that_is_none(atomiq: Atomiq, name: str) -> None:
    done = atomiq("info", "--connection-class", name)
    assert done.exit_code == 2
    assert "Invalid value for '--connection-class'" in done.output


def test_a_class_on_rqs_base(atomiq: Atomiq) -> None:
    done = atomiq("info", "-w", "tests.cli.on_rq.TheirWorker")
    assert done.exit_code == 2
    assert "its base is a class of rq's" in done.output


def test_a_worker_class_with_rqs_arguments_only(atomiq: Atomiq) -> None:
    """It was given arguments that only atomiq has, and ended with a TypeError."""
    here = f"{__name__}.NarrowWorker"
    done = atomiq("worker", "-b", "-q", "-w", here)
    assert done.exit_code == 0, done.output
    done = atomiq("worker", "-b", "-q", "-w", here, "--lease", "5")
    assert done.exit_code == 2
    assert "NarrowWorker doesn't take these options: got an unexpected keyword argument 'lease'" in done.output


@pytest.mark.parametrize(("name", "strategy"), [("RoundRobinWorker", "round_robin"), ("RandomWorker", "random")])
def test_deprecated_classes(atomiq: Atomiq, name: str, strategy: str) -> None:
    done = atomiq("worker", "-b", "-q", "-w", f"rq.worker.{name}")
    assert done.output == f"WARNING: {name} is deprecated. Use `--dequeue-strategy {strategy}` instead.\n"


def test_maintenance_without_a_pause(atomiq: Atomiq) -> None:
    """RQ takes 0 for always; here the server refused the expiry of the turn."""
    done = atomiq("worker", "-b", "-q", "--maintenance-interval", "0")
    assert (done.exit_code, done.output) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--logging_level", "30"], "'30' is not a logging level: DEBUG"),
        (["--log-format", "%("], "Invalid value for '--log-format'"),
        (["-v", "-q"], "Flags --verbose and --quiet are mutually exclusive."),
    ],
)
def test_logging_options_that_make_no_sense(atomiq: Atomiq, arguments: list[str], message: str) -> None:
    for command in ("worker", "worker-pool"):
        done = atomiq(command, "-b", *arguments)
        assert done.exit_code == 2
        assert message in done.output


def test_a_pool_waits_while_work_is_suspended(atomiq: Atomiq, redis_connection: redis.Redis) -> None:
    """A worker is not even started then, a pool is (RQ)."""
    redis_connection.set("rq:suspended", 1)
    assert atomiq("worker", "-b").exit_code == 1
    assert atomiq("worker-pool", "-b", "-q").exit_code == 0


def test_maintenance_without_a_pause_lets_the_worker_sleep(redis_connection: redis.Redis) -> None:
    """With an interval of 0 the loop came round without a pause: one core, all the time."""
    worker = Worker(["default"], connection=redis_connection, maintenance_interval=0)
    assert worker._rules(False, None, None).upkeep_interval >= 1
