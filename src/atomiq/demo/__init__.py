"""`atomiq demo`: a real run with a killed worker, and books that have to balance."""

from __future__ import annotations
