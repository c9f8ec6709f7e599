"""The asyncio classes by name: a lower one makes a higher one without importing it. Filled by `atomiq.aio`."""

from __future__ import annotations

from typing import Any

classes: dict[str, type[Any]] = {}
