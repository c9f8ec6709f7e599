"""Programs under the alias: each is a process of its own, so that the alias never gets into the tests' own."""

from __future__ import annotations

import http.cookiejar
import json
import os
import shutil
import socket
import subprocess
import sys
import textwrap
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.helpers import wait_until

from atomiq.contrib.rq_alias.__main__ import program
from atomiq.contrib.rq_alias.switch import to_environment

ROOT = Path(__file__).parents[2]
REFERENCE = os.environ.get("ATOMIQ_TOOLS_ON") == "rq"
"""Run the same programs on the installed RQ instead: what the tests of a tool expect has to be what happens there."""
LAUNCHER = ("-m", "atomiq.contrib.rq_alias")
STARTS_WITHIN = 40.0
TOLERATED = ("PATH", "HOME", "LANG", "TMPDIR", "SYSTEMROOT")


class Programs:
    """Starts them in one folder, whose modules they can import. `url`: the server, in their environment as
    RQ_REDIS_URL."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        shutil.copy(Path(__file__).with_name("tool_jobs.py"), folder)
        self.environment = {name: os.environ[name] for name in TOLERATED if name in os.environ}
        path = os.pathsep.join([str(folder), str(ROOT / "src")])
        self.environment |= {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "RQ_REDIS_URL": url, "COLUMNS": "200"}
        self._plain = dict(self.environment)
        if not REFERENCE:
            to_environment(self.environment)
        self._running: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Programs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._running:
            process.terminate()
        for process in list(self._running):
            self.stop(process)

    def write(self, name: str, text: str) -> Path:
        """A file in the folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    def run(self, *arguments: str, code: int = 0, plain: bool = False, **environment: str) -> str:
        """Under the alias (`plain`: a Python without it), to its end, which has to have this exit code. Says all it
        printed."""
        # A file, not a pipe: a worker's child may outlive it by a moment.
        log = self._log()
        with log.open("wb") as file:
            done = subprocess.run(
                [sys.executable, *arguments] if plain else found(arguments),
                cwd=self.folder,
                env=(self._plain if plain else self.environment) | environment,
                stdout=file,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                timeout=120,
                check=False,
            )
        said = log.read_text(errors="replace")
        assert done.returncode == code, f"{' '.join(arguments)}: exit code {done.returncode}\n{said}"
        return said

    def launch(self, *arguments: str, code: int = 0, **environment: str) -> str:
        """The same by way of `python -m atomiq.contrib.rq_alias`, which takes a little longer."""
        return self.run(*LAUNCHER, *arguments, code=code, plain=True, **environment)

    def python(self, text: str, **environment: str) -> str:
        """Run this text under the alias; say what it printed."""
        return self.run("-c", textwrap.dedent(text), **environment)

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        """Under the alias, in the background until the end of the test."""
        log = self._log()
        with log.open("wb") as file:
            process = subprocess.Popen(
                found(arguments),
                cwd=self.folder,
                env=self.environment | environment,
                stdout=file,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )
        process.log = log  # type: ignore[attr-defined]
        self._running.append(process)
        return process

    def _log(self) -> Path:
        return self.folder / f"out-{len(list(self.folder.glob('out-*')))}"

    def stop(self, process: subprocess.Popen[bytes]) -> int:
        """Ask it to end; say its exit code."""
        self._running.remove(process)
        process.terminate()
        try:
            return process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait(10)

    def serve(self, *arguments: str, port: int, **environment: str) -> Site:
        """Start a web server under the alias; say when it answers."""
        process = self.start(*arguments, **environment)

        def answers() -> bool:
            log: Path = process.log  # type: ignore[attr-defined]
            assert process.poll() is None, f"{' '.join(arguments)} has ended:\n{log.read_text(errors='replace')}"
            with socket.socket() as link:
                return link.connect_ex(("127.0.0.1", port)) == 0

        wait_until(answers, within=STARTS_WITHIN, what=f"{arguments} answers")
        return Site(f"http://127.0.0.1:{port}", process.log)  # type: ignore[attr-defined]


class Site:
    """A web server. Cookies are kept; what it answers with an error status is an error here."""

    def __init__(self, base: str, log: Path) -> None:
        self.base, self.log = base, log
        self.cookies = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))

    def get(self, path: str) -> str:
        return self._ask(urllib.request.Request(self.base + path))

    def json(self, path: str) -> Any:
        return json.loads(self.get(path))

    def post(self, path: str, fields: Mapping[str, str | list[str]] | None = None) -> str:
        sent = dict(fields or {})
        for cookie in self.cookies:
            if cookie.name == "csrftoken":
                sent["csrfmiddlewaretoken"] = str(cookie.value)
        data = urllib.parse.urlencode(sent, doseq=True).encode()
        return self._ask(urllib.request.Request(self.base + path, data=data, headers={"Referer": self.base}))

    def _ask(self, request: urllib.request.Request) -> str:
        try:
            with self._opener.open(request, timeout=60) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            said = self.log.read_text(errors="replace")[-6000:]
            text = f"{request.full_url}: {error.code}; the server's log ends:\n{said}"
            error.close()
            raise AssertionError(text) from error


def free_port() -> int:
    with socket.socket() as link:
        link.bind(("127.0.0.1", 0))
        return int(link.getsockname()[1])


def found(arguments: Sequence[str]) -> list[str]:
    """What is to be executed, as the launcher finds it."""
    first, *rest = arguments
    installed = shutil.which(first, path=str(Path(sys.executable).parent))
    return [installed, *rest] if REFERENCE and installed else program(arguments)
