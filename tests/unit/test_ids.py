"""Ids and names."""

from __future__ import annotations

import re
import uuid

import pytest

from atomiq._core.errors import InvalidName
from atomiq._core.ids import (
    new_call_token,
    new_execution_id,
    new_job_id,
    parse_job_id,
    validate_group_name,
    validate_job_id,
    validate_queue_name,
    validate_worker_name,
)


@pytest.mark.parametrize("good", ["a", "A-1_b", "0", "x" * 300])
def test_job_ids_that_are_fine(good: str) -> None:
    validate_job_id(good)


@pytest.mark.parametrize("bad", ["", "a b", "a:b", "é", "a\n", "a/b", "{x}"])
def test_job_ids_that_are_refused(bad: str) -> None:
    with pytest.raises(InvalidName) as caught:
        validate_job_id(bad)
    assert isinstance(caught.value, ValueError)


def test_a_job_id_of_another_type_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="must be a string"):
        validate_job_id(5)  # type: ignore[arg-type]


@pytest.mark.parametrize("check", [validate_queue_name, validate_group_name])
@pytest.mark.parametrize("bad", ["", "a,b", "a\nb", " a", "a ", "x" * 513, "\ud800", "\x00"])
def test_names_that_are_refused(check: object, bad: str) -> None:
    with pytest.raises(InvalidName):
        check(bad)  # type: ignore[operator]


@pytest.mark.parametrize("bad", ["a\x00b", "\ud800"])
def test_worker_names_that_are_refused(bad: str) -> None:
    with pytest.raises(InvalidName):
        validate_worker_name(bad)


@pytest.mark.parametrize("good", ["a,b", " a", "a\nb", "x" * 513, "höher"])
def test_worker_names_that_rq_takes(good: str) -> None:
    validate_worker_name(good)


def test_queue_names_of_rq_internal_lists_are_refused() -> None:
    for name in ("a:intermediate", "_compact:1"):
        with pytest.raises(InvalidName):
            validate_queue_name(name)


@pytest.mark.parametrize("good", ["default", "höher", "a:b", "a b", "{app}x"])
def test_queue_names_that_are_fine(good: str) -> None:
    validate_queue_name(good)


def test_new_ids() -> None:
    validate_job_id(new_job_id())
    assert len(new_job_id()) == 36
    assert re.fullmatch("[0-9a-f]{32}", new_execution_id())
    assert {len(new_call_token()) for _ in range(100)} == {16}
    assert len({new_call_token() for _ in range(100)}) == 100


def test_job_ids_are_random_uuids() -> None:
    made = [new_job_id() for _ in range(1000)]
    assert len(set(made)) == 1000
    for job_id in made:
        parsed = uuid.UUID(job_id)
        assert (str(parsed), parsed.version, parsed.variant) == (job_id, 4, uuid.RFC_4122)
    assert len({job_id[19] for job_id in made}) == 4  # every digit that the variant leaves open


def test_a_composite_id_stands_for_its_job() -> None:
    assert parse_job_id("a:b") == "a"
    assert parse_job_id("a") == "a"
