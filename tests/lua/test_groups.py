"""group_read, groups_read, group_progress: groups heal as they are read."""

from __future__ import annotations

from tests.lua.scene import Scene, new_job

from atomiq._commands.group import GroupNames, GroupPage, group_progress, group_read, groups_read


def test_members_whose_job_is_gone_disappear(scene: Scene) -> None:
    scene.enqueue(*(new_job(name, group_id="g") for name in "abc"), group="g")
    scene.vanish("b")
    reply, changed = scene.changes(group_read(scene.keys, name="g"))
    assert (sorted(reply.ids), reply.cursor, reply.exists) == (["a", "c"], "0", True)
    assert changed.pop("rq:atomiq:ended:g").value == {"b": "gone", "#gone": "1"}
    assert changed == {"rq:group:g": {"-b"}, "rq:atomiq:open:g": {"-b"}}
    scene.unchanged(group_read(scene.keys, name="g"))


def test_with_the_last_member_the_group_goes(scene: Scene) -> None:
    scene.enqueue(new_job("a", group_id="g"), group="g")
    scene.vanish("a")
    reply, changed = scene.changes(group_read(scene.keys, name="g"))
    assert reply == GroupPage([], "0", False)
    assert changed.pop("rq:atomiq:ended:g").ttl == 86400
    assert changed == {"rq:group:g": None, "rq:groups": None, "rq:atomiq:open:g": None}


def test_no_such_group(scene: Scene) -> None:
    assert scene.unchanged(group_read(scene.keys, name="g")) == GroupPage([], "0", False)


def test_a_large_group_is_read_in_pages(scene: Scene) -> None:
    names = {f"j{number}" for number in range(900)}
    scene.enqueue(*(new_job(name, group_id="g") for name in names), group="g")
    found, cursor, pages = set(), "0", 0
    while True:
        page = scene.run(group_read(scene.keys, name="g", cursor=cursor, limit=100))
        found, cursor, pages = found | set(page.ids), page.cursor, pages + 1
        if cursor == "0":
            break
    assert (found, pages > 1) == (names, True)


def test_names(scene: Scene) -> None:
    scene.enqueue(new_job("a", group_id="g"), group="g")
    scene.enqueue(new_job("b", group_id="h"), group="h")
    scene.redis.delete(scene.keys.group("h"))
    scene.redis.delete(scene.keys.job("b"))
    scene.claim(count=2)
    reply, changed = scene.changes(groups_read(scene.keys))
    assert reply == GroupNames(["g"], "0")
    assert changed == {"rq:groups": {"-h"}}
    scene.unchanged(groups_read(scene.keys))


def test_progress_of_no_group(scene: Scene) -> None:
    told = scene.unchanged(group_progress(scene.keys, name="g"))
    assert (told.total, told.done, told.fraction, told.has_ended, dict(told.by_status)) == (0, 0, 1.0, True, {})


def test_progress(scene: Scene) -> None:
    scene.enqueue(*(new_job(name) for name in "abcd"), new_job("e", due_ms=scene.now + 9000), group="g")
    scene.settle(scene.take())
    scene.settle(scene.take(), "failed")
    scene.take()
    told = scene.unchanged(group_progress(scene.keys, name="g"))
    assert dict(told.by_status) == {"finished": 1, "failed": 1, "started": 1, "queued": 1, "scheduled": 1}
    assert (told.total, told.done, told.open, told.fraction, told.unseen) == (5, 2, 3, 0.4, 0)
    assert not told.has_ended


def test_a_large_group_of_rq_is_counted_in_parts(scene: Scene) -> None:
    for number in range(700):
        scene.put(f"j{number}", group_id="g")
    scene.redis.sadd("rq:group:g", *(f"j{number}" for number in range(700)))
    scene.redis.sadd("rq:groups", "g")
    told = [scene.run(group_progress(scene.keys, name="g", limit=100)) for _ in range(30)]
    assert not told[0].is_whole
    assert told[0].total < 700
    assert told[-1].is_whole
    assert told[-1].total == 700
