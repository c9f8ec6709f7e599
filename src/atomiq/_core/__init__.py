"""Words and rules of atomiq: standard library only, no I/O, never reads the clock."""
