"""Names of the loggers. A part of atomiq logs under `atomiq.<part>`; atomiq never configures the root logger."""

from __future__ import annotations

import logging

ROOT = "atomiq"


def get_logger(part: str) -> logging.Logger:
    """Logger of one part: worker, job, queue, registry, scheduler, cron, wire, cli."""
    return logging.getLogger(f"{ROOT}.{part}")
