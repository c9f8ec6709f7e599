"""What --reload notices."""

from __future__ import annotations

import os
from pathlib import Path

from atomiq.worker.file_watch import FileWatch


class TestFileWatch:
    def test_changes(self, tmp_path: Path) -> None:
        (tmp_path / "pkg").mkdir()
        (tmp_path / "pkg" / "a.py").write_text("1")
        (tmp_path / ".hidden").mkdir()
        told: list[bool] = []
        watch = FileWatch([str(tmp_path)], lambda: told.append(True))

        def look() -> int:
            watch._at = 0.0
            watch.check()
            return len(told)

        assert look() == 0
        (tmp_path / ".hidden" / "b.py").write_text("1")
        (tmp_path / "pkg" / "notes.txt").write_text("1")
        assert look() == 0
        os.utime(tmp_path / "pkg" / "a.py", ns=(1, 1))
        assert look() == 1
        (tmp_path / "c.py").write_text("1")
        assert look() == 2
        (tmp_path / "c.py").unlink()
        assert look() == 3

    def test_it_looks_once_a_second(self, tmp_path: Path) -> None:
        told: list[bool] = []
        watch = FileWatch([str(tmp_path)], lambda: told.append(True))
        (tmp_path / "c.py").write_text("1")
        watch.check()
        assert told == []

    def test_a_file_that_cannot_be_looked_at(self, tmp_path: Path) -> None:
        """A link to itself ended the worker."""
        (tmp_path / "loop.py").symlink_to("loop.py")
        watch = FileWatch([str(tmp_path)], lambda: None)
        assert watch.wake_at() is not None

    def test_nothing_to_watch(self) -> None:
        assert FileWatch([], lambda: None).wake_at() is None
