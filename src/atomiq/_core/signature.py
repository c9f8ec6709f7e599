"""What a function can be called with."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any

if sys.version_info >= (3, 14):
    from annotationlib import Format

    def signature_of(func: Callable[..., Any]) -> inspect.Signature:
        """`inspect.signature`, but annotations stay text: since Python 3.14 it evaluates them, and one that names what
        is imported for type checkers only raises NameError."""
        return inspect.signature(func, annotation_format=Format.STRING)

else:
    signature_of = inspect.signature
