"""Random graphs of jobs with random ends, against a model of a few lines: who should run runs once, nobody runs early,
nobody waits without a reason. All are one group, and what waits for it goes on exactly when all of them have ended."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.contract.driving import settled
from tests.tasks import nothing

from atomiq import Dependency, Job, Queue
from atomiq._commands.claim import Claimed, claim
from atomiq._commands.settle import free
from atomiq._core.ids import new_execution_id
from atomiq._wire.sync import Store
from atomiq.group import Group
from atomiq.queue.batch import CONDITIONS

ENDS = ["finished", "finished", "finished", "retried", "failed", "stopped", "canceled", "deleted"]
QUEUES = ("q", "r")


@dataclass
class Node:
    """A job as drawn: `end` is what becomes of it once it may run."""

    id: str
    queue: str
    parents: list[str]
    allow: bool
    end: str
    result_ttl: int


@dataclass
class Expected:
    """What must become of each, from the parents to the children."""

    final: dict[str, str] = field(default_factory=dict)
    runs: set[str] = field(default_factory=set)

    def add(self, node: Node) -> None:
        ends = [self.final[parent] for parent in node.parents]
        met = {"finished", "failed", "stopped", "deleted"} if node.allow else {"finished"}
        if not node.allow and "deleted" in ends:
            self.final[node.id] = "canceled"
        elif all(end in met for end in ends):
            self.runs.add(node.id)
            self.final[node.id] = "finished" if node.end == "retried" else node.end
        else:
            self.final[node.id] = "deferred"

    def of_the_group(self) -> dict[str, str]:
        """What must become of the jobs that wait for all of them."""
        ends = set(self.final.values())
        if "deferred" in ends:
            return dict.fromkeys(CONDITIONS, "deferred")
        good = "queued" if ends == {"finished"} else "canceled" if "deleted" in ends else "deferred"
        return {"ended": "queued", "finished": good, "failed": "canceled" if ends == {"finished"} else "queued"}


@st.composite
def graphs(draw: st.DrawFn) -> list[Node]:
    size = draw(st.integers(1, 14))
    nodes = []
    for number in range(size):
        before = [f"n{earlier}" for earlier in range(number)]
        parents = draw(st.lists(st.sampled_from(before), max_size=4, unique=True)) if before else []
        nodes.append(
            Node(
                id=f"n{number}",
                queue=draw(st.sampled_from(QUEUES)),
                parents=parents,
                allow=draw(st.booleans()),
                end=draw(st.sampled_from(ENDS)),
                result_ttl=draw(st.sampled_from([500, 500, 0])),
            )
        )
    return nodes


class World:
    """A server on which a graph is run, one claim at a time."""

    def __init__(self, connection: redis.Redis, nodes: list[Node]) -> None:
        connection.flushdb()
        self.connection = connection
        self.store = Store.of(connection)
        self.nodes = {node.id: node for node in nodes}
        self.group = Group.create(connection, "g")
        self.ran: Counter[str] = Counter()
        self.ended: dict[str, str] = {}

    def enqueue(self, chance: random.Random, batched: bool) -> None:
        """All in one call, in any order; or one by one, parents first, while those before are not run yet."""
        if batched:
            queue = Queue("q", connection=self.connection)
            nodes = list(self.nodes.values())
            for node in nodes:
                node.queue = "q"
            chance.shuffle(nodes)
            calls = [queue.prepare_data(nothing, job_id=n.id, depends_on=self._depends(n)) for n in nodes]
            self.group.enqueue_many(queue, calls)
            return
        for node in self.nodes.values():
            queue = Queue(node.queue, connection=self.connection)
            call = queue.prepare_data(nothing, job_id=node.id, depends_on=self._depends(node))
            self.group.enqueue_many(queue, [call])

    def wait_for_the_group(self) -> None:
        """A job for each condition, in a queue that nobody works on."""
        queue = Queue("after", connection=self.connection)
        for when in CONDITIONS:
            self.group.then(queue, queue.prepare_data(nothing, job_id=when), when=when)

    def waiting(self) -> dict[str, str]:
        return {when: Job.fetch(when, connection=self.connection).get_status().value for when in CONDITIONS}

    @staticmethod
    def _depends(node: Node) -> Dependency | None:
        return Dependency(list(node.parents), allow_failure=node.allow) if node.parents else None

    def run(self, chance: random.Random) -> None:
        """Until nothing is queued and nobody is left to be freed."""
        while True:
            names = list(QUEUES)
            chance.shuffle(names)
            waiting = [job_id for name in names for job_id in Queue(name, connection=self.connection).get_job_ids()]
            if not waiting:
                if not self.store.run(free(self.store.keys)).more:
                    return
                continue
            self.one(waiting[0], names)

    def one(self, job_id: str, names: list[str]) -> None:
        node = self.nodes[job_id]
        if node.end in ("canceled", "deleted"):
            self.ended[job_id] = node.end
            job = Job.fetch(job_id, connection=self.connection)
            job.cancel() if node.end == "canceled" else job.delete()
            self.ran[job_id] += 1
            return
        command = claim(
            self.store.keys, queues=names, worker="driven", executions=[new_execution_id()], lease_ms=30_000
        )
        (taken,) = self.store.run(command).jobs
        assert taken.job_id == job_id
        self.early(node)
        self.settle(taken, node)

    def early(self, node: Node) -> None:
        met = {"finished", "failed", "stopped", "deleted"} if node.allow else {"finished"}
        assert all(self.ended.get(parent) in met for parent in node.parents), f"{node} runs too early: {self.ended}"

    def settle(self, taken: Claimed, node: Node) -> None:
        if node.end == "retried" and not self.ended.get(f"retry of {node.id}"):
            self.ended[f"retry of {node.id}"] = "yes"
            settled(self.store, taken, "failed", retry=0)
            return
        self.ran[node.id] += 1
        outcome = "finished" if node.end == "retried" else node.end
        self.ended[node.id] = outcome
        settled(self.store, taken, outcome, result_ttl=node.result_ttl)

    def final(self, node: Node) -> str:
        raw = self.connection.hget(f"rq:job:{node.id}", "status")
        if raw is None:
            return self.ended[node.id]
        return raw.decode()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(nodes=graphs(), batched=st.booleans(), seed=st.integers(0, 1000))
def test_any_graph(redis_connection: redis.Redis, nodes: list[Node], batched: bool, seed: int) -> None:
    expected = Expected()
    for node in nodes:
        expected.add(node)
    world = World(redis_connection, nodes)
    chance = random.Random(seed)
    world.enqueue(chance, batched)
    world.wait_for_the_group()
    assert world.waiting() == dict.fromkeys(CONDITIONS, "deferred")
    world.run(chance)
    assert world.ran == Counter(expected.runs)
    assert {node.id: world.final(node) for node in nodes} == expected.final
    assert world.waiting() == expected.of_the_group()
    counted = Counter("gone" if end == "deleted" else end for end in expected.final.values())
    assert world.group.progress().by_status == counted
    assert not redis_connection.exists("rq:atomiq:freeing")
