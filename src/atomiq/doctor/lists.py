"""Reading the lists of queues whole while others push and pop.

A list is read from its tail to its head, by indexes from the tail: a pop at the head moves nothing then, and a push at
the tail only brings what was read already once more. Each slice begins within the one before, whose last ids (the
anchors) tell where that ended. So an id that stands in the list all the time is seen, and an id that is seen twice
stands there twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from atomiq._commands.doctor import ListSlice

OVERLAP: Final = 64
"""Entries that a slice shares with the one before; so many may be removed from behind the anchor meanwhile."""
STEP_BACK: Final = 2_000
"""Entries that are read anew when more than that were removed."""
MOST_STEPS: Final = 20
ANCHORS: Final = 16


class Read(NamedTuple):
    """Ids not read before, and odd ones; `certain`: a fresh id that was read before stands there twice."""

    fresh: list[bytes]
    odd: list[bytes]
    certain: bool


def walk(
    read: Callable[[int, int], ListSlice], size: Callable[[], int], known: Callable[[bytes], bool]
) -> Iterator[Read]:
    """The whole of a list, in slices of `size()`. `known`: whether an id was read before."""
    behind, steps = 0, 0
    anchors: list[bytes] = []
    while True:
        first = -(behind + size())
        part = read(first, min(-1, OVERLAP - behind))
        if not part.ids:
            return
        end = _end_of_fresh(part.ids, anchors) if anchors or steps else len(part.ids)
        fresh = part.ids[:end]
        if end is None or steps:
            fresh = [each for each in fresh if not known(each)]
        yield Read(
            fresh, [part.ids[index] for index in part.odd if end is None or index < end], not steps and end is not None
        )
        if end is None and fresh and anchors and steps < MOST_STEPS:
            # More was removed than slices share: some ids were passed over.
            behind, anchors, steps = max(0, behind - STEP_BACK), [], steps + 1
            continue
        behind = min(-first, part.length)
        if end is not None or fresh or not anchors:
            anchors = part.ids[:ANCHORS]  # else more was pushed than a slice holds: go on until they come
        if behind >= part.length:
            return


def _end_of_fresh(ids: list[bytes], anchors: list[bytes]) -> int | None:
    """How many ids stand before the first of the anchors that is still there; None if none is."""
    for number, anchor in enumerate(anchors):
        places = [index for index, each in enumerate(ids) if each == anchor]
        if places:
            others = set(anchors[number + 1 :])
            return max(places, key=lambda index: (len(others.intersection(ids[index + 1 : index + ANCHORS])), index))
    return None


def repeated(fresh: list[bytes], seen: set[bytes]) -> Iterator[bytes]:
    """Ids that stand twice, in this slice or in it and before."""
    here: set[bytes] = set()
    for each in fresh:
        if each in seen or each in here:
            yield each
        here.add(each)
