"""A class that a team has derived from the installed RQ's."""

from __future__ import annotations

import rq


class TheirWorker(rq.Worker):
    """To be refused with a hint."""
