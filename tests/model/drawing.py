"""What may happen, how often, and with what; and how a drawn thing is sent."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

from hypothesis import strategies as st
from tests.lua.scene import new_job
from tests.model.model import YEAR
from tests.model.spec import Spec

from atomiq._commands.base import Command
from atomiq._core.record import NewJob

R = TypeVar("R")
Draw = Callable[..., Any]
IDS, QUEUES, WORKERS = "abcdef", ("q", "r"), ("v", "w")

ids, job_queues, some_worker = st.sampled_from(IDS), st.sampled_from(QUEUES), st.sampled_from(WORKERS)
specs = st.builds(
    Spec,
    id=ids,
    queue=job_queues,
    deps=st.lists(ids, max_size=3, unique=True).map(tuple),
    allow=st.booleans(),
    due=st.sampled_from([0, 0, 0, 5_000, 100_000]),
    front=st.booleans(),
    ttl=st.sampled_from([0, 0, 0, 50]),
    retries=st.integers(0, 2),
    intervals=st.sampled_from([(), (0,), (5, 100)]),
    repeats=st.sampled_from([0, 0, 1, 2]),
    repeat_intervals=st.sampled_from([(), (0,), (5, 100)]),
    policy=st.sampled_from(["", "", "retry", "fail"]),
    front_on_retry=st.booleans(),
)
endings = st.fixed_dictionaries(
    {
        "outcome": st.sampled_from(
            ["finished", "finished", "failed", "failed", "stopped", "retried", "exhausted", "waiting"]
        ),
        "retry": st.sampled_from(["auto", "never", 0, 5_000]),
        "result_ttl": st.sampled_from([500, 500, 60, 0, -1]),
        "failure_ttl": st.sampled_from([YEAR, 60, 0, -1]),
    }
)


class Op(NamedTuple):
    """One thing that may happen. `needs`: an attribute of the machine that must not be empty."""

    act: Callable[..., None]
    needs: str
    arguments: dict[str, st.SearchStrategy[Any]]


OPS: dict[str, list[Op]] = {"user": [], "worker": [], "upkeep": []}


def op(actor: str, weight: int, *, needs: str = "", **arguments: st.SearchStrategy[Any]) -> Any:
    """Something that `actor` does. Hypothesis would choose each rule as often as any other, and rarely end a job."""

    def register(act: Callable[..., None]) -> Callable[..., None]:
        OPS[actor] += [Op(act, needs, arguments)] * weight
        return act

    return register


_IN_ORDER = """
local function in_order(key, count)
  local all = redis.call('SMEMBERS', key)
  table.sort(all)
  while #all > count do all[#all] = nil end
  return all
end
local function pop_in_order(key, count)
  local some = in_order(key, count)
  for _, member in ipairs(some) do redis.call('SREM', key, member) end
  return some
end
"""

_ANY_TO_FIRST = {
    r"limit or 100\b": "limit or 1",
    r"call\('SPOP', waiting, limit\)": "pop_in_order(waiting, limit)",
    r"call\('SRANDMEMBER', (\(P \.\. 'atomiq:unmet:' \.\. id\))\)": r"in_order(\1, 1)[1]",
}


def smaller_steps(command: Command[R]) -> Command[R]:
    """The same script, freeing one dependant a step where it would free a hundred: few jobs show what many would do.

    And taking the first where it would take any, so that a failure can be repeated.
    """
    if command.script is None:
        return command
    body = command.script.body
    if "free_dependants" in body:
        for found, instead in _ANY_TO_FIRST.items():
            body, count = re.subn(found, instead, body)
            assert count == 1 or found.startswith("limit"), f"{command.name}: {count} times {found}"
    body = _IN_ORDER + body
    sha = hashlib.sha1(body.encode(), usedforsecurity=False).hexdigest()
    return replace(command, script=replace(command.script, body=body, sha=sha))


def as_new_job(spec: Spec, now: int) -> NewJob:
    fields: dict[str, Any] = {"retries_left": spec.retries, "repeats_left": spec.repeats}
    fields |= {"retry_intervals": json.dumps(spec.intervals), "repeat_intervals": json.dumps(spec.repeat_intervals)}
    fields |= {"on_abandoned": spec.policy} if spec.policy else {}
    fields |= {"enqueue_at_front_on_retry": "1"} if spec.front_on_retry else {}
    return new_job(
        spec.id,
        spec.queue,
        call=spec.call,
        depends_on=list(spec.deps),
        allow_failure=spec.allow,
        at_front=spec.front,
        due_ms=spec.due,
        ttl=spec.ttl or None,
        **fields,
    )
