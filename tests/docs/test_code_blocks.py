"""Every Python block of the manual runs, in the order of its page; every `atomiq` line names options that exist."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
import redis
from tests.helpers import wait_until

from atomiq.cli.main import main

ROOT = Path(__file__).parents[2]
PAGES = sorted(path for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
MODULE = re.compile(r"# (\w+\.py)\n")
LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)(?:#[^)]*)?\)")


@dataclass(frozen=True)
class Block:
    language: str
    text: str


def blocks(page: Path, *languages: str) -> list[Block]:
    found = [Block(language, text) for language, text in BLOCK.findall(page.read_text())]
    return [block for block in found if block.language in languages]


def named(pages: list[Path]) -> list[str]:
    return [str(page.relative_to(ROOT)) for page in pages]


WITH_PYTHON = [page for page in PAGES if blocks(page, "python")]


@pytest.fixture
def environment(redis_url: str, redis_connection: redis.Redis, tmp_path: Path) -> dict[str, str]:
    """The page's folder is the current one, and connect() means the server under test."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ATOMIQ_", "RQ_", "REDIS_"))}
    return {**kept, "ATOMIQ_URL": redis_url, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{tmp_path}"}


@pytest.fixture
def worker(environment: dict[str, str], redis_connection: redis.Redis, tmp_path: Path) -> Iterator[None]:
    """A worker beside the page."""
    command = [sys.executable, "-m", "atomiq", "worker", "--quiet", "--name", "W"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment) as process:
        wait_until(
            lambda: redis_connection.hget("rq:worker:W", "state") == b"idle", what="the worker has looked for work"
        )
        yield
        process.terminate()
        assert process.wait(20) == 0


@pytest.mark.parametrize("page", WITH_PYTHON, ids=named(WITH_PYTHON))
def test_python_blocks_run(page: Path, environment: dict[str, str], worker: None, tmp_path: Path) -> None:
    """A block that begins with a file's name is that file; all others are run, one after the other."""
    for number, block in enumerate(blocks(page, "python"), 1):
        name = MODULE.match(block.text)
        script = tmp_path / (name[1] if name else f"block_{number}.py")
        script.write_text(block.text)
        done = subprocess.run(
            [sys.executable, "-W", "error", script],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"block {number} of {page.name}:\n{block.text}\n{done.stdout}{done.stderr}"


def test_there_is_something_to_run() -> None:
    assert {"README.md", "docs/getting-started.md"} <= set(named(WITH_PYTHON))


def command_lines() -> list[tuple[str, str]]:
    """Each line of a shell block that calls atomiq, with its page."""
    return [
        (str(page.relative_to(ROOT)), line.removeprefix("$ "))
        for page in PAGES
        for block in blocks(page, "sh", "console")
        for line in block.text.splitlines()
        if line.removeprefix("$ ").startswith("atomiq ")
    ]


@pytest.mark.parametrize(("page", "line"), command_lines())
def test_command_lines_are_understood(page: str, line: str) -> None:
    name, *arguments = shlex.split(line, comments=True)[1:]
    command = main.get_command(click.Context(main), name)
    with click.Context(command) as context:
        command.parse_args(context, arguments)


@pytest.mark.parametrize("page", PAGES, ids=named(PAGES))
def test_links_lead_somewhere(page: Path) -> None:
    missing = [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert missing == []


def anchors(page: Path) -> set[str]:
    """Names of a page's headings, as in links to them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(BLOCK, "", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=named(PAGES))
def test_links_to_headings_find_them(page: Path) -> None:
    found = re.findall(r"\]\((?!https?://)([^)#]*)#([^)]+)\)", page.read_text())
    assert [link for link in found if link[1] not in anchors(page.parent / link[0] if link[0] else page)] == []


def test_every_decision_is_listed() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = set(LINK.findall((folder / "README.md").read_text()))
    assert listed == {path.name for path in folder.glob("0*.md")}
