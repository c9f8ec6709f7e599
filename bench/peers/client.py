"""The same client library for all that leave the choice."""

from __future__ import annotations

REDIS_PY = ("redis==8.1.0", "hiredis==3.5.0")
HIREDIS = ("hiredis==3.5.0",)
UVLOOP = ("uvloop==0.23.0",)
