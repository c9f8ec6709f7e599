"""`python -m atomiq.cli`."""

from __future__ import annotations

from atomiq.cli.main import run

if __name__ == "__main__":
    run()
