"""All benchmarks, one after the other: `make bench`."""

from __future__ import annotations

import subprocess
import sys

PROGRAMS = ("bench.drain", "bench.depth", "bench.kill_storm")


def main() -> int:
    """Exit code: 0 when every bar is met."""
    missed = []
    for program in PROGRAMS:
        print(f"\n== {program}", flush=True)
        if subprocess.run([sys.executable, "-m", program], check=False).returncode:
            missed.append(program)
    if missed:
        print(f"\nnot as it should be: {', '.join(missed)}")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
