"""Config files: modules that call `register(...)` for each entry (RQ's way)."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import tzinfo
from pathlib import Path
from typing import Any, Final

from atomiq._core.precondition import RequiresOption
from atomiq._core.settings import DEFAULT_RESULT_TTL
from atomiq._core.ttl import Duration
from atomiq._core.values import Retry
from atomiq.utils import normalize_config_path, validate_absolute_path
from atomiq.webhook import Webhook

_job_data_registry: Final[list[dict[str, Any]]] = []
"""What was registered since the last config was loaded."""
_places: Final[list[str]] = []


def register(
    func: Callable[..., Any] | str,
    queue_name: str,
    args: Sequence[Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    interval: float | None = None,
    cron: str | None = None,
    job_timeout: Duration | None = None,
    result_ttl: Duration | None = DEFAULT_RESULT_TTL,
    ttl: Duration | None = None,
    failure_ttl: Duration | None = None,
    meta: dict[str, Any] | None = None,
    webhooks: Sequence[Webhook] | None = None,
    name: str = "",
    *,
    timezone: str | tzinfo = "UTC",
    jitter: float = 0,
    missed: str | None = None,
    overlap: str = "allow",
    retry: Retry | None = None,
    requires: RequiresOption = None,
) -> dict[str, Any]:
    """An entry of the config file that calls this (RQ). Arguments as for `CronJob`; they are checked when the file has
    been read."""
    given = dict(locals())
    caller = sys._getframe(1)  # noqa: SLF001 - where it was registered is all that tells two alike entries apart
    _job_data_registry.append(given)
    _places.append(f"{os.path.basename(caller.f_code.co_filename)}:{caller.f_lineno}")  # noqa: PTH119
    return given


def registered() -> list[tuple[dict[str, Any], str]]:
    """What was registered, and where, in this order."""
    places = [*_places, *[""] * len(_job_data_registry)]
    return list(zip(_job_data_registry, places, strict=False))


def import_config(config_path: str) -> list[tuple[dict[str, Any], str]]:
    """Run a config file, and say what it registers.

    Args:
        config_path: an absolute path of a file; a relative one or a dotted name is imported as a module.

    Raises:
        FileNotFoundError, IsADirectoryError: nothing, or a folder, at an absolute path.
        ImportError: the file raised something, which is named in the message.
    """
    _job_data_registry.clear()
    _places.clear()
    if Path(config_path).is_absolute():
        _run_file(validate_absolute_path(config_path))
    else:
        _import_module(normalize_config_path(config_path), config_path)
    return registered()


def _run_file(path: str) -> None:
    name = f"atomiq_cron_config_{Path(path).stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"Could not create module spec for '{path}': is it a Python file?")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        sys.modules.pop(name, None)
        raise ImportError(f"Failed to load configuration file '{path}': {said(error)}") from error


def _import_module(name: str, config_path: str) -> None:
    try:
        if name in sys.modules:
            importlib.reload(sys.modules[name])
        else:
            importlib.import_module(name)
    except ImportError as error:
        text = f"Failed to import configuration module '{name}' (from '{config_path}'): {error}"
        raise ImportError(text) from error
    except Exception as error:
        text = f"An error occurred while importing '{name}' (from '{config_path}'): {said(error)}"
        raise ImportError(text) from error


def said(error: Exception) -> str:
    """An exception in a message."""
    return f"{type(error).__name__}: {error}"
