"""Two processes without a queue: the ideal that naps are compared with."""

from __future__ import annotations

from bench.contenders import PAIR, Launch, Mode, Peer


def worker(launch: Launch) -> list[str]:
    """A loop."""
    return [launch.script("python"), "bare.py"]


MODES = (Mode("2 processes", "the same function called in a loop", worker, 3_000, frozenset({PAIR})),)
PEER = Peer("no queue", [], "", MODES, "")
