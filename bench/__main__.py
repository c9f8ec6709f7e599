"""Benchmarks of atomiq and its peers, in one run on one server: `make bench`.

    python -m bench                                     everything, then docs/benchmarks.md
    python -m bench drain --only atomiq,rq --jobs 500   a part of it, figures printed
    python -m bench page                                docs/benchmarks.md from the newest run of each part

Parts: drain, enqueue, latency, naps, slow, idle, child, recovery. `--jobs` is the seconds of a window for idle, and the
cap in seconds for child and recovery. What was measured is kept in bench/.results. The programs that check rather than
compare stand by themselves: python -m bench.depth, python -m bench.kill_storm.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

from bench import page
from bench.peers import PEERS
from bench.processes import adopt_orphans
from bench.runner import Choice, run_scenario
from bench.scenarios import SCENARIOS
from bench.server import named_binary

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help="default: all of them, then the page")
    parser.add_argument("--only", help="peers, separated by commas; PEER:MODE for one mode")
    parser.add_argument("--rounds", type=int, help="how often each is measured, in turn with the others")
    parser.add_argument("--jobs", type=int, help="instead of each contender's own number")
    parser.add_argument("--server", default="redis", help="redis (default), valkey (the embedded one) or a path")
    given = parser.parse_args()
    unknown = [part for part in given.parts if part not in SCENARIOS and part != "page"]
    unknown += [name for name in (given.only or "").split(",") if name and name.split(":")[0] not in names()]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; parts: {', '.join(SCENARIOS)}; peers: {', '.join(names())}")
    return given


def names() -> list[str]:
    return [peer.name for peer in PEERS]


def main() -> int:
    """Exit code 0 when all ran; whether bars are met is for the page to say."""
    given = arguments()
    adopt_orphans()
    # Leaves every block in order: no worker and no server stays behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    started = time.monotonic()
    choice = Choice(given.only, given.rounds, given.jobs, named_binary(given.server))
    for part in given.parts or [*SCENARIOS, "page"]:
        if part == "page":
            PAGE.write_text(page.render())
            print(f"wrote {PAGE.relative_to(Path.cwd()) if PAGE.is_relative_to(Path.cwd()) else PAGE}")
        else:
            print(f"\n== {part}", flush=True)
            run = run_scenario(SCENARIOS[part], choice)
            print("\n" + "\n".join(page.table(run)), flush=True)
    print(f"\n{time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
