"""Writes the pages that are made from the code: python scripts/docs.py [--check].

docs/scripts.md from the headers of the Lua scripts, docs/states.md from the table of moves, docs/data.md from the list
of own keys, docs/errors.md from the error tree, docs/settings.md from the defaults, docs/differences.md and
docs/rq-faults.md from the lists in this folder. With --check nothing is written; the exit code is 1 when a page is
stale.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "atomiq"
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from scripts.differences import NAMES, NAMES_LEAD  # noqa: E402
from scripts.faults import FAULTS, FAULTS_LEAD  # noqa: E402

from atomiq._core import errors  # noqa: E402
from atomiq._core.keys import DEFAULT_PREFIX, OWN_KEYS  # noqa: E402
from atomiq._core.settings import ENV_URL  # noqa: E402
from atomiq._core.states import CONTAINER, MOVES  # noqa: E402
from atomiq._lua import script, script_names  # noqa: E402

NOTE = "<!-- Made by scripts/docs.py (`make docs`) from {source}. Don't edit. -->\n\n"

SCRIPTS_LEAD = """# Scripts

Every change of a job's state is one of these. Keys named here are the ones that are declared; the others that a script
touches are made from the same prefix ([why](decisions/0002-one-anchor-key.md)). `:int` arguments are whole numbers,
`:flag` is 0 or 1, `:some` are as many as the argument before says, `:list` and `:rest` are all the rest; the key prefix
and a clock (0: the server's own) come before them. `none`: no job changes its state; `any` to `same`: it stays whatever
it is.

"""
LEFT_OUT = ("cancel", "delete", "expire", "save_job", "remove_from_queue", "begin_job", "set_status", "run_again")
OWN_JOB_FIELDS = (
    ("call", "enqueue", "token of the enqueue call; twice is once; absent when the id was made for the call"),
    ("changed", "cancel, requeue", "token of the last such call; sent again after a lost reply, it is no refusal"),
    ("attempts", "claim", "how often the job was taken; given back without counting by release and wait"),
    ("execution", "claim", "id of the execution that owns the job; empty while nobody does"),
    (
        "settled",
        "finish, fail, wait, release, set_status, run_again",
        "`verb:execution` of the last settlement; tells a repeated one from a stranger's",
    ),
    ("abandoned", "reap, fail", "how often the job lost its worker since it last ended by itself"),
    ("last_death", "fail", "how the process of an earlier run was killed; base64 of zlib of text"),
    ("executor", "enqueue", "how the job is to be run, when it says so"),
    ("on_abandoned", "enqueue", "`retry` or `fail`, when the job has a policy of its own"),
    ("retries_done", "fail, reap", "retries used; picks the interval of the next"),
    ("retry_ms", "enqueue", "with a back-off: ms before each retry, a JSON list; wins over retry_intervals"),
    ("retry_on", "enqueue", "names of the exceptions that its Retry is for, a JSON list; absent: all"),
    ("retry_unless", "enqueue", "names of those that it is not for, a JSON list"),
    ("requires", "enqueue", "what has to be there before the job runs, and how long to wait each time, in JSON"),
    ("requires_call", "enqueue", "the check of it, as `data` is the call of the function"),
    ("waits", "wait", "how often and how long the job has waited for it, in JSON"),
    ("repeats_done", "finish", "repeats used; picks the interval of the next"),
    ("due", "enqueue", "when a deferred job is due (ms), once its dependencies are met"),
    ("progress", "touch", "the job's own report of how far it is"),
    ("cron", "cron_fire, cron_run", "name of the cron entry that the job is of"),
    ("tick", "cron_fire, cron_run", "the time that the entry's job is for (ms), jitter and lateness left out"),
)
OWN_EXECUTION_FIELDS = (
    ("stop", "stop", "when the job was asked to stop (ms); read by its worker with every extension"),
)
OWN_WORKER_FIELDS = (
    ("beat", "worker_birth, worker_beat, extend", "last sign of life (ms, server's clock)"),
    ("lease", "worker_birth", "its lease (ms); after that much silence its name may be taken over"),
    ("incarnation", "worker_birth", "tells the worker itself, reborn, from a second one of the same name"),
    ("tallied", "claim, finish, fail", "the last calls that told a tally; the same call sent twice counts it once"),
)


def table(*columns: str, rows: list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [columns, tuple("---" for _ in columns), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def scripts_page() -> str:
    """Every script's contract."""
    rows = []
    for name in script_names():
        header = script(name).header
        summary = header.summary.partition("; ")[0]
        rows.append((f"[{name}](#{name})", summary, words(header.origins), words(header.targets), header.cost))
    parts = [NOTE.format(source="the headers in src/atomiq/_lua"), SCRIPTS_LEAD]
    parts.append(table("script", "what it does", "from", "to", "cost", rows=rows))
    for name in script_names():
        composed = script(name)
        header = composed.header
        arguments = " ".join(f"{one.name}:{one.kind}" if one.kind != "str" else one.name for one in header.args)
        parts.append(
            f"\n## {name}\n\n{header.summary}\n\n"
            f"- from: {words(header.origins)}; to: {words(header.targets)}\n"
            f"- keys: `{' '.join(header.keys)}`\n- arguments: `{arguments}`\n"
            f"- says: {', '.join(f'`{word}`' for word in header.says)}\n- cost: {header.cost}\n"
            f"- composed: {len(composed.body)} bytes, SHA-1 `{composed.sha}`\n"
        )
    parts.append(commands_section())
    return "".join(parts)


def words(values: tuple[str, ...]) -> str:
    return " ".join(values)


def commands_section() -> str:
    """What an ACL user has to be allowed."""
    inside = {
        name
        for path in (SOURCE / "_lua").rglob("*.lua")
        for name in re.findall(r"redis\.p?call\(\s*'([A-Z]+)'", path.read_text())
    }
    inside |= {"LPUSH", "RPUSH"}  # chosen by an expression
    outside = {
        name
        for path in SOURCE.rglob("*.py")
        if "keeper" not in path.name
        for name in re.findall(r"(?:plain|send_command|_ask)\((?:store, )?\s*\"([A-Z]+)\"", path.read_text())
    }
    outside |= {"EVAL", "EVALSHA"}
    return (
        "\n## Commands\n\nWhat a user with an ACL of its own has to be allowed.\n\n"
        f"- called from outside: {listed(outside)}\n- called inside scripts: {listed(inside - outside)}\n"
        "- by connections to a database other than 0: `select`\n"
    )


def listed(names: set[str]) -> str:
    return ", ".join(f"`{name.lower()}`" for name in sorted(names))


def states_page() -> str:
    """The table of moves, drawn and listed."""
    edges: dict[tuple[str, str], list[str]] = {}
    for move in MOVES:
        for origin in move.origins:
            for target in move.targets:
                if is_drawn(move.transition, origin, target):
                    edges.setdefault((origin, target), []).append(move.transition)
    drawing = "".join(f"    {node(a)} --> {node(b)}: {', '.join(names)}\n" for (a, b), names in sorted(edges.items()))
    places = [
        (f"`{status.value}`", f"`{DEFAULT_PREFIX}{container}:<queue>`" if container else "none")
        for status, container in CONTAINER.items()
    ]
    moves = [(f"`{m.transition}`", words(m.origins), words(m.targets), m.when) for m in MOVES]
    return (
        NOTE.format(source="MOVES in src/atomiq/_core/states.py")
        + "# States\n\nA job is in the one container that its status names, and in no other.\n\n"
        + table("status", "container", rows=places)
        + "\nThe picture leaves out what is possible from nearly everywhere: `cancel`, `delete`, `expire`, "
        "`enqueue` of an id that was used before, and RQ's low-level steps. The table below has all.\n\n"
        + f"```mermaid\nstateDiagram-v2\n{drawing}```\n\n"
        + table("transition", "from", "to", "when", rows=moves)
    )


def is_drawn(transition: str, origin: str, target: str) -> bool:
    if transition in LEFT_OUT or origin == target:
        return False
    return transition != "enqueue" or origin == "gone"


def node(status: str) -> str:
    return "[*]" if status == "gone" else status


def data_page() -> str:
    """What is in the server beside RQ's own layout."""
    sources = "".join(path.read_text() for path in (*SOURCE.rglob("*.lua"), *SOURCE.rglob("record.py")))
    for name, *_ in (*OWN_JOB_FIELDS, *OWN_EXECUTION_FIELDS, *OWN_WORKER_FIELDS):
        if not re.search(rf"\b{name}\b", sources):
            raise SystemExit(f"scripts/docs.py lists the field {name}, which nothing writes")
    keys = [(f"`{DEFAULT_PREFIX}{key}`", kind, owner, end) for key, kind, owner, end in OWN_KEYS]
    return (
        NOTE.format(source="OWN_KEYS in src/atomiq/_core/keys.py")
        + "# Data\n\nJobs, queues, registries, results, executions, groups and workers are stored exactly as RQ 2.12 "
        "stores them, so that its workers and tools can share them. This page lists what atomiq adds.\n\n"
        f"Every key starts with a prefix, `{DEFAULT_PREFIX}` by default; `connect(prefix=...)` or `ATOMIQ_PREFIX` "
        "changes it (`{app}:` pins a deployment to one slot of a Cluster).\n\n## Keys\n\n"
        + table("key", "type", "owner", "what ends it", rows=keys)
        + "\n## Fields in the hash of a job\n\nRQ ignores fields that it doesn't know.\n\n"
        + table("field", "written by", "meaning", rows=[(f"`{a}`", b, c) for a, b, c in OWN_JOB_FIELDS])
        + "\n## Fields in the hash of an execution\n\n"
        + table("field", "written by", "meaning", rows=[(f"`{a}`", b, c) for a, b, c in OWN_EXECUTION_FIELDS])
        + "\n## Fields in the hash of a worker\n\n"
        + table("field", "written by", "meaning", rows=[(f"`{a}`", b, c) for a, b, c in OWN_WORKER_FIELDS])
    )


def errors_page() -> str:
    """The tree at the top of the error module."""
    text = (errors.__doc__ or "").strip()
    lead, _, rest = text.partition("\n\n")
    tree, _, after = rest.partition("\n\n")
    drawn = "\n".join(line.removeprefix("    ") for line in tree.splitlines())
    return (
        NOTE.format(source="src/atomiq/_core/errors.py")
        + f"# Errors\n\n{lead} All are in `atomiq.exceptions`; RQ in a line marks a name that RQ has too.\n\n"
        + f"```text\n{drawn}\n```\n\n{' '.join(after.split())}\n"
    )


def settings_page() -> str:
    """Defaults with the text that stands under them."""
    body = ast.parse((SOURCE / "_core" / "settings.py").read_text()).body
    rows: list[tuple[str, ...]] = []
    for statement, following in zip(body, [*body[1:], None], strict=True):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value:
            about = ""
            if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
                about = " ".join(str(following.value.value).split())
            rows.append((f"`{statement.target.id}`", f"`{ast.unparse(statement.value)}`", about))
    return (
        NOTE.format(source="src/atomiq/_core/settings.py")
        + "# Settings\n\nDefaults, seconds unless the name says otherwise; where RQ has a default it is RQ's. What a "
        "worker, queue or job is given wins over them.\n\n"
        + table("name", "value", "", rows=rows)
        + f"\nThe server is found by the `--url` or `url` given, else by {', '.join(f'`{name}`' for name in ENV_URL)}, "
        "else by `REDIS_HOST` and its companions, else it is localhost:6379. `ATOMIQ_PREFIX` is the key prefix. The "
        "options of the command line have environment names of their own; see `atomiq worker --help`.\n"
    )


def differences_page() -> str:
    """Names that RQ has and atomiq hasn't, or has otherwise."""
    rows: list[tuple[str, ...]] = [(f"`{name}`", here, why) for name, (here, why) in NAMES.items()]
    return NOTE.format(source="scripts/differences.py") + NAMES_LEAD + table("RQ's name", "here", "why", rows=rows)


def faults_page() -> str:
    """What RQ does wrong, what happens here, and the test."""
    rows: list[tuple[str, ...]] = []
    for fault in FAULTS:
        parts = [test.partition("::") for test in fault.tests]
        tests = "<br>".join(f"[{function or path}](../{path})" for path, _, function in parts)
        rows.append((fault.name, fault.there, fault.here, tests))
    return NOTE.format(source="scripts/faults.py") + FAULTS_LEAD + table("", "RQ 2.12", "atomiq", "test", rows=rows)


PAGES = {
    "differences.md": differences_page,
    "rq-faults.md": faults_page,
    "scripts.md": scripts_page,
    "states.md": states_page,
    "data.md": data_page,
    "errors.md": errors_page,
    "settings.md": settings_page,
}


def main(arguments: list[str]) -> int:
    """Write all pages, or (--check) say which are stale."""
    stale = []
    for name, make in PAGES.items():
        path, text = ROOT / "docs" / name, make()
        if path.exists() and path.read_text() == text:
            continue
        stale.append(name)
        if "--check" not in arguments:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
    if stale:
        print(f"{'stale' if '--check' in arguments else 'written'}: {', '.join(stale)}")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
