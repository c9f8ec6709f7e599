"""The command of a warm child's life, made at once as the bytes that go over the wire.

`settle_and_claim` is sent once for each job. Of its two dozen arguments five differ from one call of a station to the
next; the rest is in the template. Filling it takes a fifth of what making and packing the command takes.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from atomiq._commands.base import Command
from atomiq._commands.claim import NO_TALLY, Claim, Tally, check_claim, tally_argument
from atomiq._commands.settle import Settled, Settlement, decode_both, settle_and_claim, texts_of
from atomiq._core.keys import Keys
from atomiq._lua import script

LARGEST: Final = 1 << 14
"""Bytes of a result; one that is larger would be copied once more than it need be."""
MOST_ORDERS: Final = 100
"""Orders of the queues that are kept; there are very many where each call has another one by chance."""
_NONE: Final = "$0\r\n\r\n"
_UNTOLD: Final = _NONE + _NONE
"""No delay of a retry, and no tally, which a call that is not full never tells."""


class SettleTemplate:
    """Of one station: `worker`'s, whose claims last `lease_ms`."""

    def __init__(self, keys: Keys, worker: str, lease_ms: int) -> None:
        self._keys = keys
        self._worker = worker
        self._lease_ms = lease_ms
        self._script = script("settle_and_claim")
        self._before: dict[str, str | None] = {}
        """Queue of the job that ended -> what comes before its id."""
        self._after: dict[tuple[str, ...], str | None] = {}
        """Queues that are asked -> what comes behind the execution ids."""
        self._between = _item(worker) + _item("finished")
        self._lease = _item(str(lease_ms)) + _item("0")

    def settle_and_claim(
        self, end: Settlement, queues: tuple[str, ...], executions: Sequence[str], full: bool, tally: Tally = NO_TALLY
    ) -> Command[tuple[Settled, Claim]]:
        """End one execution and take the next job: `settle_and_claim`, which makes it if it doesn't fit into the
        template."""
        ready = self._fill(end, queues, executions, full, tally)
        if ready is not None:
            return Command("settle_and_claim", self._script, (), (), decode_both, ready=ready)
        return settle_and_claim(
            self._keys,
            settlement=end,
            queues=queues,
            worker=self._worker,
            executions=executions,
            lease_ms=self._lease_ms,
            full=full,
            tally=tally,
        )

    def _fill(
        self, s: Settlement, queues: tuple[str, ...], executions: Sequence[str], full: bool, tally: Tally
    ) -> bytes | None:
        job_id, result = s.job_id, s.result
        if (
            s.outcome != "finished"
            or s.worker != self._worker
            or not job_id.isascii()
            or (result is not None and len(result) > LARGEST)
        ):
            return None
        before, after = self._before_of(s.queue), self._after_of(queues)
        if before is None or after is None:
            return None
        check_claim(queues, executions)
        value = _NONE if result is None else _item(b2a_base64(result, newline=False).decode())
        told = _NONE + _item(tally_argument(full, tally)) if full or tally is not NO_TALLY else _UNTOLD
        count = len(executions)
        asked = f"${len(executions[0])}\r\n{executions[0]}\r\n" if count == 1 else "".join(map(_item, executions))
        return (
            f"*{22 + count + len(queues)}\r\n{before}${len(job_id)}\r\n{job_id}\r\n"
            f"${len(s.execution_id)}\r\n{s.execution_id}\r\n{self._between}{value}{_number_item(s.result_ttl)}"
            f"{_time_items(s.started_ms)}{_time_items(s.ended_ms)}{told}{self._lease}{_number_item(count)}{asked}{after}"
        ).encode("ascii")

    def _before_of(self, queue: str) -> str | None:
        try:
            return self._before[queue]
        except KeyError:
            words = ("EVALSHA", self._script.sha, "1", self._keys.wip(queue), self._keys.prefix, "0", queue)
            made = self._before[queue] = _items(words) if self._worker.isascii() else None
            return made

    def _after_of(self, queues: tuple[str, ...]) -> str | None:
        try:
            return self._after[queues]
        except KeyError:
            if len(self._after) >= MOST_ORDERS:
                self._after.clear()
            made = self._after[queues] = _items(queues)
            return made


def _item(text: str) -> str:
    return f"${len(text)}\r\n{text}\r\n"


@lru_cache(64)
def _number_item(number: int) -> str:
    return _item(str(number))


@lru_cache(8)
def _time_items(milliseconds: int) -> str:
    """Jobs that are over in no time begin and end in the same milliseconds."""
    return "".join(map(_item, texts_of(milliseconds)))


def _items(texts: Sequence[str]) -> str | None:
    return "".join(map(_item, texts)) if all(text.isascii() for text in texts) else None
