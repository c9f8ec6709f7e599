"""What `import rq` finds in the child processes of an aliased one: it installs the alias, which takes its place."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

_HERE = Path(__file__).parent

try:
    _alias = import_module("atomiq.contrib.rq_alias")
except ModuleNotFoundError as error:
    if error.name != "atomiq":
        raise
    # Another environment, which has no atomiq: a program that an aliased one has started. It gets its own rq.
    sys.path[:] = [entry for entry in sys.path if Path(entry) != _HERE]
    del sys.modules[__name__]
    sys.modules[__name__] = import_module(__name__)
else:
    _alias.install()
