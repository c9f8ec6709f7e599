"""No queue at all: two processes that do half of the naps each. What a worker with two children can reach at best."""

from __future__ import annotations

import os
import time

import jobs

CHILDREN = 2


def main() -> None:
    """The parent waits to be killed, as a worker does."""
    count = int(os.environ["BENCH_JOBS"])
    for child in range(CHILDREN):
        if os.fork() == 0:
            for number in range(child, count, CHILDREN):
                jobs.nap(number)
            os._exit(0)
    time.sleep(600)


if __name__ == "__main__":
    main()
