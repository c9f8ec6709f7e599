"""What a process holds, and sizes as people write them."""

from __future__ import annotations

import mmap
import os
import resource
import subprocess
import sys

import psutil
import pytest

from atomiq import exceptions
from atomiq.executors import memory

CHUNK = 64 * 2**20


@pytest.mark.parametrize("platform", [sys.platform, "elsewhere"])
def test_resident_memory_follows_what_is_held(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    before = memory.own_resident_memory()
    held = mmap.mmap(-1, CHUNK)
    assert memory.own_resident_memory() - before < CHUNK // 2, "asked for, but not touched"
    held.write(b"x" * CHUNK)
    grown = memory.own_resident_memory() - before
    seen = memory.resident_memory(os.getpid())
    held.close()
    assert CHUNK * 0.9 < grown < CHUNK * 2.1
    assert seen == pytest.approx(before + grown, rel=0.1)
    assert memory.own_resident_memory() - before < CHUNK * 1.1
    assert memory.peak_bytes(resource.getrusage(resource.RUSAGE_SELF)) >= before + grown * 0.9


@pytest.mark.parametrize("platform", [sys.platform, "elsewhere"])
def test_of_other_processes(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    command = [sys.executable, "-c", "print(flush=True); input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        monkeypatch.setattr(sys, "platform", platform)
        seen = memory.resident_memory(child.pid)
        assert seen == pytest.approx(psutil.Process(child.pid).memory_info().rss, rel=0.2)
        child.kill()
    assert memory.resident_memory(child.pid) is None


@pytest.mark.parametrize(
    ("size", "found"),
    [
        (1, 1),
        ("4096", 4096),
        ("4096b", 4096),
        ("512M", 512 * 2**20),
        ("512 mb", 512 * 2**20),
        (" 1.5GiB ", 3 * 2**29),
        ("64k", 64 * 2**10),
        ("2T", 2**41),
    ],
)
def test_sizes(size: str | int, found: int) -> None:
    assert memory.parse_size(size) == found


@pytest.mark.parametrize(
    "size", ["", "M", "12 parsecs", "-5M", "1,5G", "0", "0.1", 0, -1, True, 1.5, None, "1e9", "5 i"]
)
def test_what_is_no_size(size: object) -> None:
    with pytest.raises(ValueError, match=r"write it like 512M, 1\.5GiB, or as a number") as caught:
        memory.parse_size(size)  # type: ignore[arg-type]
    assert isinstance(caught.value, exceptions.InvalidOption)
    assert repr(size) in str(caught.value)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (2048, "2 KiB"), (512 * 2**20, "512 MiB"), (3 * 2**29, "1.5 GiB"), (2**41, "2 TiB")],
)
def test_sizes_as_text(size: int, text: str) -> None:
    assert memory.size_text(size) == text


def test_the_error_that_a_jobs_record_names() -> None:
    assert issubclass(exceptions.MemoryLimitExceeded, exceptions.AtomiqError)
    assert "MemoryLimitExceeded" in exceptions.__all__
