"""What `manage.py atomiqX` makes of its arguments and of the settings; without any settings."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from atomiq.contrib.django.conf import plain_url
from atomiq.contrib.django.management.base import split


def test_djangos_own_options_among_the_others() -> None:
    own, left = split(["--settings", "x", "--burst", "--traceback", "--pythonpath=y", "-c", "4", "--settings"])
    assert own == ["--settings", "x", "--traceback", "--pythonpath=y"]
    assert left == ["--burst", "-c", "4", "--settings"]


def test_the_parts_of_a_server_as_one_url() -> None:
    parts = {"HOST": "h", "SSL": True, "SSL_CERT_REQS": None, "PASSWORD": "a@b/c", "SOCKET_TIMEOUT": 0.5}
    url = plain_url({**parts, "CONNECTION_KWARGS": {"client_name": "ü"}})
    assert url == "rediss://:a%40b%2Fc@h:6379/0?client_name=%C3%BC&socket_timeout=0.5&ssl_cert_reqs=none"
    assert plain_url({"URL": "redis://h/1?x=y", "DB": 2}) == "redis://h/1?x=y&db=2"


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ({"SENTINELS": [("h", 1)], "SENTINEL_KWARGS": {"password": "p"}}, "sentinel_kwargs"),
        ({"SOCKET_TIMEOUT": 1}, "socket_timeout"),
        ({"DB": 2, "PASSWORD": "p"}, "DB, PASSWORD"),
    ],
)
def test_what_makes_no_url(said: dict[str, Any], named: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=named):
        plain_url(said)
