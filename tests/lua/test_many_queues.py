"""A claim for many queues: most of them are empty, and it looks at ten of those in one command."""

from __future__ import annotations

import pytest
from tests.lua.scene import LEASE, NOW, Scene, ended
from tests.lua.test_claim import claiming

from atomiq._commands.change import delete
from atomiq._commands.queues import pause_queue
from atomiq._commands.settle import settle_and_claim

QUEUES = tuple(f"q{number}" for number in range(100))


def commands_sent(scene: Scene) -> int:
    """By anybody until now, those of scripts included."""
    return sum(stats["calls"] for stats in scene.redis.info("commandstats").values())


def commands_of_a_job(scene: Scene, queues: tuple[str, ...]) -> int:
    """What it takes to end a job and claim the next of the last queue, by full calls."""
    last = queues[-1]
    scene.put("a", last)
    scene.put("b", last)
    job = scene.take(*queues)
    command = settle_and_claim(
        scene.keys, settlement=ended(job), queues=list(queues), worker="w", executions=["x"], lease_ms=LEASE
    )
    before = commands_sent(scene)
    _, claimed = scene.run(command)
    sent = commands_sent(scene) - before
    (after,) = claimed.jobs
    assert (after.queue, after.job_id) == (last, "b")
    scene.settle(after)
    for job_id in ("a", "b"):
        scene.run(delete(scene.keys, job_id=job_id))
    return sent


def test_empty_queues_cost_less_than_a_command_each(scene: Scene) -> None:
    """With jobs of 10 ms in the last of 100 queues each job cost 328 commands instead of 31, and the server twice the
    time: three for every queue that was empty."""
    assert commands_of_a_job(scene, QUEUES) - commands_of_a_job(scene, ("alone",)) < len(QUEUES)


def test_a_claim_that_finds_nothing_in_many_queues(scene: Scene) -> None:
    """Two look whether keys are of another type, three were about what isn't there, one asked for the next due time."""
    scene.run(claiming(scene, queues=QUEUES))
    before = commands_sent(scene)
    assert scene.run(claiming(scene, queues=QUEUES)).word == "empty"
    assert commands_sent(scene) - before < 3 * len(QUEUES)


@pytest.mark.parametrize("at", range(23))
def test_a_job_is_found_wherever_it_is(scene: Scene, at: int) -> None:
    queues = QUEUES[:23]
    scene.put("a", queues[at])
    scene.put("later", queues[at], due_ms=NOW + 500)
    reply = scene.claim(*queues)
    assert [(job.queue, job.job_id) for job in reply.jobs] == [(queues[at], "a")]
    scene.redis.delete(*(scene.keys.bell(queue) for queue in queues))
    assert scene.claim(*queues).next_due_ms == NOW + 500
    scene.now += 500
    assert [job.job_id for job in scene.claim(*queues).jobs] == ["later"]


def test_in_order_of_priority(scene: Scene) -> None:
    for queue in reversed(QUEUES):
        scene.put(f"of-{queue}", queue)
    taken = scene.claim(*QUEUES, count=40).jobs + scene.claim(*QUEUES, count=40).jobs
    assert [job.queue for job in taken] == list(QUEUES[:80])


def test_bells_of_empty_queues_go(scene: Scene) -> None:
    """One that rings for nothing would wake a worker for nothing."""
    bells = [scene.keys.bell(queue) for queue in QUEUES[:30]]
    for bell in bells:
        scene.redis.zadd(bell, {"1": 0})
    assert scene.claim(*QUEUES[:30]).word == "empty"
    assert not scene.redis.exists(*bells)


def test_a_paused_queue_among_them(scene: Scene) -> None:
    """Neither its jobs nor its bell are touched, nor does its schedule say when to wake; those beside it are served."""
    for queue in QUEUES[11:21]:
        scene.run(pause_queue(scene.keys, queue=queue))
    scene.put("waits", "q12")
    scene.put("later", "q13", due_ms=NOW + 1)
    scene.put("runs", "q22")
    scene.put("then", "q24", due_ms=NOW + 900)
    assert [job.job_id for job in scene.claim(*QUEUES[:25], count=5).jobs] == ["runs"]
    assert scene.claim(*QUEUES[:25]).next_due_ms == NOW + 900
    assert scene.queued("q12") == ["waits"]
    assert scene.redis.exists(scene.keys.bell("q12"))


def test_what_the_claim_itself_sets_free_is_seen(scene: Scene) -> None:
    """An expired job is dropped on the way; who waited for it goes into a queue that was empty when the call began."""
    scene.put("gone", "q0", ttl=5)
    scene.put("brave", "q15", depends_on=["gone"], allow_failure=True)
    scene.vanish("gone")
    scene.redis.delete(*(scene.keys.bell(queue) for queue in QUEUES))
    assert [job.job_id for job in scene.claim(*QUEUES[:25], count=2).jobs] == ["brave"]
