"""The transitions: one Lua file each, composed with the shared functions they use, and the contract in their
headers."""

from __future__ import annotations

from atomiq._lua.compose import Script, script, script_names
from atomiq._lua.header import Header, parse_header

__all__ = ["Header", "Script", "parse_header", "script", "script_names"]
