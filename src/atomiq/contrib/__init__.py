"""Atomiq beside other software; nothing here is imported unless asked for."""

from __future__ import annotations
