"""Reading a list whole while others push, pop and remove."""

from __future__ import annotations

import random
from itertools import count

import pytest

from atomiq._commands.doctor import ListSlice
from atomiq.doctor.lists import OVERLAP, walk


class Changing:
    """A list that changes between two slices, and remembers which ids stood in it all the time."""

    def __init__(self, length: int, seed: int, pushes: int, pops: int, removals: int) -> None:
        self.names = (b"id%d" % number for number in count())
        self.ids = [next(self.names) for _ in range(length)]
        self.always = set(self.ids)
        self.dice = random.Random(seed)
        self.rates = (pushes, pops, removals)

    def read(self, first: int, last: int) -> ListSlice:
        length = len(self.ids)
        start, stop = max(0, length + first), length + last + 1
        found = ListSlice(self.ids[start:stop] if stop > 0 else [], [], length)
        self.change()
        return found

    def change(self) -> None:
        pushes, pops, removals = (self.dice.randint(0, rate) for rate in self.rates)
        self.ids += [next(self.names) for _ in range(pushes)]
        self.ids[:0] = [next(self.names) for _ in range(pushes // 3)]
        gone, self.ids = self.ids[:pops], self.ids[pops:]
        for _ in range(min(removals, len(self.ids))):
            gone.append(self.ids.pop(self.dice.randrange(len(self.ids))))
        self.always -= set(gone)


def read_whole(changing: Changing, size: int = 100) -> tuple[set[bytes], set[bytes]]:
    """Ids seen, and ids said to stand there twice."""
    seen: set[bytes] = set()
    twice: set[bytes] = set()
    for part in walk(changing.read, lambda: size, seen.__contains__):
        for each in part.fresh:
            if part.certain and each in seen:
                twice.add(each)
            seen.add(each)
    return seen, twice


@pytest.mark.parametrize("length", [0, 1, 99, 100, 101, 5000])
def test_a_list_at_rest(length: int) -> None:
    resting = Changing(length, 1, 0, 0, 0)
    assert read_whole(resting) == (resting.always, set())


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("rates", [(20, 0, 0), (0, 20, 0), (30, 30, 0), (60, 90, OVERLAP // 2), (10, 5, OVERLAP)])
def test_what_stands_there_all_the_time_is_seen(seed: int, rates: tuple[int, int, int]) -> None:
    """And nothing is said to be there twice, though pushes bring slices again that were read."""
    changing = Changing(5000, seed, *rates)
    seen, twice = read_whole(changing)
    assert changing.always <= seen
    assert twice == set()


@pytest.mark.parametrize("seed", range(5))
def test_more_is_pushed_than_a_slice_holds(seed: int) -> None:
    changing = Changing(2000, seed, 60, 0, 0)
    seen, twice = read_whole(changing, size=120)
    assert changing.always <= seen
    assert twice == set()


@pytest.mark.parametrize("distance", [1, 50, 99, 100, 101, 3000])
def test_one_that_stands_there_twice(distance: int) -> None:
    resting = Changing(4000, 1, 0, 0, 0)
    resting.ids[500 + distance] = resting.ids[500]
    assert read_whole(resting)[1] == {resting.ids[500]}


def test_odd_ones_are_passed_on_once() -> None:
    ids = [b"%d" % number for number in range(1000)]

    def read(first: int, last: int) -> ListSlice:
        part = ids[first:] if last == -1 else ids[max(0, 1000 + first) : last + 1]
        return ListSlice(part, [index for index, each in enumerate(part) if each.endswith(b"7")], 1000)

    seen: set[bytes] = set()
    odd: list[bytes] = []
    for part in walk(read, lambda: 130, seen.__contains__):
        seen.update(part.fresh)
        odd += part.odd
    assert sorted(odd) == sorted(each for each in ids if each.endswith(b"7"))
