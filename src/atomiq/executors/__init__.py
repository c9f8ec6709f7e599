"""Ways to run a call, and what a child reports. Knows jobs, not workers."""

from __future__ import annotations
