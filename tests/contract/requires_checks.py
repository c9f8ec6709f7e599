"""Checks that jobs require, as a user's module has them."""

from __future__ import annotations

from typing import Any

from atomiq import get_current_job

ANSWERS: list[Any] = []
"""What the next looks say; exceptions are raised. Empty: it is there."""
SEEN: list[Any] = []


def answer(*args: Any, **kwargs: Any) -> Any:
    job = get_current_job()
    SEEN.append((None if job is None else job.id, args, kwargs))
    said = ANSWERS.pop(0) if ANSWERS else True
    if isinstance(said, BaseException):
        raise said
    return said


async def later(*args: Any) -> Any:
    return answer(*args)


def order_is_there(order: int) -> bool:
    return bool(answer(order))


def with_own_parameter(requires: Any = None) -> Any:
    return requires


def with_all_keywords(**keywords: Any) -> Any:
    return keywords


class Checks:
    @classmethod
    def by_class(cls) -> bool:
        return bool(answer())

    @staticmethod
    def static() -> bool:
        return bool(answer())

    def method(self) -> bool:
        return True


an_instance = Checks()
nothing_to_call = 5
a_lambda = lambda: True  # noqa: E731
