"""connect(): who is meant, what comes back, what a person reads when it can't be."""

from __future__ import annotations

import asyncio
import gc
import pickle
import socket
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
from tests.helpers import failing_to_save, server_on_a_port, throwaway_server, wait_until

from atomiq import Queue, aio
from atomiq._core.errors import (
    FolderNotWritable,
    InvalidURL,
    PermissionDenied,
    ServerError,
    ServerReadOnly,
    ServerTooOld,
    ServerUnavailable,
)
from atomiq._wire.carry import pattern_of
from atomiq._wire.connect import aconnect, check_connection, connect
from atomiq._wire.prefixes import prefix_of, set_prefix
from atomiq._wire.server import check_server, judge
from atomiq._wire.target import find_target, masked
from atomiq.connections import NoRedisConnectionException, get_connection_kwargs, parse_connection

EVERYTHING = {
    "ATOMIQ_URL": "redis://first",
    "RQ_REDIS_URL": "redis://second",
    "REDIS_URL": "redis://third",
    "REDIS_HOST": "fourth",
}


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ATOMIQ_URL", "RQ_REDIS_URL", "REDIS_URL", "REDIS_HOST", "REDIS_PORT", "REDIS_DB", "ATOMIQ_PREFIX"):
        monkeypatch.delenv(name, raising=False)


def test_precedence_from_argument_to_default() -> None:
    environ = dict(EVERYTHING)
    assert find_target("redis://given", True, environ).url == "redis://given"
    assert find_target(None, True, environ).url == "embedded://.atomiq/"
    for name, url in (*EVERYTHING.items(),)[:3]:
        assert find_target(None, None, environ).url == url
        assert name in str(find_target(None, None, environ))
        del environ[name]
    assert find_target(None, None, environ).url == "redis://fourth:6379/0"
    assert find_target(None, None, {}).url == "redis://localhost:6379/0"


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({"REDIS_HOST": "h", "REDIS_PORT": "7000", "REDIS_DB": "3"}, "redis://h:7000/3"),
        ({"REDIS_PORT": "tcp://10.0.0.1:6379"}, "redis://localhost:6379/0"),
        ({"REDIS_PASSWORD": "p@ss/word"}, "redis://:p%40ss%2Fword@localhost:6379/0"),
        ({"REDIS_HOST": "h", "REDIS_SSL": "True"}, "rediss://h:6379/0"),
        (
            {"REDIS_HOST": "h", "REDIS_SSL": "y", "REDIS_SSL_CA_CERTS": "/c a"},
            "rediss://h:6379/0?ssl_ca_certs=%2Fc+a",
        ),
    ],
)
def test_redis_host_and_its_companions(environ: dict[str, str], url: str) -> None:
    assert find_target(None, None, environ).url == url


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("localhost:6379", "redis://, rediss://, unix://, embedded://"),
        ("http://localhost", "redis://, rediss://, unix://, embedded://"),
        ("", "embedded://"),
        ("redis://localhost/notes", "the database 'notes' is not a number"),
        ("redis://localhost:port", "[Pp]ort"),
        ("redis://localhost?socket_timeout=soon", "socket_timeout"),
        ("redis://localhost?colour=red", "colour"),
        ("redis://u:a[b@localhost", r"in a password, \[ is written %5B"),
        ("redis+sentinel://u:a[b@localhost", r"in a password, \[ is written %5B"),
        ("redis://[::1", "Invalid IPv6 URL$"),
        ("unix://", "unix:///absolute/path"),
        ("unix://u:a[b@/tmp/s", r"in a password, \[ is written %5B"),
        ("embedded://x?fsync=never", "everysec, always"),
        ("embedded://x?speed=9", "unknown option speed"),
        ("embedded://x?db=two", "db=two"),
        ("embedded://x?idle=long", "idle=long"),
        ("redis+sentinel:///0", "names no sentinel"),
        ("redis+sentinel://a:b:c/0", "not host or host:port"),
        ("redis+sentinel://a/x", "not a number"),
        ("redis+sentinel://a/0?colour=red", "colour"),
        ("rediss+sentinel://a/0?ssl_cert_reqs=maybe", "Requirements Flag: maybe"),
        ("rediss://localhost?ssl_cert_reqs=maybe", "Requirements Flag: maybe"),
        ("rediss://localhost?ssl_ca_certs=/nowhere", "ssl_ca_certs=/nowhere can't be read: No such file"),
        ("rediss://localhost?ssl_certfile=/", "ssl_certfile=/ can't be read: Is a directory"),
        ("rediss+sentinel://a/0?ssl_keyfile=/nowhere", "ssl_keyfile=/nowhere can't be read: No such file"),
    ],
)
def test_a_wrong_url_is_refused_at_once(url: str, says: str) -> None:
    """Sentinels' options, and some for TLS, were a traceback of redis-py's with the first command; a certificate's file
    that isn't there was a missing server. A bracket in a password was a traceback, where a socket was meant."""
    with pytest.raises(InvalidURL, match=says):
        connect(url)
    with pytest.raises(ValueError, match=says):
        aconnect(url)


def test_an_unclear_redis_ssl_is_refused() -> None:
    with pytest.raises(InvalidURL, match="neither yes nor no"):
        find_target(None, None, {"REDIS_HOST": "h", "REDIS_SSL": "maybe"})


def test_messages_never_show_a_password() -> None:
    assert masked("redis://user:geheim@h/0?password=geheim&sentinel_password=geheim") == (
        "redis://user:***@h/0?password=***&sentinel_password=***"
    )
    with pytest.raises(InvalidURL) as caught:
        connect("redis://:geheim@h/notes")
    assert "geheim" not in str(caught.value)


def test_what_comes_back_is_an_ordinary_client_with_keepalive_and_timeouts() -> None:
    connection = connect("redis://h:7000/3")
    assert type(connection) is redis.Redis
    kwargs = get_connection_kwargs(connection)
    assert (kwargs["host"], kwargs["port"], kwargs["db"]) == ("h", 7000, 3)
    assert kwargs["socket_keepalive"] is True
    assert kwargs["socket_keepalive_options"][socket.TCP_KEEPCNT] == 3
    assert kwargs["socket_timeout"] == 30
    assert get_connection_kwargs(connect("redis://h", socket_timeout=3))["socket_timeout"] == 3
    assert get_connection_kwargs(connect("redis://h?socket_timeout=4", socket_timeout=3))["socket_timeout"] == 4


def test_tls_unix_and_valkey_spellings() -> None:
    assert connect("rediss://h").connection_pool.connection_class is redis.SSLConnection
    assert connect("valkeys://h").connection_pool.connection_class is redis.SSLConnection
    assert connect("valkey://h/2").connection_pool.connection_kwargs["db"] == 2
    unix = connect("unix:///tmp/none.sock?db=5").connection_pool
    assert unix.connection_class is redis.UnixDomainSocketConnection
    assert unix.connection_kwargs["db"] == 5


def test_connect_reaches_a_server(redis_url: str, redis_connection: redis.Redis) -> None:
    connection = connect(redis_url)
    connection.set("k", "v")
    assert redis_connection.get("k") == b"v"
    check_connection(connection)
    connection.close()


def test_aconnect_reaches_a_server(redis_url: str, redis_connection: redis.Redis) -> None:
    async def main() -> None:
        async with aconnect(redis_url, decode_responses=True) as connection:
            assert isinstance(connection, redis.asyncio.Redis)
            await connection.set("k", "v")
            assert await connection.get("k") == "v"

    asyncio.run(main())
    assert redis_connection.get("k") == b"v"


def test_connections_that_nobody_holds_are_closed(redis_url: str, redis_connection: redis.Redis) -> None:
    """An application may make a client for each request. Their stores kept them for ever, each with its open sockets:
    after a thousand requests the process had no files left."""
    gc.disable()  # redis-py's own clients need no collector either
    try:
        before = len(redis_connection.client_list())
        for decodes in (False, True):
            for _ in range(20):
                assert Queue(connection=redis.Redis.from_url(redis_url, decode_responses=decodes)).count == 0
        wait_until(lambda: len(redis_connection.client_list()) <= before + 1, what="the clients are gone")
    finally:
        gc.enable()


def test_an_asyncio_client_leaves_nothing_open(redis_url: str, redis_connection: redis.Redis) -> None:
    """One that decodes had a twin for scripts, which nobody could close; and each of them was kept for ever."""

    async def one(decodes: bool) -> Any:
        async with aconnect(redis_url, decode_responses=decodes) as connection:
            job = await aio.Queue(connection=connection).enqueue("tests.tasks.add", 1)
            assert (await aio.Job.fetch(job.id, connection=connection)).args == (1,)
        return weakref.ref(connection)

    before = len(redis_connection.client_list())
    clients = [asyncio.run(one(decodes)) for decodes in (False, True)]
    wait_until(lambda: len(redis_connection.client_list()) == before, what="the connections are closed")
    gc.collect()
    assert [client() for client in clients] == [None, None]


def test_sentinel_leads_to_the_master(tmp_path: Path) -> None:
    with throwaway_server() as (_, _pid), socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        # A sentinel needs a TCP master; naming one that nobody listens on is enough to see that it was asked for.
        connection = connect(f"redis+sentinel://127.0.0.1:{port}/2?master=main&sentinel_password=x", socket_timeout=0.1)
        pool = connection.connection_pool
        assert (pool.service_name, pool.connection_kwargs["db"]) == ("main", 2)
        assert pool.sentinel_manager.sentinel_kwargs["password"] == "x"
        # asyncio's twin is made of the same parts
        assert aconnect(f"redis+sentinel://127.0.0.1:{port}/2?master=main").connection_pool.service_name == "main"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_a_refused_connection_says_what_was_tried_and_names_embedded() -> None:
    connection = connect(f"redis://127.0.0.1:{free_port()}")
    with pytest.raises(ServerUnavailable) as caught:
        check_connection(connection, str(find_target(None, None, {})))
    text = str(caught.value)
    assert "redis://localhost:6379/0 (the default, as no URL was given and ATOMIQ_URL" in text
    assert "--embedded" in text
    assert "embedded://" in text
    with pytest.raises(redis.ConnectionError):  # also for code that knows redis-py's errors only
        check_connection(connection)


def test_prefix_is_remembered_for_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, own = connect("redis://h"), connect("redis://h", prefix="{app}:")
    assert (prefix_of(plain), prefix_of(own)) == ("rq:", "{app}:")
    monkeypatch.setenv("ATOMIQ_PREFIX", "env:")
    assert (prefix_of(plain), prefix_of(own)) == ("env:", "{app}:")
    set_prefix(plain, "set:")
    assert prefix_of(plain) == "set:"
    assert prefix_of(aconnect("redis://h", prefix="a:")) == "a:"


def test_parts_of_a_connection_make_it_anew(redis_url: str) -> None:
    client, connection_class, kwargs = parse_connection(connect(redis_url))
    again = client(connection_pool=redis.ConnectionPool(connection_class=connection_class, **kwargs))
    assert again.ping()
    again.close()
    assert issubclass(NoRedisConnectionException, Exception)
    assert pickle.dumps((client, connection_class))


@pytest.mark.parametrize(
    ("info", "text"),
    [
        ({"redis_version": "6.2.0"}, "Redis 6.2.0"),
        ({"redis_version": "8.0.1"}, "Redis 8.0.1"),
        ({"redis_version": "7.2.4", "valkey_version": "7.2.5"}, "Valkey 7.2.5"),
        ({"redis_version": "7.2.4", "valkey_version": "9.1.2", "server_name": "valkey"}, "Valkey 9.1.2"),
        ({}, "unknown server"),
    ],
)
def test_servers_that_will_do(info: dict[str, str], text: str) -> None:
    assert str(judge(info)) == text


@pytest.mark.parametrize(
    "info",
    [{"redis_version": "6.0.16"}, {"redis_version": "5.0.7"}, {"redis_version": "7.2.4", "valkey_version": "7.0.0"}],
)
def test_servers_that_are_too_old(info: dict[str, str]) -> None:
    with pytest.raises(ServerTooOld, match="atomiq needs"):
        judge(info)


def test_an_evicting_server_is_warned_about() -> None:
    with throwaway_server("--maxmemory-policy", "allkeys-lru") as (path, _pid):
        connection = connect(f"unix://{path}")
        server = check_server(connection)
        connection.close()
    assert "allkeys-lru" in server.warnings[0]
    assert "noeviction" in server.warnings[0]


def test_a_server_that_may_not_be_asked_is_taken_as_it_is() -> None:
    with throwaway_server() as (path, _pid):
        admin = connect(f"unix://{path}")
        admin.execute_command("ACL", "SETUSER", "worker", "on", ">w", "~*", "+@all", "-info")
        connection = connect(f"unix://{path}?username=worker&password=w")
        assert check_server(connection).flavour == ""
        admin.close()
        connection.close()


def test_wrong_credentials_are_not_a_missing_server() -> None:
    """A forgotten password was reported as "no server at ..., start Redis"."""
    with throwaway_server() as (path, _pid):
        admin = redis.Redis(unix_socket_path=path)
        admin.config_set("requirepass", "secret")
        with pytest.raises(PermissionDenied, match="refuses these credentials"):
            check_connection(redis.Redis(unix_socket_path=path, password="wrong"))
        for protocol in 2, 3:  # forgotten altogether, it was answered with the grammar of HELLO
            nobody = redis.Redis(unix_socket_path=path, protocol=protocol)
            with pytest.raises(PermissionDenied, match=r"wants a password, and was given none: redis://:PASSWORD@"):
                check_connection(nobody)
            with pytest.raises(PermissionDenied, match=r"enqueue: .* wants a password, and was given none"):
                Queue(connection=nobody).enqueue("math.sqrt", 4)
        admin.close()


def test_a_plain_client_is_made_again_in_a_fresh_interpreter() -> None:
    """redis-py 8 marks "no keepalive options given" by an object of its own. Pickled, it was another one in the child:
    each spawned child of `Worker(queues, connection=Redis(host=..., port=...))` ended as it connected.
    """
    with socket.socket() as link:
        link.bind(("127.0.0.1", 0))
        port = link.getsockname()[1]
    code = "import sys; from atomiq._wire.carry import connection_like; "
    code += "print(connection_like(sys.stdin.buffer.read()).ping())"
    with throwaway_server("--port", str(port)), redis.Redis(host="127.0.0.1", port=port) as connection:
        pattern = pattern_of(connection)
        made = subprocess.run([sys.executable, "-c", code], input=pattern, capture_output=True, timeout=30, check=False)
    assert made.stdout.split() == [b"True"], made.stderr.decode()


def test_a_server_whose_disk_is_full_is_there() -> None:
    """Such a server refuses PING (MISCONF); so `atomiq info` and `doctor`, which only read, ended with a traceback."""
    with throwaway_server() as (path, _pid), connect(f"unix://{path}") as connection, failing_to_save(connection):
        check_connection(connection)
        with pytest.raises(ServerReadOnly, match="refuses writes: MISCONF"):
            Queue(connection=connection).enqueue("math.sqrt", 4)


@pytest.mark.parametrize(
    ("address", "refusal", "message"),
    [
        ("?db=99", ServerError, r"there is no such database: .*unix:/.*db=99"),
        ("?username=deaf&password=d", PermissionDenied, "ACL user of this connection may not do that"),
    ],
)
def test_what_the_server_refuses_at_once(address: str, refusal: type[Exception], message: str) -> None:
    """`atomiq info --url redis://localhost/99` ended with redis-py's traceback."""
    with throwaway_server() as (path, _pid), redis.Redis(unix_socket_path=path) as admin:
        admin.execute_command("ACL", "SETUSER", "deaf", "on", ">d", "~*", "+@all", "-ping")
        url = f"unix://{path}{address}"
        with connect(url) as connection, pytest.raises(refusal, match=message):
            check_connection(connection, url)


@pytest.mark.parametrize(
    ("said", "refusal", "message"),
    [
        (b"-DENIED Redis is running in protected mode\r\n", PermissionDenied, "protected mode"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", ServerUnavailable, "no server at .*Protocol error"),
        (b"", ServerUnavailable, r"Connection closed by server \(if it wants TLS, its URL begins with rediss://\)"),
    ],
)
def test_who_answers_is_no_server_for_us(said: bytes, refusal: type[Exception], message: str) -> None:
    """A server in protected mode, a port of somebody else's: both were redis-py's tracebacks."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number = listener.getsockname()[1]

        def answer() -> None:
            with listener.accept()[0] as talk:
                talk.recv(4096)
                talk.sendall(said)

        stranger = threading.Thread(target=answer)
        stranger.start()
        with connect(f"redis://127.0.0.1:{number}") as connection, pytest.raises(refusal, match=message):
            check_connection(connection)
        stranger.join()


@pytest.mark.parametrize("password", ["", "secret"])
def test_a_server_without_tls_is_told_from_one_that_is_away(password: str) -> None:
    """rediss:// to an ordinary port: half a minute of silence, then `Timeout connecting to server`."""
    with server_on_a_port() as port, connect(f"rediss://127.0.0.1:{port}") as connection:
        connect(f"redis://127.0.0.1:{port}").config_set("requirepass", password)
        began = time.monotonic()
        with pytest.raises(ServerUnavailable, match=r"it speaks without TLS, so its URL begins with redis://\."):
            check_connection(connection)
        assert time.monotonic() - began < 10


def test_a_name_that_no_folder_can_have(tmp_path: Path) -> None:
    """Tracebacks of pathlib's: the error that refused a name was met again where its text was made."""
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    for name in ("n" * 300, "nul\0", "circle/x"):
        with pytest.raises(FolderNotWritable, match="can't make its folder"):
            connect(embedded=tmp_path / name)
    with pytest.raises(FolderNotWritable, match="home directory"):
        connect("embedded://~nobody-of-this-name/x")
