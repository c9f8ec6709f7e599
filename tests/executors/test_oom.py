"""The OOM killer's counter, in control groups that a test has made up."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from atomiq.executors.black_box import BlackBox
from atomiq.executors.oom import OomWatch, find_counter

V2_MOUNT = "41 31 0:38 {root} {point} rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate"
V1_MOUNT = "35 31 0:32 {root} {point} rw,relatime - cgroup cgroup rw,memory"
OTHERS = [
    "22 27 0:21 / /proc rw,relatime - proc proc rw",
    "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu",
]


class Machine:
    """A made-up root folder with one control group."""

    def __init__(self, root: Path, groups: list[str], mounts: list[str], counter: str) -> None:
        self.root = root
        self.counter = root / counter
        (root / "proc/self").mkdir(parents=True)
        (root / "proc/self/cgroup").write_text("\n".join(groups) + "\n")
        (root / "proc/self/mountinfo").write_text("\n".join([*OTHERS, *mounts]) + "\n")
        self.counter.parent.mkdir(parents=True)
        self.kills(0)

    def kills(self, number: int) -> None:
        if self.counter.name == "memory.events":
            text = f"low 0\nhigh 0\nmax 812\noom 7\noom_kill {number}\noom_group_kill 3\n"
        else:
            text = f"oom_kill_disable 0\nunder_oom 0\noom_kill {number}\n"
        self.counter.write_text(text)


def v1(root: str, point: str) -> str:
    return V1_MOUNT.format(root=root, point=point)


def v2(root: str, point: str) -> str:
    return V2_MOUNT.format(root=root, point=point)


MACHINES = {
    "version 2, a service": (["0::/app.slice/w.service"], [v2("/", "/cg")], "cg/app.slice/w.service/memory.events"),
    "version 2, a container": (["0::/"], [v2("/", "/sys/fs/cgroup")], "sys/fs/cgroup/memory.events"),
    "version 1, a service": (
        ["9:name=systemd:/", "4:cpu,memory:/jobs/w", "0::/"],
        [v2("/", "/sys/fs/cgroup/unified"), v1("/", "/sys/fs/cgroup/memory")],
        "sys/fs/cgroup/memory/jobs/w/memory.oom_control",
    ),
    "version 1, a container that sees its group's name": (
        ["4:memory:/docker/3f2a", "0::/docker/3f2a"],
        [v1("/docker/3f2a", "/sys/fs/cgroup/memory")],
        "sys/fs/cgroup/memory/memory.oom_control",
    ),
    "version 1, a container that sees a part of it": (
        ["4:memory:/docker/3f2a/inner"],
        [v1("/docker/3f2a", "/sys/fs/cgroup/memory")],
        "sys/fs/cgroup/memory/inner/memory.oom_control",
    ),
    "version 1, a container whose group is /": (
        ["4:memory:/"],
        [v1("/../..", "/sys/fs/cgroup/memory")],
        "sys/fs/cgroup/memory/memory.oom_control",
    ),
    "both, the memory with version 2": (
        ["9:name=systemd:/w", "4:memory:/w", "0::/w"],
        [v2("/", "/sys/fs/cgroup")],
        "sys/fs/cgroup/w/memory.events",
    ),
    "a mount point with a space": (["0::/w"], [v2("/", r"/c\040g")], "c g/w/memory.events"),
}


@pytest.mark.parametrize("machine", MACHINES)
def test_the_counter_is_found_and_read(tmp_path: Path, machine: str) -> None:
    made_up = Machine(tmp_path, *MACHINES[machine])
    made_up.kills(5)
    watch = OomWatch(tmp_path)
    assert find_counter(tmp_path) == made_up.counter
    assert watch.struck() is False
    made_up.kills(6)
    assert watch.struck() is True


@pytest.mark.parametrize(
    ("groups", "mounts"),
    [
        (["0::/elsewhere"], [v2("/", "/cg")]),
        (["0::/../outside"], [v2("/", "/cg")]),
        (["0::/other"], [v2("/docker/3f2a", "/cg")]),
        (["0::/"], []),
        (["nonsense"], ["nonsense", "- cgroup2"]),
    ],
)
def test_a_counter_of_other_processes_is_no_answer(tmp_path: Path, groups: list[str], mounts: list[str]) -> None:
    Machine(tmp_path, groups, mounts, "cg/memory.events")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/memory.events").write_text("oom_kill 1\n")
    assert find_counter(tmp_path) is None
    assert OomWatch(tmp_path).struck() is None


def test_no_proc_at_all(tmp_path: Path) -> None:
    assert OomWatch(tmp_path).struck() is None


def test_kernels_that_dont_count(tmp_path: Path) -> None:
    machine = Machine(tmp_path, *MACHINES["version 1, a service"])
    machine.counter.write_text("oom_kill_disable 0\nunder_oom 0\n")
    assert OomWatch(tmp_path).struck() is None


def test_a_group_that_goes_away(tmp_path: Path) -> None:
    machine = Machine(tmp_path, *MACHINES["version 2, a service"])
    watch = OomWatch(tmp_path)
    machine.counter.unlink()
    assert watch.struck() is None


def test_one_kill_explains_one_death(tmp_path: Path) -> None:
    """Several children in one group; the one that an administrator kills later wasn't out of memory."""
    machine = Machine(tmp_path, *MACHINES["version 2, a container"])
    first, second, third = (OomWatch(tmp_path) for _ in range(3))
    machine.kills(1)
    assert (first.struck(), second.struck()) == (True, False)
    machine.kills(3)
    assert (second.struck(), third.struck(), first.struck()) == (True, True, False)


def test_a_box_tells_what_happened_since_it_was_cleared(tmp_path: Path) -> None:
    machine = Machine(tmp_path, *MACHINES["version 2, a service"])
    machine.kills(2)
    box = BlackBox(root=tmp_path)
    assert box.last_words().oom_kill is False
    machine.kills(3)
    assert box.last_words().oom_kill is False, "asked once for each child"
    box.clear()
    assert box.last_words().oom_kill is False, "the kill was before this child"
    box.clear()
    machine.kills(4)
    assert box.last_words().oom_kill is True
    assert box.last_words().oom_kill is True
    box.close()


@pytest.mark.skipif(sys.platform != "linux", reason="control groups are Linux's")
def test_this_machine_answers_or_says_that_it_cant() -> None:
    counter = find_counter()
    assert OomWatch().struck() is (None if counter is None else False)
    if counter is not None:
        assert os.access(counter, os.R_OK)
