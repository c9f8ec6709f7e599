"""The bytes that warm children send most come from a template: they must be those of the command, whatever it says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from atomiq._commands.claim import NO_TALLY, Tally
from atomiq._commands.settle import Settlement, settle_and_claim
from atomiq._commands.settle_template import LARGEST, MOST_ORDERS, SettleTemplate
from atomiq._core.keys import Keys
from atomiq._wire.packed import packed

EXECUTION = "0123456789abcdef000000000000000"
NUMBERS = [EXECUTION + "2"]
ENDED = Settlement("a-job", "default", EXECUTION + "1", "w1", "finished", started_ms=1_795_225_028_574)
ENDED.ended_ms = ENDED.started_ms + 1


def made(
    template: SettleTemplate, end: Settlement, queues: tuple[str, ...], numbers: list[str], told: Tally | None
) -> Any:
    return template.settle_and_claim(end, queues, numbers, told is not None, told or NO_TALLY)


def check(keys: Keys, end: Settlement, queues: tuple[str, ...], numbers: list[str], told: Tally | None) -> Any:
    """Twice, as the second time the constant parts are there. Gives the command."""
    template = SettleTemplate(keys, "w1", 30_000)
    expected = settle_and_claim(
        keys,
        settlement=end,
        queues=queues,
        worker="w1",
        executions=numbers,
        lease_ms=30_000,
        full=told is not None,
        tally=told or NO_TALLY,
    )
    for command in (made(template, end, queues, numbers, told), made(template, end, queues, numbers, told)):
        assert packed(command) == packed(expected)
        assert packed(command, whole=True) == packed(expected, whole=True)
        assert command.decode == expected.decode
        assert command.script == expected.script
    return command


@pytest.mark.parametrize(
    "end",
    [
        ENDED,
        replace(ENDED, result=b""),
        replace(ENDED, result=b"\x80\x05K\x01."),
        replace(ENDED, result=b"x" * LARGEST),
        replace(ENDED, result_ttl=-1),
        replace(ENDED, result_ttl=0),
        replace(ENDED, started_ms=0, ended_ms=0),
        replace(ENDED, queue="another", job_id="with blanks\r\n$3\r\nand lines"),
    ],
)
@pytest.mark.parametrize("told", [None, NO_TALLY, Tally(1, 2, 3000)])
def test_the_bytes_are_those_of_the_command(end: Settlement, told: Tally | None) -> None:
    assert check(Keys(), end, ("default",), NUMBERS, told).ready is not None


def test_many_queues_and_many_jobs_at_a_time() -> None:
    check(Keys("other:"), ENDED, ("high", "default", "low"), [EXECUTION + digit for digit in "23456789ab"], None)


@pytest.mark.parametrize(
    ("end", "queues"),
    [
        (replace(ENDED, job_id="j\u00f6b"), ("default",)),
        (replace(ENDED, job_id="no-utf-8-\udcff"), ("default",)),
        (replace(ENDED, queue="K\u00fcche"), ("default",)),
        (ENDED, ("K\u00fcche", "default")),
        (replace(ENDED, result=b"x" * (LARGEST + 1)), ("default",)),
        (replace(ENDED, outcome="failed", exc_string="Traceback"), ("default",)),
        (replace(ENDED, outcome="waiting", result=b"{}", retry=1000), ("default",)),
    ],
)
def test_what_does_not_fit_is_made_as_ever(end: Settlement, queues: tuple[str, ...]) -> None:
    assert check(Keys(), end, queues, NUMBERS, None).ready is None


def test_a_worker_whose_name_is_no_ascii() -> None:
    template = SettleTemplate(Keys(), "w\u00f6rker", 30_000)
    assert made(template, replace(ENDED, worker="w\u00f6rker"), ("default",), NUMBERS, None).ready is None


def test_the_settlement_of_another_worker_is_refused() -> None:
    with pytest.raises(ValueError, match="its own executions only"):
        made(SettleTemplate(Keys(), "w2", 30_000), ENDED, ("default",), NUMBERS, None)


def test_orders_of_the_queues_are_not_kept_for_ever() -> None:
    template = SettleTemplate(Keys(), "w1", 30_000)
    for number in range(3 * MOST_ORDERS):
        made(template, ENDED, ("default", str(number)), NUMBERS, None)
        assert len(template._after) <= MOST_ORDERS
