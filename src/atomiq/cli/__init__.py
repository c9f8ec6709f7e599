"""The `atomiq` command."""

from __future__ import annotations

from atomiq.cli.main import main

__all__ = ["main"]
