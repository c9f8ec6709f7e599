"""The version (RQ's rq.version)."""

from __future__ import annotations

from atomiq._core.version import __version__

VERSION = __version__
