"""How a child died, told by its black box: real children that really die."""

from __future__ import annotations

import contextlib
import faulthandler
import io
import logging
import os
import resource
import signal
import subprocess
import sys
import timeit
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from tests.executors import death_jobs as jobs

from atomiq.executors.black_box import BlackBox, LastWords
from atomiq.executors.death import MOST_LINES, MOST_STACK_LINES, Death, death_text, memory_text

ROOT = Path(__file__).parents[2]


@pytest.fixture
def box() -> Iterator[BlackBox]:
    box = BlackBox()
    yield box
    box.close()


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """Where the children's standard output really goes."""
    return tmp_path / "output"


def die_in_child(box: BlackBox, output: Path, job: Callable[[], None], before: Callable[[], object] = int) -> Death:
    """Fork a child that installs the box, does `before`, begins a job and dies of it."""
    pid = os.fork()
    if pid == 0:
        try:
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            fd = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(fd, 1)
            os.dup2(fd, 2)
            sys.stdout, sys.stderr = (os.fdopen(os.dup(1), "w"), os.fdopen(os.dup(2), "w"))
            logging.getLogger("tests.death").addHandler(logging.StreamHandler(sys.stderr))
            box.install()
            before()
            box.begin()
            job()
        finally:
            os._exit(99)
    _, status, usage = os.wait4(pid, 0)
    return Death(pid, status, usage, box.last_words(), 1.5)


class TestWhatIsLeft:
    def test_a_crash_in_c_code_leaves_the_stack(self, box: BlackBox, output: Path) -> None:
        death = die_in_child(box, output, jobs.crash)
        assert death.signal_number == signal.SIGSEGV
        assert death.words is not None
        assert death.words.stack.startswith("Fatal Python error: Segmentation fault")
        assert "death_jobs.py" in death.words.stack
        assert " in crash" in death.words.stack
        assert death.words.output == "about to read from nowhere\n"
        assert output.read_text() == "", "what was printed was still in the buffer: only the box has it"
        text = death_text(death)
        assert text.startswith("Work-horse terminated unexpectedly; waitpid returned 11 (signal 11); killed by SIGSEGV")
        assert "the job had run for 1.5 s\n\nIts stack:\n  Fatal Python error: Segmentation fault" in text
        assert text.endswith("\n\nThe last it printed:\n  about to read from nowhere")

    def test_abort(self, box: BlackBox, output: Path) -> None:
        text = death_text(die_in_child(box, output, jobs.give_up))
        assert "killed by SIGABRT" in text
        assert " in give_up" in text
        assert "The last it printed" not in text

    def test_exit(self, box: BlackBox, output: Path) -> None:
        text = death_text(die_in_child(box, output, jobs.leave))
        assert text.startswith(
            "Work-horse terminated unexpectedly; waitpid returned 768; the process left with exit code 3 in the middle "
            "of the call; its peak memory was "
        )
        assert "Its stack" not in text
        assert text.endswith("  leaving without a word more")

    def test_a_kill_does_not_take_the_last_lines_along(self, box: BlackBox, output: Path) -> None:
        death = die_in_child(box, output, jobs.kill_after_printing)
        assert death.words is not None
        lines = death.words.output.splitlines()
        assert lines == [f"row {number}" for number in range(10_000 - len(lines), 10_000)]
        assert 4000 < len(death.words.output) <= 4096
        shown = death_text(death).partition("The last it printed:\n")[2].splitlines()
        assert shown == [f"  {line}" for line in lines[-MOST_LINES:]]

    def test_a_signal_that_is_no_crash(self, box: BlackBox, output: Path) -> None:
        text = death_text(die_in_child(box, output, jobs.terminate))
        assert "waitpid returned 15 (signal 15); killed by SIGTERM" in text
        assert text.endswith("  shutting down?")

    def test_the_stacks_of_all_threads_the_crashed_one_first(self, box: BlackBox, output: Path) -> None:
        text = death_text(die_in_child(box, output, jobs.crash_beside_threads))
        assert 0 < text.index(" in crash_beside_threads") < text.index(" in waits_for_ever")

    def test_the_stack_is_its_own_and_not_that_of_a_fork_that_crashed_before(self, box: BlackBox, output: Path) -> None:
        stack = die_in_child(box, output, jobs.abort_after_a_crashed_fork).words.stack  # type: ignore[union-attr]
        assert stack.startswith("Fatal Python error: Aborted")
        assert "Segmentation fault" not in stack

    def test_where_files_without_a_name_are_forbidden(
        self, output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As on systems other than Linux."""
        monkeypatch.setattr("sys.platform", "elsewhere")
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        box = BlackBox()
        text = death_text(die_in_child(box, output, jobs.crash))
        box.close()
        assert " in crash" in text
        assert text.endswith("  about to read from nowhere")
        assert [*tmp_path.iterdir()] == [output]

    def test_a_silent_child(self, box: BlackBox, output: Path) -> None:
        death = die_in_child(box, output, jobs.say_nothing)
        assert death.words is not None
        assert (death.words.stack, death.words.output) == ("", "")
        assert "\n" not in death_text(death)

    def test_the_last_words_stay_until_the_box_is_cleared(self, box: BlackBox, output: Path) -> None:
        die_in_child(box, output, jobs.crash)
        assert box.last_words() is box.last_words()
        box.clear()
        assert (box.last_words().stack, box.last_words().output) == ("", "")
        box.clear()
        again = die_in_child(box, output, jobs.crash)
        assert again.words is not None
        assert again.words.stack.startswith("Fatal Python error")
        assert again.words.output == "about to read from nowhere\n"


class TestWhatIsRecorded:
    def said(self, box: BlackBox, output: Path, job: Callable[[], None], before: Callable[[], object] = int) -> str:
        words = die_in_child(box, output, job, before).words
        assert words is not None
        return words.output

    def test_only_the_running_job(self, box: BlackBox, output: Path) -> None:
        assert self.said(box, output, jobs.terminate, lambda: print("an earlier job")) == "shutting down?\n"
        box.clear()
        assert self.said(box, output, jobs.say_nothing, lambda: print("x" * 10_000)) == ""

    def test_bytes(self, box: BlackBox, output: Path) -> None:
        said = self.said(box, output, jobs.print_bytes)
        assert said == "raw bytes \ufffd\na bytearray\na memoryview\nlines, written\n"

    def test_more_at_once_than_there_is_room(self, box: BlackBox, output: Path) -> None:
        said = self.said(box, output, jobs.print_much_at_once)
        assert said == "".join(f"{number:05}" for number in range(10_000))[-4079:] + "\n"

    def test_terminal_codes_do_no_harm(self, box: BlackBox, output: Path) -> None:
        said = self.said(box, output, jobs.print_terminal_codes)
        assert said == "red and \\x00 \\x7f \\u202eturned round\n100 %\nwindows\n"

    def test_logging_set_up_before(self, box: BlackBox, output: Path) -> None:
        assert self.said(box, output, jobs.log) == "logged by a handler that is older than the box\n"

    def test_several_threads(self, box: BlackBox, output: Path) -> None:
        lines = self.said(box, output, jobs.threads_print).splitlines()
        assert len(lines) > 400
        for line in lines:
            assert (line[0], line[-1], line[1] in "abcd", line[2:-1].isdigit(), len(line)) == ("<", ">", True, True, 9)

    def test_forks_of_the_job(self, box: BlackBox, output: Path) -> None:
        assert self.said(box, output, jobs.fork_and_print) == "before the fork\nin the fork\nafter the fork\n"

    def test_programs_are_not_recorded(self, box: BlackBox, output: Path) -> None:
        assert self.said(box, output, jobs.start_a_program) == "before the program\n"
        assert output.read_text() == "before the program\nprinted by a program\n"

    def test_a_flood_costs_no_memory(self, box: BlackBox, output: Path) -> None:
        quiet = die_in_child(box, Path(os.devnull), jobs.say_nothing)
        box.clear()
        loud = die_in_child(box, Path(os.devnull), jobs.flood)
        assert loud.words is not None
        assert loud.words.output.endswith(f"{99_999:099}\n")
        assert len(loud.words.output) <= 4096
        assert loud.usage is not None
        assert quiet.usage is not None
        assert loud.usage.ru_maxrss - quiet.usage.ru_maxrss < 16 * 1024

    def test_not_when_it_is_not_wanted(self, output: Path) -> None:
        box = BlackBox(capture=False)
        death = die_in_child(box, output, jobs.crash)
        box.close()
        assert death.words is not None
        assert death.words.output == ""
        assert " in crash" in death.words.stack

    def test_a_faulthandler_that_was_on_before(self, box: BlackBox, output: Path) -> None:
        before = faulthandler.is_enabled()
        faulthandler.enable(file=2)
        try:
            death = die_in_child(box, output, jobs.crash)
        finally:
            if not before:
                faulthandler.disable()
        assert death.words is not None
        assert " in crash" in death.words.stack

    def test_a_fresh_interpreter(self, box: BlackBox, tmp_path: Path) -> None:
        program = (
            "import sys, ast\n"
            "from atomiq.executors.black_box import BlackBox\n"
            "from tests.executors import death_jobs\n"
            "box = BlackBox.reopen(ast.literal_eval(sys.argv[1]))\n"
            "assert not any(__import__('os').get_inheritable(fd) for fd in box.fds)\n"
            "box.install(); box.begin(); death_jobs.crash()\n"
        )
        command = [sys.executable, "-c", program, repr(box.spec())]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}
        done = subprocess.run(
            command, pass_fds=box.fds, env=environment, stdout=subprocess.DEVNULL, timeout=60, check=False
        )
        assert done.returncode == -signal.SIGSEGV
        assert " in crash" in box.last_words().stack
        assert box.last_words().output == "about to read from nowhere\n"


class TestTheStreamsAreAsBefore:
    """In this process: the streams are stand-ins, and given back by the next install."""

    @pytest.fixture(autouse=True)
    def as_before(self) -> Iterator[None]:
        enabled = faulthandler.is_enabled()
        yield
        if enabled:
            faulthandler.enable(file=2)
        else:
            faulthandler.disable()

    @contextlib.contextmanager
    def recording(self, box: BlackBox, stream: Any = None) -> Iterator[io.TextIOWrapper]:
        """With `stream` as the standard output of this process, and no other."""
        with contextlib.ExitStack() as stack:
            if stream is None:
                raw = io.BufferedWriter(io.FileIO(os.devnull, "w"))
                stream = stack.enter_context(io.TextIOWrapper(raw, "latin-1", "backslashreplace", "\r\n"))
            patch = stack.enter_context(pytest.MonkeyPatch.context())
            patch.setattr("sys.stderr", None)
            patch.setattr("sys.stdout", stream)
            box.install()
            yield stream
            sys.stdout = None  # type: ignore[assignment]
            box.install()

    def test_attributes(self, box: BlackBox) -> None:
        with self.recording(box) as stream:
            assert sys.stdout is stream
            assert isinstance(stream.buffer, io.BufferedWriter)
            assert (stream.encoding, stream.errors) == ("latin-1", "backslashreplace")
            assert stream.fileno() == stream.buffer.fileno()
            assert not stream.isatty()
            print("\u00e9\u20ac")
            assert stream.write("four") == 4
            assert stream.buffer.write(b"four") == 4
        assert box.last_words().output == "\ufffd\\u20ac\nfourfour"

    def test_what_a_stream_refuses_it_refuses_still(self, box: BlackBox) -> None:
        with self.recording(box) as stream:
            with pytest.raises(TypeError):
                stream.buffer.write("text")  # type: ignore[arg-type]
            with pytest.raises(TypeError):
                stream.write(b"bytes")  # type: ignore[arg-type]
            stream.close()
            with pytest.raises(ValueError, match="closed"):
                stream.write("x")

    def test_installed_twice_is_recorded_once(self, box: BlackBox) -> None:
        with self.recording(box):
            box.install()
            print("once")
        assert box.last_words().output == "once\n"

    def test_another_box_takes_over(self, box: BlackBox) -> None:
        other = BlackBox()
        with self.recording(box):
            other.install()
            print("to the other")
        assert (box.last_words().output, other.last_words().output) == ("", "to the other\n")
        other.close()

    def test_text_streams_of_the_application(self, box: BlackBox) -> None:
        own = io.StringIO()
        with self.recording(box, own):
            print("said")
        assert (box.last_words().output, own.getvalue()) == ("said\n", "said\n")

    def test_streams_that_cant_be_recorded_work_on(self, box: BlackBox) -> None:
        class Stubborn:
            __slots__ = ()
            said: ClassVar[list[str]] = []

            def write(self, text: str) -> None:
                self.said.append(text)

        closed = io.TextIOWrapper(io.BytesIO())
        closed.close()
        with self.recording(box, closed), pytest.raises(ValueError, match="closed"):
            print("x")
        with self.recording(box, Stubborn()):
            print("said")
        assert Stubborn.said == ["said", "\n"]
        assert box.last_words().output == ""

    def test_beginning_a_job_costs_next_to_nothing(self, box: BlackBox) -> None:
        """0.05 µs here; ten times as much still passes."""
        assert min(timeit.repeat(box.begin, number=10_000, repeat=5)) / 10_000 < 0.5e-6


KILLED = int(signal.SIGKILL)


class TestWords:
    """The text for deaths that a test can't bring about."""

    @pytest.mark.parametrize(
        ("oom_kill", "said"),
        [
            (True, "killed by SIGKILL: out of memory (the kernel's OOM killer struck in its control group)"),
            (False, "killed by SIGKILL (the kernel's OOM killer has counted no kill in its control group)"),
            (None, "killed by SIGKILL, which is also what the kernel sends when memory runs out"),
        ],
    )
    def test_whether_memory_ran_out(self, oom_kill: bool | None, said: str) -> None:
        assert said in death_text(Death(1, KILLED, None, LastWords(oom_kill=oom_kill)))

    def test_without_a_box(self) -> None:
        assert death_text(Death(1, KILLED)).endswith("which is also what the kernel sends when memory runs out")
        assert death_text(Death(1, None)).endswith("waitpid returned None; nobody could say how it ended")

    @pytest.mark.parametrize(
        ("seconds", "said"), [(0.01234, "0.0123 s"), (59.5, "59.5 s"), (61, "1 min 1 s"), (7322, "2 h 2 min 2 s")]
    )
    def test_how_long_it_ran(self, seconds: float, said: str) -> None:
        assert death_text(Death(1, 256, ran_for=seconds)).endswith(f"; the job had run for {said}")

    def test_long_stacks_and_lines_are_cut(self) -> None:
        others = "\n\n".join(f"Thread {number} (most recent call first):\n  File a" for number in range(99))
        stack = f"Fatal Python error: Aborted\n\n{others}\n\nCurrent thread 99 (most recent call first):\n  File b"
        output = "\n".join(["y" * 2000] * 500)
        text = death_text(Death(1, int(signal.SIGABRT), None, LastWords(stack, output)))
        lines = text.splitlines()
        assert lines[1:7] == [
            "",
            "Its stack:",
            "  Fatal Python error: Aborted",
            "",
            "  Current thread 99 (most recent call first):",
            "  File b".replace("  ", "    "),
        ]
        assert f"  ({1 + 100 * 3 - MOST_STACK_LINES} more lines)" in lines
        assert max(map(len, lines)) < 510
        assert lines.count("  " + "y" * 500 + "...") == MOST_LINES

    def test_memory_limit(self) -> None:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        death = Death(1, KILLED, usage, LastWords(output="loading everything\n"), 3.0)
        text = memory_text(512 * 2**20, 600 * 2**20, "J", death)
        assert text.startswith(
            "atomiq.exceptions.MemoryLimitExceeded: the process of job J held 600 MiB of memory, and the limit of a "
            "child is 512 MiB (--memory-limit); it was killed."
        )
        assert text.endswith("It had run for 3 s.\n\nThe last it printed:\n  loading everything")
        assert "held 2.5 GiB" in memory_text(2**30, 5 * 2**29, "J")
