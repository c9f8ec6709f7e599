"""`python -m atomiq.contrib.rq_alias COMMAND...`: execute a program whose `import rq` means atomiq.

python -m atomiq.contrib.rq_alias rqworker mail        also rq, rqinfo; no RQ needs to be installed
python -m atomiq.contrib.rq_alias manage.py rqworker   a Python file
python -m atomiq.contrib.rq_alias -m rq_dashboard      a module
python -m atomiq.contrib.rq_alias gunicorn shop.wsgi   any program beside this Python, or on the PATH
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from atomiq.contrib.rq_alias.switch import to_environment

COMMANDS: Final = {"atomiq": [], "rq": [], "rqworker": ["worker"], "rqinfo": ["info"]}
"""Programs that are atomiq's command line, with the subcommand that they stand for."""
NOT_FOUND: Final = 127


def program(arguments: Sequence[str]) -> list[str]:
    """What is to be executed: the path of the program and its arguments; empty if there is no such program."""
    first, *rest = arguments
    if first in COMMANDS:
        return [sys.executable, "-m", "atomiq", *COMMANDS[first], *rest]
    if first in ("-m", "-c") or first.endswith(".py"):
        return [sys.executable, first, *rest]
    # The PATH's may be another Python's, which has no atomiq, and so its own rq.
    path = shutil.which(first, path=str(Path(sys.executable).parent)) or shutil.which(first)
    return [] if path is None else [path, *rest]


def main(arguments: Sequence[str]) -> None:
    """Become the program that the arguments name. Exit codes: the program's; 2 without one, 127 if there is none."""
    if not arguments or arguments[0] in ("-h", "--help"):
        sys.stderr.write(__doc__ or "")
        sys.exit(0 if arguments else 2)
    found = program(arguments)
    if not found:
        where = f"neither beside {sys.executable} nor on the PATH"
        sys.stderr.write(f"atomiq.contrib.rq_alias: no program {arguments[0]!r}, {where}\n")
        sys.exit(NOT_FOUND)
    environment = dict(os.environ)
    to_environment(environment)
    sys.stdout.flush()
    os.execve(found[0], found, environment)  # noqa: S606  what the user has asked for


if __name__ == "__main__":
    main(sys.argv[1:])
