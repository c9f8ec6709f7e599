"""Real databases for tests and benchmarks: PostgreSQL and MariaDB (or MySQL) on a unix socket in a temporary folder.

The programs are found where Debian's packages put them (postgresql, mariadb-server); where there are none, `Missing`
says so. They refuse to run as root, so they then run as the user of their package, or as nobody.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.helpers import wait_until

STARTS_WITHIN = 60.0


class Missing(Exception):
    """The server's programs are not installed; the message says which package has them."""


@dataclass
class DatabaseServer:
    """A running server. `url` is one that atomiq and, with a driver added to the scheme, SQLAlchemy take."""

    url: str
    process: subprocess.Popen[bytes]
    arguments: list[str]
    user: dict[str, Any] = field(default_factory=dict)

    @property
    def alchemy_url(self) -> str:
        for scheme, driver in (("postgresql", "psycopg"), ("mysql", "pymysql")):
            if self.url.startswith(f"{scheme}://"):
                return self.url.replace(f"{scheme}://", f"{scheme}+{driver}://", 1)
        return self.url


def program(name: str, package: str) -> str:
    """The path of a server's program. Raises Missing."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    places = [*versions, Path("/usr/sbin"), Path("/usr/local/bin")]
    found = shutil.which(name) or next((str(place / name) for place in places if (place / name).exists()), None)
    if found is None:
        raise Missing(f"{name} is not installed (Debian: apt-get install {package})")
    return found


def other_user(name: str) -> dict[str, Any]:
    """How to start a process that is not root's; nothing to do if this one isn't."""
    if os.geteuid() != 0:
        return {}
    names = {entry.pw_name for entry in pwd.getpwall()}
    entry = pwd.getpwnam(name if name in names else "nobody")
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


@contextmanager
def folder_of(user: dict[str, Any]) -> Iterator[str]:
    folder = tempfile.mkdtemp(prefix="aq-db-", dir="/tmp")
    if user:
        os.chown(folder, user["user"], user["group"])
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run(arguments: list[str], user: dict[str, Any], folder: str) -> None:
    done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, check=False, **user)
    if done.returncode:
        raise RuntimeError(f"{arguments[0]} failed:\n{done.stdout}{done.stderr}")


@contextmanager
def running(
    url: str, arguments: list[str], user: dict[str, Any], folder: str, answers: Any
) -> Iterator[DatabaseServer]:
    with (Path(folder) / "log").open("wb") as log:
        process = subprocess.Popen(arguments, cwd=folder, stdout=log, stderr=log, **user)
        server = DatabaseServer(url, process, arguments, user)
        try:
            wait_until(lambda: answers() or process.poll() is not None, STARTS_WITHIN, "the database answers")
            if process.poll() is not None:
                raise RuntimeError(f"{arguments[0]}:\n{(Path(folder) / 'log').read_text()[-2000:]}")
            yield server
        finally:
            process.send_signal(signal.SIGINT if "postgres" in arguments[0] else signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def postgresql_server(*options: str) -> Iterator[DatabaseServer]:
    """PostgreSQL. It doesn't wait for the disk, unless an option (`-c fsync=on`) says so. Raises Missing."""
    import psycopg

    postgres, initdb = program("postgres", "postgresql"), program("initdb", "postgresql")
    user = other_user("postgres")
    with folder_of(user) as folder:
        data = f"{folder}/data"
        run(
            [initdb, "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"], user, folder
        )
        quick = ["-c", "fsync=off", "-c", "max_connections=200", "-c", "listen_addresses="]
        arguments = [postgres, "-D", data, "-k", folder, *quick, *options]
        url = f"postgresql://postgres@/postgres?host={folder}"

        def answers() -> bool:
            try:
                psycopg.connect(url).close()
            except psycopg.OperationalError:
                return False
            return True

        with running(url, arguments, user, folder, answers) as server:
            yield server


def mysql_programs() -> tuple[str, str, list[str]]:
    """The daemon, and what makes its folder with which options. Raises Missing."""
    try:
        daemon, install = program("mariadbd", "mariadb-server"), program("mariadb-install-db", "mariadb-server")
    except Missing:
        mysqld = shutil.which("mysqld")
        if mysqld is None:
            raise
        return mysqld, mysqld, ["--initialize-insecure"]
    return daemon, install, ["--auth-root-authentication-method=normal", "--skip-test-db"]


@contextmanager
def mariadb_server(*options: str) -> Iterator[DatabaseServer]:
    """MariaDB, or MySQL if that is what is installed. It doesn't wait for the disk, unless an option says so. Raises
    Missing."""
    import pymysql

    daemon, install, making = mysql_programs()
    user = other_user("mysql")
    with folder_of(user) as folder:
        data, path = f"{folder}/data", f"{folder}/sock"
        # Its own tmpdir: a server that starts sweeps it, and another one's temporary tables would be gone.
        common = ["--no-defaults", f"--datadir={data}", f"--tmpdir={folder}"]
        run([install, *common, *making], user, folder)
        quick = ["--innodb-flush-log-at-trx-commit=2", "--innodb-buffer-pool-size=64M", "--max-connections=200"]
        where = [f"--socket={path}", "--skip-networking", f"--pid-file={folder}/pid"]
        arguments = [daemon, *common, *where, *quick, *options]

        def answers() -> bool:
            # pymysql leaves its socket open when nobody listens yet.
            with socket.socket(socket.AF_UNIX) as probe:
                if probe.connect_ex(path):
                    return False
            try:
                with pymysql.connect(user="root", unix_socket=path) as connection:
                    connection.cursor().execute("CREATE DATABASE IF NOT EXISTS atomiq")
            except pymysql.err.OperationalError:
                return False
            return True

        url = f"mysql://root@localhost/atomiq?unix_socket={path}"
        with running(url, arguments, user, folder, answers) as server:
            yield server
