"""`atomiq worker-pool`: RQ's name for a worker with several children. The same command, but for the meaning of -n."""

from __future__ import annotations

import copy
from typing import Final

import click

from atomiq.cli.workers import WorkerCommand, worker

SPELT: Final = {
    "name": ["--name"],
    "concurrency": ["--num-workers", "-n", "--concurrency"],
    "logging_level": ["--logging_level", "--logging-level", "-l"],
}
"""Options that are called by other names than those of `atomiq worker`."""
HELP: Final = """Run jobs of QUEUES in -n children of one worker (RQ's pool of workers).

    The same as `atomiq worker --concurrency N`, and with the same options; --name and -n are what differ, and
    NAME in the config module, which doesn't count."""
NAME_HELP: Final = "Name of the worker, which no other living one may have. Default: a random one."


def spelt_as_rq(parameter: click.Parameter) -> click.Parameter:
    """An option of `atomiq worker` as the pool has it."""
    if parameter.name not in SPELT:
        return parameter
    changed = copy.copy(parameter)
    changed.opts = SPELT[parameter.name]
    if parameter.name == "name" and isinstance(changed, click.Option):
        changed.help = NAME_HELP
    return changed


pool = WorkerCommand(
    "worker-pool",
    callback=worker.callback,
    params=[spelt_as_rq(parameter) for parameter in worker.params],
    help=HELP,
)
