"""Benchmarks. Each is a program of its own; `python -m bench` runs all of them."""
