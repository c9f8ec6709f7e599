"""`python -m atomiq.demo`, what `atomiq demo` starts."""

from __future__ import annotations

import shlex
import shutil
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path

import click
from rich.console import Console

from atomiq._core.errors import AtomiqError
from atomiq._wire.target import embedded_url
from atomiq.connections import connect
from atomiq.demo.corpus import source_files
from atomiq.demo.run import Demo
from atomiq.demo.show import LiveView, PlainView, report


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--url",
    "-u",
    help="A server of your own; the demo tidies up behind it. Default: the embedded server in a new folder.",
)
@click.option("--embedded", metavar="PATH", help="The embedded server, in this folder.")
@click.option(
    "--files",
    type=click.IntRange(min=20),
    help="Index only so many of the standard library's files, evenly spread. Default: all.",
)
@click.option(
    "--lease",
    type=click.FloatRange(min=1),
    default=3.0,
    show_default=True,
    help="Seconds of silence after which a worker's jobs are run elsewhere.",
)
def demo(url: str | None, embedded: str | None, files: int | None, lease: float) -> None:
    """Index Python's own standard library.

    A job for each source file, one that merges their results, a delayed one, and one that fails first. Two workers do
    it; one is killed in the middle. At the end every result is checked against a direct computation, and every job has
    to be accounted for.
    """
    if url is not None and embedded is not None:
        raise click.UsageError("--url and --embedded name two servers; give one of them")
    folder = None if url else str(Path(embedded).resolve()) if embedded else tempfile.mkdtemp(prefix="atomiq-demo-")
    where = url or embedded_url(folder or "")
    console = Console(highlight=False)
    view = LiveView(console) if console.is_terminal else PlainView(console)
    is_own = where.startswith("embedded://")
    try:
        run = Demo(connect(where), where, source_files(files), lease, view)
        with nullcontext() if is_own else run.tidied_if_broken_off():
            books = run.play()
    except AtomiqError as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        raise click.exceptions.Exit(130) from None
    console.print(report(books))
    for problem in books.problems:
        console.print(problem, style="red", markup=False, soft_wrap=True)
    if is_own:
        server = f"--embedded {shlex.quote(folder)}" if folder else f"--url {shlex.quote(where)}"
        console.print(next_steps(server, run.queue.name, books.killed_ids), markup=False, soft_wrap=True)
    else:
        run.tidy()
    raise click.exceptions.Exit(1 if books.problems else 0)


def next_steps(server: str, queue: str, killed: tuple[str, ...]) -> str:
    """What to type next; `server` is the option that names it."""
    name = command_name()
    lines = ["", "Look around:", f"  {name} info {server}"]
    lines += [f"  {name} info {server} --job {job_id}" for job_id in killed[:1]]
    lines += [
        "Run something of your own:",
        f"  {name} enqueue {server} --queue {queue} statistics.mean '%[1, 2, 6]'",
        f"  {name} worker {server} --burst {queue}",
    ]
    lines.append("The server ends by itself a minute after its last visitor; its data stays.")
    return "\n".join(lines)


def command_name() -> str:
    """How this person calls the command."""
    if shutil.which("atomiq"):
        return "atomiq"
    beside = Path(sys.executable).parent / "atomiq"
    if not beside.exists():
        return f"{sys.executable} -m atomiq"
    return str(beside.relative_to(Path.cwd()) if beside.is_relative_to(Path.cwd()) else beside)


if __name__ == "__main__":
    demo(prog_name="atomiq demo")
