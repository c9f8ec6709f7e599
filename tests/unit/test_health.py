"""What a worker's condition means, and what an address means."""

from __future__ import annotations

from typing import Any

import pytest

from atomiq._core.addresses import Address, parse_address
from atomiq.worker.health import judge

WELL: dict[str, Any] = {
    "phase": "working",
    "connected": True,
    "silent_for": 1.0,
    "unclaimed_for": 2.0,
    "children_alive": 2,
    "children_wanted": 2,
    "childless_for": 0.0,
    "lease": 30.0,
}


def test_all_is_well() -> None:
    health = judge(**WELL, facts={"name": "W"})
    assert (health.live, health.ready, health.reasons) == (True, True, ())
    assert health.facts["name"] == "W"
    assert health.facts["children_alive"] == 2


@pytest.mark.parametrize(
    ("differs", "live", "ready", "reason"),
    [
        ({"phase": "starting"}, True, False, "not started yet"),
        ({"phase": "stopping"}, True, False, "stopping"),
        ({"phase": "over"}, True, False, "ended"),
        ({"connected": False, "silent_for": 600.0}, True, False, "the server can't be reached, it last answered 600 s"),
        ({"silent_for": 44.9}, True, True, ""),
        ({"silent_for": 45.1}, False, False, "the server has not answered for 45 s, and the worker hasn't noticed"),
        ({"silent_for": 45.1, "lease": 60.0}, True, True, ""),
        ({"silent_for": 45.1, "phase": "stopping"}, False, False, "hasn't noticed"),
        ({"unclaimed_for": 21.9}, True, True, ""),
        ({"unclaimed_for": 22.1}, False, False, "has room for jobs, but has not asked for any for 22 s"),
        ({"unclaimed_for": 22.1, "phase": "stopping"}, True, False, "stopping"),
        ({"unclaimed_for": 22.1, "connected": False}, True, False, "the server can't be reached"),
        ({"unclaimed_for": None}, True, True, ""),
        ({"children_alive": 1}, True, True, "1 of 2 children are alive"),
        ({"children_alive": 0, "childless_for": 59.0}, True, False, "0 of 2 children are alive"),
        ({"children_alive": 0, "childless_for": 61.0}, False, False, "no child could be kept alive for 61 s"),
        ({"children_alive": 0, "childless_for": 61.0, "phase": "stopping"}, True, False, "stopping"),
        ({"children_alive": 0, "children_wanted": 0}, True, True, ""),
    ],
)
def test_what_differs(differs: dict[str, Any], live: bool, ready: bool, reason: str) -> None:
    health = judge(**{**WELL, **differs})
    assert (health.live, health.ready) == (live, ready)
    assert reason in "; ".join(health.reasons)
    assert bool(health.reasons) == bool(reason)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("8080", Address("127.0.0.1", 8080)),
        (":8080", Address("", 8080)),
        ("127.0.0.1:8080", Address("127.0.0.1", 8080)),
        ("localhost:0", Address("localhost", 0)),
        ("[::1]:8080", Address("::1", 8080)),
        ("unix:/run/w.sock", Address(path="/run/w.sock")),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert parse_address(str(address)) == address


@pytest.mark.parametrize("text", ["", ":", "unix:", "80 80", "host", "host:", "::1:8080", "8080:", "65536", "-1", "²"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="is no address: give 8080"):
        parse_address(text)
