"""The functions that the demonstration runs as jobs.

They are plain functions; nothing in them knows of a queue but `merge` and `stumble`, which look at their own job.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import io
import tokenize
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from atomiq.job import get_current_job

LATE: Final = "came when it was due"
SECOND_TIME: Final = "the second time it worked"


def index_source(path: str) -> dict[str, Any]:
    """Lines, words, functions, classes, different names and SHA-256 of one source file."""
    content = Path(path).read_bytes()
    text = content.decode("utf-8", "replace")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nodes = list(ast.walk(ast.parse(content, path)))
    return {
        "lines": text.count("\n"),
        "words": len(text.split()),
        "functions": sum(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in nodes),
        "classes": sum(isinstance(node, ast.ClassDef) for node in nodes),
        "names": len(different_names(content)),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def different_names(content: bytes) -> set[str]:
    """The names in a source file, as far as it can be read as tokens."""
    found: set[str] = set()
    with contextlib.suppress(tokenize.TokenError, SyntaxError):
        found.update(
            token.string for token in tokenize.tokenize(io.BytesIO(content).readline) if token.type == tokenize.NAME
        )
    return found


def merge() -> dict[str, Any]:
    """The sum of what the jobs that this one waited for have found."""
    job = get_current_job()
    if job is None:
        raise RuntimeError("merge looks at its own job, so it only runs as one")
    return summed(dependency.return_value() for dependency in job.fetch_dependencies())


def summed(parts: Iterable[dict[str, Any] | None]) -> dict[str, Any]:
    """Totals of several indexes; the order of the parts doesn't matter."""
    found = [part for part in parts if part is not None]
    totals: dict[str, Any] = {
        name: sum(part[name] for part in found) for name in ("lines", "words", "functions", "classes")
    }
    digests = "\n".join(sorted(part["sha256"] for part in found))
    return {"files": len(found), **totals, "sha256": hashlib.sha256(digests.encode()).hexdigest()}


def late() -> str:
    """Enqueued with a delay."""
    return LATE


def stumble() -> str:
    """Fails, and works when it is retried."""
    job = get_current_job()
    if job is not None and job.retries_left:
        raise ConnectionError("the first try fails on purpose")
    return SECOND_TIME
