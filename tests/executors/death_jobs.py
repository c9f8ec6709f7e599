"""What the children of test_death.py do to themselves."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import threading


def crash() -> None:
    print("about to read from nowhere")
    ctypes.string_at(0)


def give_up() -> None:
    os.abort()


def abort_after_a_crashed_fork() -> None:
    pid = os.fork()
    if pid == 0:
        crash()
    os.waitpid(pid, 0)
    give_up()


def leave() -> None:
    print("leaving without a word more")
    os._exit(3)


def kill_after_printing() -> None:
    for number in range(10_000):
        print(f"row {number}")
    os.kill(os.getpid(), signal.SIGKILL)


def terminate() -> None:
    print("shutting down?", file=sys.stderr)
    os.kill(os.getpid(), signal.SIGTERM)


def crash_beside_threads() -> None:
    """One thread waits in a function of a name of its own while the main thread crashes."""
    ready = threading.Event()

    def waits_for_ever() -> None:
        ready.set()
        threading.Event().wait()

    threading.Thread(target=waits_for_ever, daemon=True).start()
    ready.wait()
    crash()


def threads_print() -> None:
    """Four threads, 2,000 lines each, at the same time; then death."""
    start = threading.Barrier(4)

    def prints(name: str) -> None:
        start.wait()
        for number in range(2_000):
            sys.stdout.write(f"<{name}{number:06}>\n")

    threads = [threading.Thread(target=prints, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    die()


def fork_and_print() -> None:
    """What a fork of the job prints is the job's too."""
    print("before the fork")
    pid = os.fork()
    if pid == 0:
        print("in the fork")
        os._exit(0)
    os.waitpid(pid, 0)
    print("after the fork")
    die()


def print_bytes() -> None:
    sys.stdout.buffer.write(b"raw bytes \xff\n")
    sys.stdout.buffer.write(bytearray(b"a bytearray\n"))
    sys.stdout.buffer.write(memoryview(b"a memoryview\n"))
    sys.stdout.writelines(["lines, ", "written\n"])
    die()


def print_much_at_once() -> None:
    print("first")
    print("".join(f"{number:05}" for number in range(10_000)))
    die()


def print_terminal_codes() -> None:
    print("\x1b[31mred\x1b[0m \x1b]0;title\x07and \x00 \x7f \u202eturned round")
    print("\r 10 %\r 50 %\r100 %")
    print("windows\r")
    die()


def log() -> None:
    logging.getLogger("tests.death").warning("logged by a handler that is older than the box")
    die()


def flood() -> None:
    """100 MB, a megabyte at a time and then line by line."""
    for _ in range(90):
        sys.stdout.write("x" * 2**20)
    for number in range(100_000):
        sys.stdout.write(f"{number:099}\n")
    die()


def say_nothing() -> None:
    die()


def start_a_program() -> None:
    print("before the program", flush=True)
    os.system("echo printed by a program")
    die()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
