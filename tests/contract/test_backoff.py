"""Back-off strategies, and a Retry that has one: what is computed, stored, and told to RQ."""

from __future__ import annotations

import json
import pickle
import random
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from tests.contract.both import Api, ask, both
from tests.contract.driving import claimed
from tests.contract.jobs import add

from atomiq import Job, Queue, Retry
from atomiq._commands.settle import Settlement, settle
from atomiq._core.backoff import LONGEST, MOST_DELAYS, whole_seconds
from atomiq._wire.sync import Store
from atomiq.backoff import Backoff, Constant, Exponential, Fibonacci, Linear
from atomiq.decorators import job as decorator
from atomiq.exceptions import InvalidArguments, InvalidOption


class Trouble(Exception):
    """A producer's own."""


STRATEGIES: list[tuple[Backoff, list[int]]] = [
    (Constant(0.25), [250, 250, 250, 250, 250, 250]),
    (Constant(0), [0] * 6),
    (Linear(2), [2000, 4000, 6000, 8000, 10_000, 12_000]),
    (Linear(2, step=0.5), [2000, 2500, 3000, 3500, 4000, 4500]),
    (Exponential(1), [1000, 2000, 4000, 8000, 16_000, 32_000]),
    (Exponential(1, factor=3, max=20), [1000, 3000, 9000, 20_000, 20_000, 20_000]),
    (Exponential(0), [0] * 6),
    (Fibonacci(0.5), [500, 500, 1000, 1500, 2500, 4000]),
    (Fibonacci(1, max=2.5), [1000, 1000, 2000, 2500, 2500, 2500]),
]


@pytest.mark.parametrize(("backoff", "delays"), STRATEGIES, ids=[repr(each) for each, _ in STRATEGIES])
def test_what_a_strategy_says(backoff: Backoff, delays: list[int]) -> None:
    assert backoff.delays_ms(6) == delays
    assert [round(backoff.delay(count) * 1000) for count in range(6)] == delays
    assert pickle.loads(pickle.dumps(backoff)) == backoff
    assert type(backoff).__module__ == "atomiq.backoff"


@pytest.mark.parametrize("backoff", [each for each, _ in STRATEGIES], ids=repr)
def test_the_last_delay_that_can_be_asked_for(backoff: Backoff) -> None:
    """Numbers that no clock can count come to a thousand years."""
    assert 0 <= backoff.delay(MOST_DELAYS) <= LONGEST
    assert len(backoff.delays_ms(MOST_DELAYS)) == MOST_DELAYS
    with pytest.raises(InvalidOption, match="at most 1000"):
        backoff.delays_ms(MOST_DELAYS + 1)


def test_jitter_of_a_known_source() -> None:
    backoff = Exponential(1, max=60, jitter=True)
    source = random.Random(7)
    expected = [round(1000 * 2**count * (1 - source.random() / 2)) for count in range(6)]
    assert backoff.delays_ms(6, random.Random(7)) == expected
    assert backoff.delays_ms(6, random.Random(7)) == backoff.delays_ms(6, random.Random(7))
    assert backoff.delays_ms(6, random.Random(8)) != backoff.delays_ms(6, random.Random(7))


@given(part=st.floats(0, 1), seed=st.integers(0, 1000), first=st.floats(0, 100))
def test_jitter_only_shortens_and_by_no_more_than_its_part(part: float, seed: int, first: float) -> None:
    plain, shaken = Linear(first), Linear(first, jitter=part)
    for whole, delay in zip(plain.delays_ms(9), shaken.delays_ms(9, random.Random(seed)), strict=True):
        assert whole * (1 - part) - 1 <= delay <= whole + 1


def test_jitter_is_spread_over_all_of_its_part() -> None:
    delays = [Constant(10, jitter=0.8).delay_ms(0, source) for source in [random.Random(1)] for _ in range(2000)]
    assert min(delays) < 2100
    assert max(delays) > 9900
    assert 5800 < sum(delays) / len(delays) < 6200


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: Constant(-1), InvalidOption),
        (lambda: Constant("1"), InvalidArguments),
        (lambda: Constant(True), InvalidArguments),
        (lambda: Constant(float("nan")), InvalidOption),
        (lambda: Constant(float("inf")), InvalidOption),
        (lambda: Linear(1, step=-1), InvalidOption),
        (lambda: Exponential(1, factor=0.5), InvalidOption),
        (lambda: Exponential(1, factor=float("inf")), InvalidOption),
        (lambda: Exponential(1, factor="2"), InvalidArguments),
        (lambda: Fibonacci(1, max=-1), InvalidOption),
        (lambda: Fibonacci(1, jitter=1.5), InvalidOption),
        (lambda: Fibonacci(1, jitter="much"), InvalidArguments),
        (lambda: Retry(3, backoff="fast"), InvalidOption),
        (lambda: Retry(3, backoff=True), InvalidOption),
        (lambda: Retry(3, backoff=-1), InvalidOption),
        (lambda: Retry(3, interval=5, backoff=Constant(1)), InvalidOption),
        (lambda: Retry(MOST_DELAYS + 1, backoff=Constant(1)), InvalidOption),
        (lambda: Retry(3, on=5), InvalidOption),
        (lambda: Retry(3, on=int), InvalidOption),
        (lambda: Retry(3, on=ValueError("an object")), InvalidOption),
        (lambda: Retry(3, on="no.such.Error"), InvalidOption),
        (lambda: Retry(3, unless=(ValueError, "tests.contract.jobs.add")), InvalidOption),
        (lambda: Retry(3, on=type("Local", (Exception,), {"__qualname__": "f.<locals>.Local"})), InvalidOption),
        (lambda: Retry(3, on=type("Own", (Exception,), {"__module__": "__main__"})), InvalidOption),
    ],
)
def test_bad_input(make: Any, error: type[Exception]) -> None:
    with pytest.raises(error) as raised:
        make()
    assert isinstance(raised.value, ValueError)


# -- a Retry with a back-off -------------------------------------------------------------------------------------------


def test_rqs_arguments_are_what_they_were() -> None:
    retry = Retry(3, [1, 2], True)
    assert (retry.max, retry.intervals, retry.enqueue_at_front) == (3, [1, 2], True)
    assert (retry.backoff, retry.on, retry.unless, retry.delays_ms()) == (None, (), (), None)
    assert repr(retry) == "Retry(max=3, interval=[1, 2], enqueue_at_front=True)"
    assert [retry.delay_ms(count) for count in range(4)] == [1000, 2000, 2000, 2000]


def test_one_with_all_of_it() -> None:
    retry = Retry(
        max=5, backoff=Exponential(1, factor=2, max=6, jitter=True), on=(ConnectionError,), unless="builtins.ValueError"
    )
    assert retry.intervals == [1, 2, 4, 6, 6]
    assert (retry.on, retry.unless) == (("builtins.ConnectionError",), ("builtins.ValueError",))
    assert pickle.loads(pickle.dumps(retry)) == retry != Retry(5)
    assert "Exponential(" in repr(retry)
    assert "ConnectionError" in repr(retry)


def test_seconds_are_a_constant_backoff() -> None:
    assert Retry(2, backoff=1.5).backoff == Constant(1.5)


def test_an_exception_by_a_name_that_is_not_its_own() -> None:
    """It is stored under its own: that is what a worker compares."""
    assert Retry(1, on="socket.timeout").on == ("builtins.TimeoutError",)


def test_rq_is_told_whole_seconds_rounded_up() -> None:
    assert whole_seconds([0, 1, 999, 1000, 1001, 2500]) == [0, 1, 1, 1, 2, 3]


@both
async def test_what_is_stored(api: Api) -> None:
    """RQ's fields, by which its workers go, and ours: a list of the very delays of this job."""
    retry = Retry(4, backoff=Fibonacci(0.5, jitter=True), on=Trouble, unless=[KeyError])
    job = await ask(api.queue().enqueue, add, 1, retry=retry)
    stored = api.redis.hgetall(job.key)
    delays = json.loads(stored[b"retry_ms"])
    assert len(delays) == 4
    assert json.loads(stored[b"retry_intervals"]) == whole_seconds(delays)
    assert stored[b"retries_left"] == b"4"
    assert json.loads(stored[b"retry_on"]) == ["tests.contract.test_backoff.Trouble"]
    assert json.loads(stored[b"retry_unless"]) == ["builtins.KeyError"]


def test_each_job_has_a_jitter_of_its_own(redis_connection: redis.Redis) -> None:
    queue, retry = Queue(connection=redis_connection), Retry(3, backoff=Constant(60, jitter=True))
    data = [Queue.prepare_data(add, (1,), retry=retry) for _ in range(20)]
    made = [*queue.enqueue_many(data), queue.enqueue(add, 1, retry=retry), queue.create_job(add, (1,), retry=retry)]
    assert len({tuple(job.retry_ms or ()) for job in made}) == len(made)
    assert all(30_000 <= delay <= 60_000 for job in made for delay in job.retry_ms or ())


def test_a_retry_without_leaves_no_trace(redis_connection: redis.Redis) -> None:
    job = Queue(connection=redis_connection).enqueue(add, 1, retry=Retry(2, interval=7))
    fields = redis_connection.hgetall(job.key)
    assert not {b"retry_ms", b"retry_on", b"retry_unless", b"requires", b"waits"} & fields.keys()
    assert fields[b"retry_intervals"] == b"[7]"


def test_the_decorator_carries_it(redis_connection: redis.Redis) -> None:
    made = decorator("default", redis_connection, retry=Retry(3, backoff=Linear(0.1), on=OSError))(add).delay(1)
    assert (made.retry_ms, made.retry_on) == ([100, 200, 300], ["builtins.OSError"])
    assert Job.fetch(made.id, redis_connection).retry_intervals == [1, 1, 1]


def test_the_server_keeps_to_the_milliseconds(redis_connection: redis.Redis, store: Store) -> None:
    """Each failure is followed by the delay that is next, exact to the millisecond; then there are none left."""
    queue = Queue(connection=redis_connection)
    job = queue.enqueue(add, 1, retry=Retry(3, backoff=Fibonacci(0.75)))
    delays = []
    for _ in range(3):
        taken = claimed(store, queue.name)
        now_ms = 1_900_000_000_000
        end = Settlement(taken.job_id, taken.queue, taken.execution_id, "w", "failed", exc_string="x")
        assert store.run(settle(store.keys, settlement=end, now_ms=now_ms)).status == "scheduled"
        delays.append(round(redis_connection.zscore("rq:scheduled:default", job.id) * 1000) - now_ms)
        _at_once(redis_connection, job)
    assert delays == [750, 750, 1500]


def _at_once(connection: redis.Redis, job: Job) -> None:
    """Its time has come."""
    connection.zadd("rq:scheduled:default", {job.id: 1})
