"""group_read, groups_read: groups heal as they are read."""

from __future__ import annotations

from tests.lua.scene import Scene, new_job

from atomiq._commands.group import GroupNames, GroupPage, group_read, groups_read


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
