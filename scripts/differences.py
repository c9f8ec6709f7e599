"""Where atomiq's public names depart from RQ's on purpose. A test compares all of RQ's names and parameters, and fails
for a departure that is not listed here as well as for one listed here that is none; docs/differences.md is made from
this."""

from __future__ import annotations

NAMES_LEAD = """# Names that differ from RQ's

Every other public name of RQ 2.12 (modules, functions, classes, methods, parameters with their order and defaults,
attributes, constants) is in the module of the same name in atomiq, but for helpers inside `rq.cli`; a test compares
them with the installed RQ. What the same names do differently is told in
[Coming from RQ](coming-from-rq.md#what-is-different-on-purpose).

"""

VERSION = ("atomiq's own version", "it is atomiq; under the alias it is '2.12.0', for tools that ask for it")
NAMES: dict[str, tuple[str, str]] = {
    "rq.VERSION": VERSION,
    "rq.version.VERSION": VERSION,
    "rq.worker.base.VERSION": VERSION,
    "rq.logutils.setup_loghandlers": (
        "`name` is 'atomiq.worker' if it is not given",
        "that is the name of our logger; under the alias it is 'rq.worker'",
    ),
}
"""RQ's name: what it is here, and why."""
