"""Commands inside a caller's pipeline, sync or asyncio: they only gather there, so one function serves both."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from atomiq._commands.base import Command, verbatim

_sent_in: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()


def queue_command(pipeline: Any, command: Command[Any]) -> None:
    """Put a command into a caller's pipeline. It is carried out when the caller executes the pipeline, in its
    transaction.

    A script that isn't loaded can't be loaded from inside a pipeline, so the first use in each is EVAL.

    Raises:
        TypeError: not a pipeline.
    """
    if not hasattr(pipeline, "command_stack"):
        raise TypeError(
            f"pipeline must be what connection.pipeline() makes, not {type(pipeline).__name__}: {pipeline!r}"
        )
    if pipeline.watching and not pipeline.explicit_transaction:
        pipeline.multi()
    script = command.script
    if script is None:
        pipeline.execute_command(command.name, *verbatim(command.args))
        return
    if not pipeline.command_stack or pipeline not in _sent_in:
        _sent_in[pipeline] = set()
    sent = _sent_in[pipeline]
    verb, text = ("EVALSHA", script.sha) if script.sha in sent else ("EVAL", script.body)
    sent.add(script.sha)
    pipeline.execute_command(verb, text, len(command.keys), *verbatim((*command.keys, *command.args)))
