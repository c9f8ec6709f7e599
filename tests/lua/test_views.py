"""Views change nothing, and show one instant."""

from __future__ import annotations

from tests.lua.scene import Scene, new_job

from atomiq._commands import views


def test_jobs(scene: Scene) -> None:
    scene.enqueue(new_job("a"), new_job("b"))
    one, none, other = scene.unchanged(views.view_jobs(scene.keys, job_ids=["a", "nobody", "b"]))
    assert none is None
    assert one is not None
    assert other is not None
    assert (one[b"status"], other[b"data"]) == (b"queued", b"payload")
    assert scene.unchanged(views.view_job(scene.keys, job_id="a")) == one
    assert scene.unchanged(views.view_job(scene.keys, job_id="nobody")) is None


def test_executions(scene: Scene) -> None:
    scene.started("a")
    (execution,) = scene.unchanged(views.view_executions(scene.keys, job_id="a"))
    assert (execution[b"id"], execution[b"worker_name"]) == (b"e1", b"w")
    assert scene.unchanged(views.view_execution(scene.keys, job_id="a", execution_id="e1")) == execution
    scene.redis.delete(scene.keys.execution("a", "e1"))
    assert scene.unchanged(views.view_executions(scene.keys, job_id="a")) == []
    scene.redis.flushdb()


def test_results(scene: Scene) -> None:
    scene.settle(scene.started("a", retries_left=1), "retried", retry=0, result=b"1")
    scene.settle(scene.take(), result=b"2")
    newest, oldest = scene.unchanged(views.view_results(scene.keys, job_id="a"))
    assert (newest[1][b"type"], oldest[1][b"type"]) == (b"1", b"4")
    assert scene.unchanged(views.view_results(scene.keys, job_id="a", count=1)) == [newest]
    assert scene.unchanged(views.view_result_count(scene.keys, job_id="a")) == 2


def test_small_ones(scene: Scene) -> None:
    keys = scene.keys
    scene.enqueue(new_job("a"), new_job("b", ttl=50), new_job("child", depends_on=["a", "b"]))
    read = scene.unchanged
    assert read(views.view_status(keys, job_id="a")) == "queued"
    assert read(views.view_status(keys, job_id="nobody")) is None
    assert read(views.view_position(keys, queue="q", job_id="b")) == 1
    assert read(views.view_position(keys, queue="q", job_id="nobody")) is None
    assert read(views.view_list(keys, queue="q")) == ["a", "b"]
    assert read(views.view_length(keys, queue="q")) == 2
    assert read(views.view_dependencies(keys, job_id="child")) == ["a", "b"]
    assert read(views.view_dependents(keys, job_id="a")) == ["child"]
    assert read(views.view_registry(key=keys.deferred("q"))) == ["child"]
    assert read(views.view_registry_size(key=keys.deferred("q"))) == 1
    assert read(views.view_queue_names(keys)) == ["q"]
    assert read(views.view_exists(keys, job_id="a"))
    assert not read(views.view_suspended(keys))
