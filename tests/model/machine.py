"""The stateful machine: random transitions on a server and on the model."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule
from tests.lua.keyspace import difference
from tests.lua.scene import LEASE, NOW
from tests.model.comparison import Comparison
from tests.model.drawing import (
    OPS,
    QUEUES,
    Draw,
    Op,
    R,
    as_new_job,
    endings,
    ids,
    job_queues,
    op,
    smaller_steps,
    some_worker,
    specs,
)
from tests.model.model import Lease
from tests.model.spec import Spec, lease_end

from atomiq._commands import alone, change, claim, enqueue, queues, settle, worker
from atomiq._commands.base import Command
from atomiq._core.errors import DuplicateJobError, InvalidJobDependency, JobIsRunning

_SHIFT = """
for _, key in ipairs(redis.call('KEYS', '*')) do
  local left = redis.call('PTTL', key)
  if left > tonumber(ARGV[1]) then redis.call('PEXPIRE', key, left - ARGV[1])
  elseif left >= 0 then redis.call('DEL', key) end
end
"""


class Machine(Comparison):
    """One world. `leases` are all executions ever given out: whoever has lost his may still call."""

    def __init__(self) -> None:
        super().__init__()
        self.leases: list[Lease] = []
        self.calls: list[tuple[Spec, ...]] = []
        self.numbers = 0

    # --- sending

    def send(self, command: Command[R], *, twice: bool = True) -> R:
        """Carry it out. What may be sent again after a lost reply is sent again: it must change nothing more."""
        self.transition = command.name
        self.scene.now = self.model.now
        command = smaller_steps(command)
        reply = self.scene.run(command)
        if twice:
            space = self.scene.space()
            self.scene.run(command)
            again = difference(space, self.scene.space())
            assert again == {}, f"{command.name} sent again changes {again}"
        return reply

    def number(self, kind: str) -> str:
        self.numbers += 1
        return f"{kind}{self.numbers}"

    def lease(self, draw: Draw) -> Lease:
        """Some execution; the ones that still run more often than those that are lost."""
        held = [lease for lease in self.leases if self.model.holds(lease)]
        return draw(st.sampled_from((held or self.leases) if draw(st.integers(0, 3)) else self.leases))

    # --- rules

    @op("user", 5, batch=st.lists(specs, min_size=1, max_size=3), unique=st.sampled_from([False, False, True]))
    def enqueue(self, batch: list[Spec], unique: bool) -> None:
        rows = [replace(spec, due=spec.due and self.model.now + spec.due, call=self.number("c")) for spec in batch]
        self.calls.append(tuple(rows))
        self._enqueue(rows, unique)

    @op("user", 1, needs="calls", number=st.integers(0, 10_000))
    def enqueue_again(self, number: int) -> None:
        self._enqueue(list(self.calls[-1 - number % len(self.calls)]), unique=False)

    def _enqueue(self, rows: list[Spec], unique: bool) -> None:
        before = deepcopy(self.model)
        expected = self.model.enqueue(rows, unique)
        jobs = [as_new_job(spec, self.model.now) for spec in rows]
        command = enqueue.enqueue(self.keys, jobs=jobs, unique=unique)
        try:
            said = [one.word for one in self.send(command)]
        except JobIsRunning:
            said = "busy"
        except DuplicateJobError:
            said = "exists"
        except InvalidJobDependency:
            assert before.circle_with(rows), f"{rows} don't wait for themselves"
            self.model = before
            return
        assert said == expected

    @op("worker", 4, who=some_worker, order=st.permutations(QUEUES), count=st.integers(1, 3))
    def claim(self, who: str, order: list[str], count: int) -> None:
        """Not where an id that expired has dependants: whether these are met in the same step depends on the order of
        queues."""
        ghosts = {one for ids in self.model.lists.values() for one in ids if one not in self.model.jobs}
        ghosts |= {one for ids in self.model.stale.values() for one in ids}
        if any(ghosts & job.open for job in self.model.jobs.values() if job.status == "deferred"):
            return
        executions = [self.number("e") for _ in range(count)]
        expected = self.model.claim(who, order, executions, LEASE)
        command = claim.claim(self.keys, queues=order, worker=who, executions=executions, lease_ms=LEASE)
        self._took(self.send(command), expected)

    def _took(self, reply: claim.Claim, expected: list[Lease]) -> None:
        taken = [(one.execution_id, one.job_id, one.queue) for one in reply.jobs]
        assert taken == [(lease.execution, lease.job, lease.queue) for lease in expected]
        assert [one.attempt for one in reply.jobs] == [self.model.jobs[lease.job].attempts for lease in expected]
        self.leases += expected

    def _end(self, draw: Draw, ending: dict[str, Any]) -> tuple[settle.Settlement, str]:
        lease = self.lease(draw)
        if ending["outcome"] in ("retried", "waiting") and isinstance(ending["retry"], str):
            ending = {**ending, "retry": 0}
        expected = self.model.settle(lease, **ending)
        base = settle.Settlement(
            lease.job, lease.queue, lease.execution, lease.worker, started_ms=NOW, ended_ms=self.model.now, **ending
        )
        return base, expected

    @op("worker", 6, needs="leases", ending=endings)
    def settle(self, draw: Draw, ending: dict[str, Any]) -> None:
        settlement, expected = self._end(draw, ending)
        reply = self.send(settle.settle(self.keys, settlement=settlement), twice=expected != "ok")
        assert reply.word == expected
        if expected == "ok":
            left = self.model.jobs.get(settlement.job_id)
            assert reply.status == (left.status if left else "gone")

    @op("worker", 3, needs="leases", ending=endings, order=st.permutations(QUEUES))
    def settle_and_claim(self, draw: Draw, ending: dict[str, Any], order: list[str]) -> None:
        """Only where nobody is freed on the way: which of several is the next one is the server's choice."""
        settlement, word = self._end(draw, ending)
        if any(job.status == "deferred" for job in self.model.jobs.values()):
            reply = self.send(settle.settle(self.keys, settlement=settlement), twice=False)
            assert reply.word == word
            return
        execution = self.number("e")
        expected = self.model.claim(settlement.worker, order, [execution], LEASE)
        command = settle.settle_and_claim(
            self.keys,
            settlement=settlement,
            queues=order,
            worker=settlement.worker,
            executions=[execution],
            lease_ms=LEASE,
        )
        settled, claimed = self.send(command)
        assert settled.word == word
        self._took(claimed, expected)

    @op("worker", 2, needs="leases", count=st.integers(1, 3))
    def extend(self, draw: Draw, count: int) -> None:
        leases = list(dict.fromkeys(self.lease(draw) for _ in range(count)))
        who = leases[0].worker
        leases = [lease for lease in leases if lease.worker == who]
        held = [claim.Held(lease.queue, lease.job, lease.execution) for lease in leases]
        reply = self.send(claim.extend(self.keys, worker=who, lease_ms=LEASE, held=held, worker_ttl=480))
        kept = [lease for lease in leases if self.model.holds(lease)]
        assert reply.lost == [lease.execution for lease in leases if lease not in kept]
        assert reply.stop == [lease.execution for lease in kept if self.model.jobs[lease.job].stopping]
        for lease in kept:
            self.model.jobs[lease.job].lease = lease_end(self.model.now, LEASE)

    @op("worker", 2, needs="leases", count=st.integers(1, 2))
    def release(self, draw: Draw, count: int) -> None:
        leases = list(dict.fromkeys(self.lease(draw) for _ in range(count)))
        leases = [lease for lease in leases if lease.worker == leases[0].worker]
        expected = [self.model.release(lease) for lease in reversed(leases)][::-1]
        held = [claim.Held(lease.queue, lease.job, lease.execution) for lease in leases]
        assert self.send(claim.release(self.keys, worker=leases[0].worker, held=held)) == expected

    @op("upkeep", 3, queue=job_queues, most=st.integers(0, 2), policy=st.sampled_from(["retry", "fail"]))
    def reap(self, queue: str, most: int, policy: str) -> None:
        expected = self.model.reap(queue, most, policy)
        reply = self.send(settle.reap(self.keys, queue=queue, max_abandoned=most, policy=policy), twice=False)
        said = dict.fromkeys(reply.requeued, "requeued") | dict.fromkeys(reply.retried, "retried")
        assert said | dict.fromkeys(reply.failed, "failed") == expected

    @op("user", 1, job_id=ids, dependents=st.booleans(), detach=st.booleans())
    def cancel(self, job_id: str, dependents: bool, detach: bool) -> None:
        expected = self.model.cancel(job_id, dependents)
        command = change.cancel(
            self.keys,
            job_id=job_id,
            enqueue_dependents=dependents,
            remove_from_dependencies=detach,
            token=self.number("t"),
        )
        assert self.send(command, twice=not dependents).word == expected

    @op("user", 1, job_id=ids)
    def stop(self, job_id: str) -> None:
        job = self.model.jobs.get(job_id)
        expected = "gone" if job is None else "not_running"
        if job is not None and job.status == "started":
            expected = "already" if job.stopping else "ok"
            job.stopping = True
        assert self.send(change.stop(self.keys, job_id=job_id)).word == expected

    @op("user", 2, job_id=ids, front=st.booleans())
    def requeue(self, job_id: str, front: bool) -> None:
        expected = self.model.requeue(job_id, front)
        command = change.requeue(self.keys, job_id=job_id, at_front=front, token=self.number("t"))
        assert self.send(command).word == expected

    @op("user", 1, job_id=ids, dependents=st.sampled_from([False, False, True]))
    def delete(self, job_id: str, dependents: bool) -> None:
        listed = self.connection.smembers(self.keys.dependents(job_id)) if dependents else ()
        expected = self.model.delete(job_id, [raw.decode() for raw in listed])
        command = change.delete(self.keys, job_id=job_id, delete_dependents=dependents)
        assert self.send(command).word == expected

    @op("user", 1, job_id=ids)
    def touch(self, job_id: str) -> None:
        expected = "ok" if job_id in self.model.jobs else "gone"
        assert self.send(change.touch(self.keys, job_id=job_id, fields={"progress": "1"})) == expected

    @op("upkeep", 2, queue=job_queues)
    def promote(self, queue: str) -> None:
        self.model.promote(queue)
        self.send(enqueue.promote(self.keys, queue=queue))

    @op("upkeep", 2, limit=st.integers(1, 3))
    def free(self, limit: int) -> None:
        self.send(settle.free(self.keys, limit=limit), twice=False)

    @op("upkeep", 2, queue=job_queues, limit=st.integers(1, 4))
    def expire(self, queue: str, limit: int) -> None:
        offset = 0
        while True:
            reply = self.send(queues.expire(self.keys, queue=queue, limit=limit, offset=offset), twice=False)
            offset = reply.next_offset
            if not reply.more:
                break

    @op("worker", 1, who=some_worker)
    def worker_death(self, who: str) -> None:
        mine = [job for job in self.model.jobs.values() if job.status == "started" and job.worker == who]
        # What it has not extended for so long is forgotten with it, and left to be reaped.
        held = [
            Lease(job.execution, job.spec.id, job.queue, who)
            for job in mine
            if self.connection.hexists(self.keys.worker_executions(who), job.execution)
        ]
        assert all(job.lease < self.model.now for job in mine if job.spec.id not in {lease.job for lease in held})
        released = self.send(worker.worker_death(self.keys, worker=who, queues=QUEUES))
        assert sorted(released) == sorted(lease.job for lease in held)
        for lease in held:
            assert self.model.release(lease) == "ok"
        self.shuffled = True

    @op("worker", 1, who=some_worker)
    def worker_birth(self, who: str) -> None:
        self.send(
            worker.worker_birth(
                self.keys,
                worker=who,
                queues=QUEUES,
                fields={},
                ttl=480,
                lease_ms=LEASE,
                incarnation=who,
            )
        )

    @op("user", 1, queue=job_queues, detach=st.booleans())
    def empty_queue(self, queue: str, detach: bool) -> None:
        expected = self.model.empty(queue, detach)
        assert self.send(queues.empty_queue(self.keys, queue=queue, detach=detach), twice=False)[0] == expected

    @op("user", 1, queue=job_queues, paused=st.booleans())
    def pause(self, queue: str, paused: bool) -> None:
        self.send(queues.pause_queue(self.keys, queue=queue, paused=paused))
        (self.model.paused.add if paused else self.model.paused.discard)(queue)

    @op("user", 1, suspended=st.sampled_from([True, False, False]))
    def suspend(self, suspended: bool) -> None:
        self.send(queues.suspend(self.keys) if suspended else queues.resume(self.keys))
        self.model.suspended = suspended

    @op("user", 1, job_id=ids, who=some_worker)
    def begin_job(self, job_id: str, who: str) -> None:
        execution = self.number("e")
        expected = self.model.begin(job_id, execution, who, LEASE)
        command = alone.begin_job(self.keys, job_id=job_id, worker=who, execution=execution, lease_ms=LEASE)
        assert self.send(command)[0] == expected
        if expected == "ok":
            self.leases.append(Lease(execution, job_id, self.model.jobs[job_id].queue, who))

    @op("upkeep", 4, seconds=st.sampled_from([0.001, 4, 5, 30, 31, 100, 600]))
    def time_passes(self, seconds: float) -> None:
        """Redis ends what has a ttl; nobody else does anything."""
        self.transition = ""
        ms = int(seconds * 1000)
        self.model.now += ms
        self.connection.execute_command("EVAL", _SHIFT, 0, ms)
        for job_id, job in list(self.model.jobs.items()):
            if job.deadline is not None and job.deadline <= self.model.now:
                self._vanish(job_id)

    @op("upkeep", 1, job_id=ids)
    def somebody_deletes_a_hash(self, job_id: str) -> None:
        if job_id in self.model.jobs and self.numbers % 5 == 0:
            self.connection.delete(self.keys.job(job_id))
            self._vanish(job_id)

    def _vanish(self, job_id: str) -> None:
        self.transition = ""
        self.model.vanish(job_id)
        self.scene.expired.add(job_id)
        self.before.pop(job_id, None)

    @op("upkeep", 1)
    def the_server_forgets_all_scripts(self) -> None:
        self.transition = ""
        self.connection.script_flush()

    # --- who acts

    @initialize(data=st.data())
    def some_jobs(self, data: st.DataObject) -> None:
        self.act("user", data, OPS["user"][:1])

    @rule(data=st.data())
    def a_user(self, data: st.DataObject) -> None:
        self.act("user", data)

    @rule(data=st.data())
    def a_worker(self, data: st.DataObject) -> None:
        self.act("worker", data)

    @rule(data=st.data())
    def another_worker(self, data: st.DataObject) -> None:
        self.act("worker", data)

    @rule(data=st.data())
    def upkeep(self, data: st.DataObject) -> None:
        self.act("upkeep", data)

    def act(self, actor: str, data: st.DataObject, ops: list[Op] | None = None) -> None:
        possible = [one for one in ops or OPS[actor] if not one.needs or getattr(self, one.needs)]
        names = [one.act.__name__ for one in possible]
        chosen = possible[names.index(data.draw(st.sampled_from(names), label=actor))]
        arguments = {name: data.draw(strategy, label=name) for name, strategy in chosen.arguments.items()}
        if chosen.needs == "leases":
            arguments["draw"] = data.draw
        self.log.append(f"{self.model.now - NOW:>9} {chosen.act.__name__} {arguments}")
        with self.told():
            chosen.act(self, **arguments)
