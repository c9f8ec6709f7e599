"""cron_fire, cron_run, cron_sync, cron_pause, cron_beat: each tick is decided once, by the server."""

from __future__ import annotations

from itertools import pairwise

import pytest
from tests.lua.catalogue_of_cron import SCHEDULE, beat, fire, sync
from tests.lua.keyspace import Entry
from tests.lua.scene import ISO, NOW, YEAR, Scene, new_job

from atomiq._commands.cron import EntryState, cron_pause, cron_run, view_cron
from atomiq.cron_scheduler_registry import forget

MINUTE = 60_000
SECONDS = NOW / 1000
ENTRY = "rq:atomiq:cron:nightly"


@pytest.fixture
def entry(scene: Scene) -> Scene:
    """An entry that has been looked after since NOW."""
    scene.run(sync(scene))
    return scene


def test_a_tick_is_a_job_in_its_queue_and_in_the_history(entry: Scene) -> None:
    told, changed = entry.changes(fire(entry))
    assert (told.word, told.now_ms, told.state) == ("ok", NOW, EntryState(last=NOW, since=NOW))
    assert changed == {
        "rq:job:fired": Entry(
            "hash",
            {
                "data": "payload",
                "origin": "q",
                "ttl": "3000",
                "created_at": ISO,
                "cron": "nightly",
                "tick": str(NOW),
                "status": "queued",
                "enqueued_at": ISO,
            },
            3000,
        ),
        "rq:queue:q": Entry("list", ["fired"], None),
        "rq:queues": Entry("set", frozenset({"rq:queue:q"}), None),
        "rq:atomiq:bell:q": Entry("zset", {"1": 0.0}, None),
        "rq:cron_jobs": Entry("zset", {"nightly": SECONDS}, None),
        "rq:cron_job:nightly:jobs": Entry("zset", {"fired": SECONDS}, YEAR),
        ENTRY: {"last": str(NOW), "job": "fired"},
    }


def test_the_same_call_twice_says_the_same_and_changes_nothing(entry: Scene) -> None:
    told = entry.run(fire(entry))
    assert entry.unchanged(fire(entry)) == told


def test_of_two_who_ask_for_a_tick_one_gets_it(entry: Scene) -> None:
    assert entry.run(fire(entry, "mine")).word == "ok"
    told = entry.unchanged(fire(entry, "yours"))
    assert (told.word, told.state.last) == ("already", NOW)
    entry.now += MINUTE
    assert entry.run(fire(entry, "yours", NOW + MINUTE, before=NOW)).word == "ok"


def test_who_has_missed_a_decision_can_skip_no_tick(entry: Scene) -> None:
    entry.run(fire(entry))
    entry.now += 2 * MINUTE
    entry.run(fire(entry, "second", NOW + MINUTE, before=NOW))
    assert entry.unchanged(fire(entry, "third", NOW + 2 * MINUTE, before=NOW)).word == "already"


def test_not_before_its_time_by_the_servers_clock(entry: Scene) -> None:
    assert entry.unchanged(fire(entry, tick=NOW + 1)).word == "early"
    assert entry.unchanged(fire(entry, tick=NOW, due_ms=NOW + 500)).word == "early"


def test_an_entry_that_nobody_knows(scene: Scene) -> None:
    assert scene.unchanged(fire(scene)).word == "gone"
    assert scene.unchanged(cron_pause(scene.keys, name="nightly")) == "gone"


def test_with_the_schedule_of_yesterday(entry: Scene) -> None:
    assert entry.unchanged(fire(entry, schedule='{"interval": 3600}')).word == "changed"


def test_paused_and_resumed(entry: Scene) -> None:
    reply, changed = entry.changes(cron_pause(entry.keys, name="nightly"))
    assert (reply, changed) == ("ok", {ENTRY: {"paused": "1"}})
    assert entry.unchanged(cron_pause(entry.keys, name="nightly")) == "already"
    assert entry.unchanged(fire(entry)).word == "paused"
    entry.now += MINUTE
    reply, changed = entry.changes(cron_pause(entry.keys, name="nightly", paused=False))
    assert (reply, changed) == ("ok", {ENTRY: {"paused": None, "since": str(NOW + MINUTE)}})
    assert entry.unchanged(cron_pause(entry.keys, name="nightly", paused=False)) == "already"
    told = entry.unchanged(fire(entry))
    assert (told.word, told.state.since) == ("already", NOW + MINUTE)
    assert entry.run(fire(entry, tick=NOW + MINUTE)).word == "ok"


def test_overlap_skip(entry: Scene) -> None:
    entry.run(fire(entry, "first", overlap="skip"))
    entry.now += MINUTE
    told, changed = entry.changes(fire(entry, "second", NOW + MINUTE, before=NOW, overlap="skip"))
    assert (told.word, changed) == ("skipped", {ENTRY: {"last": str(NOW + MINUTE)}})
    entry.settle(entry.take())
    entry.now += MINUTE
    assert entry.run(fire(entry, "third", NOW + 2 * MINUTE, before=NOW + MINUTE, overlap="skip")).word == "ok"


@pytest.mark.parametrize("end", ["finished", "failed", "vanished"])
def test_overlap_queue_one(entry: Scene, end: str) -> None:
    """The tick waits in the entry, the next one takes its place, and goes when the job before it has ended."""
    ticks = [NOW + number * MINUTE for number in range(3)]
    entry.run(fire(entry, "first", overlap="queue_one"))
    job = entry.take()
    for before, tick in pairwise(ticks):
        entry.now = tick
        told, changed = entry.changes(fire(entry, f"at-{tick}", tick, before=before, overlap="queue_one"))
        assert (told.word, told.state.waiting) == ("held", tick)
        assert changed == {ENTRY: {"last": str(tick), "waiting": str(tick)}}
    asking = fire(entry, "asked", ticks[2], before=ticks[2], overlap="queue_one")
    assert entry.unchanged(asking).word == "held"
    entry.settle(job, "failed" if end == "failed" else "finished", **({"result_ttl": 0} if end == "vanished" else {}))
    told, changed = entry.changes(asking)
    assert (told.word, told.state.waiting) == ("ok", None)
    assert changed[ENTRY] == {"job": "asked", "waiting": None}
    assert changed["rq:job:asked"].value["tick"] == str(ticks[2])
    assert entry.unchanged(asking).word == "ok"


def test_a_tick_that_waits_goes_before_the_next_one(entry: Scene) -> None:
    entry.run(fire(entry, "first", overlap="queue_one"))
    entry.now += MINUTE
    entry.run(fire(entry, "second", NOW + MINUTE, before=NOW, overlap="queue_one"))
    entry.settle(entry.take())
    entry.now += MINUTE
    told, changed = entry.changes(fire(entry, "third", NOW + 2 * MINUTE, before=NOW + MINUTE, overlap="queue_one"))
    assert (told.word, told.state.waiting) == ("ok", NOW + 2 * MINUTE)
    assert changed["rq:job:third"].value["tick"] == str(NOW + MINUTE)


def test_the_history_has_a_thousand_jobs(entry: Scene) -> None:
    entry.redis.zadd("rq:cron_job:nightly:jobs", {f"old{number:04}": number for number in range(1500)})
    entry.run(fire(entry))
    ids = [member.decode() for member in entry.redis.zrange("rq:cron_job:nightly:jobs", 0, -1)]
    assert (len(ids), ids[0], ids[-1]) == (1000, "old0501", "fired")


def test_run_by_hand_decides_no_tick(entry: Scene) -> None:
    command = cron_run(entry.keys, name="nightly", job=new_job("by-hand"))
    at, changed = entry.changes(command)
    assert (at, changed[ENTRY]) == (NOW, {"job": "by-hand"})
    assert changed["rq:cron_job:nightly:jobs"].value == {"by-hand": SECONDS}
    entry.unchanged(command)
    assert entry.run(fire(entry)).word == "ok"


@pytest.mark.parametrize(("overlap", "word"), [("skip", "skipped"), ("queue_one", "held")])
def test_run_by_hand_hides_no_tick_from_the_overlap_policy(entry: Scene, overlap: str, word: str) -> None:
    """The job of a tick runs and runs; somebody runs the entry by hand meanwhile, twice, and these have ended. The next
    tick began a second job beside the first, which overlap is there to prevent."""
    entry.run(fire(entry, "first", overlap=overlap))
    first = entry.take()
    for name in ("by-hand", "once-more"):
        entry.run(cron_run(entry.keys, name="nightly", job=new_job(name)))
    for _ in range(2):
        entry.settle(entry.take())
    entry.now += MINUTE
    assert entry.run(fire(entry, "second", NOW + MINUTE, before=NOW, overlap=overlap)).word == word
    entry.settle(first)
    entry.now += MINUTE
    assert entry.run(fire(entry, "third", NOW + 2 * MINUTE, before=NOW + MINUTE, overlap=overlap)).word == "ok"


def test_run_by_hand_of_an_entry_that_nobody_looks_after(scene: Scene) -> None:
    _, changed = scene.changes(cron_run(scene.keys, name="nightly", job=new_job("by-hand")))
    assert "rq:job:by-hand" in changed
    assert ENTRY not in changed


def test_first_look(scene: Scene) -> None:
    told, changed = scene.changes(sync(scene))
    assert (told.word, told.state) == ("ok", EntryState(since=NOW))
    fields = {"schedule": SCHEDULE, "since": str(NOW), "definition": "{}", "by": "S"}
    assert changed == {
        ENTRY: Entry("hash", fields, YEAR),
        "rq:atomiq:cron_entries": Entry("zset", {"nightly": SECONDS}, None),
    }


def test_a_restart_loses_nothing(entry: Scene) -> None:
    entry.run(fire(entry))
    entry.now += MINUTE
    told, changed = entry.changes(sync(entry, scheduler="T"))
    assert (told.word, told.state) == ("ok", EntryState(last=NOW, since=NOW))
    assert changed == {ENTRY: {"by": "T"}, "rq:atomiq:cron_entries": {"nightly": SECONDS + 60}}


def test_a_changed_schedule_keeps_the_last_tick(entry: Scene) -> None:
    entry.run(fire(entry))
    entry.now += MINUTE
    told = entry.run(sync(entry, '{"interval": 5}', "T"))
    assert (told.word, told.state) == ("ok", EntryState(last=NOW, since=NOW + MINUTE))


def test_while_who_changed_it_is_alive_the_others_keep_off(entry: Scene) -> None:
    entry.run(beat(entry, "T"))
    entry.run(sync(entry, '{"interval": 5}', "T"))
    assert entry.unchanged(sync(entry, takes=False)).word == "changed"
    entry.now += 2 * MINUTE
    assert entry.run(sync(entry, takes=False)).word == "ok"
    assert entry.run(fire(entry, tick=entry.now)).word == "ok"


def test_the_others_keep_off_while_anybody_has_the_new_schedule(entry: Scene) -> None:
    """Two new processes beside an old one: when the one that had looked last ended, the old one took the entry back,
    and the new one that was still there left it to that."""
    for name in ("T", "U"):
        entry.run(beat(entry, name))
        entry.run(sync(entry, '{"interval": 5}', name))
    entry.run(forget(entry.keys, "U"))
    entry.now += MINUTE
    assert entry.unchanged(sync(entry, takes=False)).word == "changed"
    assert entry.run(sync(entry, '{"interval": 5}', "T", takes=False)).word == "ok"


def test_another_definition_of_a_living_scheduler_is_told(entry: Scene) -> None:
    entry.run(beat(entry))
    assert entry.run(sync(entry, scheduler="T")).other == b""
    entry.run(beat(entry, "T"))
    assert entry.run(sync(entry, definition=b"[]")).other == b"{}"
    assert entry.run(sync(entry, definition=b"{}")).other == b""  # its own
    entry.run(sync(entry, scheduler="T"))
    entry.now += 2 * MINUTE
    assert entry.run(sync(entry, definition=b"[]")).other == b""


def test_a_scheduler_is_listed_by_its_beat(scene: Scene) -> None:
    _, changed = scene.changes(beat(scene))
    hash_ = Entry("hash", {"name": "S"}, 120)
    assert changed == {
        "rq:cron_schedulers": Entry("zset", {"S": SECONDS}, None),
        "rq:cron_scheduler:S": hash_,
    }
    _, changed = scene.changes(beat(scene, "T", beats=False))
    assert changed == {"rq:cron_scheduler:T": Entry("hash", {"name": "T"}, 120)}


def test_view(entry: Scene) -> None:
    entry.run(fire(entry))
    found = entry.unchanged(view_cron(entry.keys))
    (one,) = found.entries
    assert (found.now_ms, one.name, one.seen, one.job_id) == (NOW, "nightly", SECONDS, "fired")
    assert (one.state, one.schedule, one.definition) == (EntryState(last=NOW, since=NOW), SCHEDULE, b"{}")
