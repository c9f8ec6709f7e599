"""The header of a script is its contract: what it says is true, of the Lua text and of the Python wrapper."""

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from tests.lua.catalogue import CASES, Case
from tests.lua.keyspace import kind_of
from tests.lua.scene import Scene

import atomiq._lua
from atomiq._commands.base import Command
from atomiq._core.errors import AtomiqError, ScriptError
from atomiq._core.keys import Keys
from atomiq._core.states import GONE, MOVES, JobStatus
from atomiq._lua import Script, parse_header, script, script_names
from atomiq._lua.compose import _library, _needed, _strip_comments

FOLDER = Path(atomiq._lua.__file__).parent
MARKER = "-- writes below"
READING = frozenset(
    [
        "EXISTS",
        "GET",
        "HEXISTS",
        "HGET",
        "HGETALL",
        "HLEN",
        "HMGET",
        "HSCAN",
        "LLEN",
        "LPOS",
        "LRANGE",
        "PTTL",
        "SCARD",
        "SISMEMBER",
        "SMEMBERS",
        "SMISMEMBER",
        "SRANDMEMBER",
        "SSCAN",
        "TIME",
        "TTL",
        "ZCARD",
        "ZCOUNT",
        "ZRANGE",
        "ZRANGEBYSCORE",
        "ZSCAN",
        "ZSCORE",
    ]
)
UNBOUNDED = frozenset(["KEYS", "SCAN", "FLUSHDB", "FLUSHALL", "SORT"])
REFUSALS = frozenset(
    ["exists", "busy", "not_yours", "gone", "not_there", "not_running", "not_empty", "taken", "circle"]
)
TELLING = {
    "enqueue": ("enqueue_jobs",),
    "claim": ("claim_jobs", "claimed_before"),
    "finish": ("finish_job", "refused"),
    "fail": ("fail_job", "refused"),
    "wait": ("wait_job", "refused"),
    "release": ("release_job", "refused"),
    "give_back": ("give_back_job",),
    "settle_and_claim": ("finish_job", "fail_job", "wait_job", "refused", "claim_jobs", "claimed_before"),
}
"""Scripts that say what a shared function says."""
MADE_OF = {
    "claim": ("claim", "promote"),
    "dequeue": ("dequeue", "promote"),
    "settle_and_claim": ("finish", "fail", "wait", "claim", "promote"),
    "worker_death": ("release",),
    "empty_queue": ("delete", "remove_from_queue"),
    "expire": ("expire",),
    "repair_job": ("free", "requeue", "fail"),
    "repair_thing": ("free", "requeue"),
}
"""Scripts that make the moves of other transitions, or (expire) only some of their own."""
NOT_STATUSES = {"none", "any", "same"}
ROUTING_ONLY = {("view_jobs", "queues"), ("pop_job_id", "queues")} | {
    (name, "queues") for name in ("examine_registry", "examine_jobs", "examine_job")
}
"""Keys that are declared because a script needs one, for a Cluster to know where to send it."""


def text_of(name: str) -> str:
    return (FOLDER / f"{name}.lua").read_text(encoding="utf-8")


@cache
def calls(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"redis\.call\(\s*'([A-Z]+)'", text)) | _pushes(text)


def _pushes(text: str) -> set[str]:
    assert not re.search(r"redis\.call\((?!\s*')(?!front and 'LPUSH' or 'RPUSH')", text), (
        "a command whose name is computed"
    )
    return {"LPUSH"} if "'LPUSH' or 'RPUSH'" in text else set()


@cache
def writers() -> frozenset[str]:
    """Shared functions that write, themselves or through others."""
    library = _library()
    found = {name for name, text in library.items() if calls(text) - READING}
    while True:
        more = {name for name, text in library.items() if name not in found and words(text.partition("\n")[2]) & found}
        if not more:
            return frozenset(found)
        found |= more


@cache
def words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[A-Za-z_]\w*", text))


def reachable(name: str) -> str:
    """The script's own text and all shared functions it uses."""
    code = _strip_comments(text_of(name))
    return "\n".join([code, *(_library()[needed] for needed in _needed(code))])


def spoken(text: str) -> set[str]:
    """Words in statements that answer."""
    known = {said for name in script_names() for said in script(name).header.says}
    lines = [line for line in text.splitlines() if re.search(r"\breturn\b|^\s*local .*\breply\b", line)]
    lines = [re.sub(r"[=~]= '\w+'", "", line) for line in lines]
    return {word for line in lines for word in re.findall(r"'(\w+)'", line) if word in known}


every_script = pytest.mark.parametrize("name", script_names())
every_case = pytest.mark.parametrize("case", CASES, ids=str)


@every_script
def test_it_is_in_the_catalogue(name: str) -> None:
    """A script without a case is in neither the header tests nor the fault matrix."""
    assert name in {case.script for case in CASES}


@every_script
def test_the_header_is_parsed(name: str) -> None:
    header = parse_header(name, text_of(name))
    assert header.summary
    assert header.cost
    assert header.says


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-- other: x\n",
        "-- a: x\n-- from: none\n",
        "-- a: x\n-- from:\n-- to:\n-- keys:\n-- args: b:list c\n-- says:\n-- cost:\n",
    ],
)
def test_a_header_that_is_none(text: str) -> None:
    with pytest.raises(ScriptError):
        parse_header("a", text)


def test_an_argument_of_an_unknown_kind() -> None:
    with pytest.raises(ScriptError, match="b:float"):
        parse_header("a", "-- a: x\n-- from:\n-- to:\n-- keys:\n-- args: b:float\n-- says:\n-- cost:\n")


@every_script
def test_the_server_compiles_it(name: str, scene: Scene) -> None:
    composed: Script = script(name)
    sha = scene.redis.script_load(composed.body)
    assert (sha.decode() if isinstance(sha, bytes) else sha) == composed.sha


@every_case
def test_the_wrapper_passes_what_is_declared(case: Case, scene: Scene) -> None:
    command = case.command(scene, case.prepare(scene))
    assert command.script is not None
    header = command.script.header
    assert (command.name, header.name) == (case.script, case.script)
    kinds = [kind_of(key) for key in command.keys]
    assert len(kinds) == len(header.keys)
    for declared, kind in zip(header.keys, kinds, strict=True):
        assert kind is not None
        assert kind[0] == declared or (declared == "members" and kind[0] in ("workers", "worker_set"))
    prefix, now, *own = command.args
    assert (prefix, now) == (scene.keys.prefix, 0)
    if header.args and header.args[-1].kind in ("list", "rest"):
        assert len(own) >= len(header.args) - 1
    else:
        assert len(own) == len(header.args)
    for argument, value in zip(header.args, own, strict=False):
        if argument.kind == "int":
            int(value)


@every_script
def test_it_says_what_the_header_lists(name: str) -> None:
    said = spoken(_strip_comments(text_of(name)))
    for function in TELLING.get(name, ()):
        said |= spoken(_library()[function])
    assert said == set(script(name).header.says)


def replies(reply: Any, said: str) -> list[Any]:
    """The reply with its word changed; of one that says how two things went, the other word too."""
    if isinstance(reply, bytes):
        return [said.encode()]
    if isinstance(reply, int):  # the usual answer to an enqueue
        return [[said.encode(), reply, b"queued"]]
    changed = [[said.encode(), *reply[1:]]]
    waits = reply[-1] == b"scheduled" and len(reply) > 2 and isinstance(reply[2], int)
    if reply[-1] == b"finished" or waits or (isinstance(reply[-1], list) and reply[-1][:1] == [b"ok"]):
        changed += [[*reply[:-1], said.encode()], [*reply[:-1], [said.encode(), b"started", 0, 0]]]
    return changed


def decoded(command: Command[Any], reply: Any) -> bool:
    """Whether the decoder knows the word; what it means is another matter."""
    try:
        command.decode(reply)
    except ScriptError:
        return False
    except AtomiqError:
        return True
    return True


@every_case
def test_the_decoder_knows_the_words(case: Case, scene: Scene) -> None:
    command = case.command(scene, case.prepare(scene))
    assert command.script is not None
    raw = scene.redis.eval(command.script.body, len(command.keys), *command.keys, *command.args)
    for said in command.script.header.says:
        assert any(decoded(command, reply) for reply in replies(raw, said)), said
    assert not any(decoded(command, reply) for reply in replies(raw, "nonsense"))


@every_script
def test_it_moves_as_the_table_of_states_allows(name: str) -> None:
    header = script(name).header
    table = {move.transition: move for move in MOVES}
    parts = [table[part] for part in MADE_OF.get(name, (name,)) if part in table]
    origins = {status for part in parts for status in part.origins}
    targets = {status for part in parts for status in part.targets}
    said = (set(header.origins) - NOT_STATUSES, set(header.targets) - NOT_STATUSES)
    if not parts:
        assert said[0] == said[1], "it moves jobs, but the table of states doesn't know it"
    elif name in MADE_OF and name != "claim":
        assert said[0] <= origins
        assert said[1] <= targets
    else:
        assert said == (origins, targets)


def test_every_move_has_a_script() -> None:
    assert {move.transition for move in MOVES} <= set(script_names())
    known = {status.value for status in JobStatus} | {GONE}
    assert all({*move.origins, *move.targets} <= known for move in MOVES)


@every_script
def test_checks_come_before_writes(name: str) -> None:
    """Rule 1: a script has no rollback. Above the marker nothing is written, below it nothing is refused."""
    text = text_of(name)
    head, marker, tail = text.partition(MARKER)
    above, below = _strip_comments(head), _strip_comments(tail)
    if not marker:
        assert not calls(text) - READING
        assert not words(above) & writers()
        return
    assert calls(below) - READING or words(below) & writers(), "it claims to write, but doesn't"
    assert not calls(above) - READING
    assert not words(above) & writers()
    assert not spoken(below) & REFUSALS


@pytest.mark.parametrize("function", ["finish_job", "fail_job", "release_job"])
def test_shared_functions_that_refuse_do_so_before_they_write(function: str) -> None:
    text = _library()[function]
    before, refused, after = text.partition("if not takes_lease(")
    assert refused
    assert re.search(r"then return .*\brefused\b", after.partition("\n")[0])
    assert not calls(before) - READING
    assert not words(before.partition("\n")[2]) & writers()
    assert "refused" not in writers()
    assert not spoken(after.partition("\n")[2]) & (REFUSALS - {"gone"})  # gone is what the job may be then


def test_enqueue_jobs_refuses_before_it_writes() -> None:
    head, marker, tail = (FOLDER / "lib" / "enqueueing.lua").read_text(encoding="utf-8").partition(f"  {MARKER}\n")
    assert marker
    above = _strip_comments(head)
    assert not calls(above) - READING
    assert not words(above) & (writers() - {"enqueue_jobs"})
    assert spoken(above) & REFUSALS
    assert not spoken(_strip_comments(tail)) & REFUSALS


def test_the_last_look_before_a_settlement_is_its_first_write() -> None:
    """A ZREM that removes nothing has written nothing."""
    text = _library()["takes_lease"]
    assert calls(text) == {"ZREM"}
    assert re.search(r" and redis\.call\('ZREM', [^=]*\) == 1\nend$", text)


def test_only_these_shared_functions_speak() -> None:
    speaking = {function for functions in TELLING.values() for function in functions}
    functions = {name: text for name, text in _library().items() if not name.startswith("key_")}
    others = {name for name, text in functions.items() if name not in speaking and spoken(text)}
    assert others <= {"bury"}  # it says what has become of the job


@every_script
def test_nothing_is_unbounded(name: str) -> None:
    assert not calls(reachable(name)) & UNBOUNDED


@every_script
def test_every_declared_key_and_argument_is_used(name: str) -> None:
    header, used = script(name).header, words(reachable(name))
    for key in header.keys:
        assert f"k_{key}" in used or f"key_{key}" in used or (name, key) in ROUTING_ONLY, key
    own = words(_strip_comments(text_of(name)))
    settling = {"outcome", "retry"}  # one set of arguments for both ends
    counting = {before.name for before, some in pairwise(header.args) if some.kind == "some"}
    for argument in header.args:
        said = f"{'at' if argument.kind == 'rest' else 'a'}_{argument.name}" in own or argument.name in counting
        assert said or (name == "finish" and argument.name in settling), argument


@every_script
def test_names_of_keys_come_from_keys_alone(name: str) -> None:
    """The prefix is joined to something in the functions made from Keys, and nowhere else."""
    named = {f"key_{method}" for method in dir(Keys) if not method.startswith("_")}
    for needed in _needed(_strip_comments(text_of(name))):
        text = _library()[needed]
        assert ("P .." in text) == (needed in named), needed
    assert "P .." not in text_of(name)


@every_script
def test_it_is_short(name: str) -> None:
    assert len(script(name).body) < 36_000
