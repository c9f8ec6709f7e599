"""Runs commands over connections: the only importer of redis."""
