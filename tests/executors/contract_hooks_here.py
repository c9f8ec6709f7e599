"""Registers the hooks on import: what a spawned child is told to import."""

from __future__ import annotations

from tests.executors import contract_hooks

contract_hooks.register()
