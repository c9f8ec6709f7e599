"""Reads the package's imports from its source: also those inside functions and under TYPE_CHECKING."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "atomiq"

# Top-level name inside the package -> floor. What is not here is a noun.
FLOORS = {
    "_core": 0,
    "_lua": 1,
    "_commands": 2,
    "_wire": 3,
    "executors": 5,
    "stations": 5,
    "worker": 5,
    "worker_pool": 5,
    "scheduler": 5,
    "cron": 5,
    "outbox": 5,
    "cli": 6,
    "demo": 6,
    "web": 6,
    "metrics": 6,
    "contrib": 6,
    "testing": 6,
    "__init__": 7,
    "__main__": 7,
}
NOUNS = 4
EDGES = 6


@dataclass(frozen=True)
class Import:
    """One import statement's target, and where and how it stands."""

    source: str
    target: str
    line: int
    in_function: bool
    type_checking: bool

    def __str__(self) -> str:
        return f"{self.source}:{self.line} imports {self.target}"


def module_name(path: Path) -> str:
    """`atomiq._wire.sync` for its file; a package's name for its __init__.py."""
    parts = ("atomiq", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> dict[str, Path]:
    """All modules of the package."""
    return {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


@cache
def imports() -> tuple[Import, ...]:
    """All imports of all modules; `from package import module` counts as an import of the module."""
    found: list[Import] = []
    for name, path in modules().items():
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        tree = ast.parse(path.read_text(), str(path))
        for node, in_function, type_checking in walk(tree, False, False):
            found.extend(
                Import(name, target, node.lineno, in_function, type_checking) for target in targets(node, package)
            )
    return tuple(found)


def walk(node: ast.AST, in_function: bool, type_checking: bool) -> Iterable[tuple[ast.stmt, bool, bool]]:
    """Every import statement below a node, with what it stands in."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, in_function, type_checking
        inner = in_function or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        checking = type_checking or (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test))
        yield from walk(child, inner, checking)


def targets(node: ast.stmt, package: str) -> Iterable[str]:
    """The modules that an import statement names."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            kept = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*kept, base] if base else kept)
        for alias in node.names:
            full = f"{base}.{alias.name}"
            yield full if full in modules() else base


def floor(module: str) -> int:
    """The floor of a module of the package."""
    parts = module.split(".")
    return FLOORS["__init__"] if len(parts) == 1 else FLOORS.get(parts[1], NOUNS)


def inner_imports() -> dict[str, set[str]]:
    """Module -> the modules of this package that it imports, by whatever kind of import."""
    graph: dict[str, set[str]] = {name: set() for name in modules()}
    for one in imports():
        if one.target in graph and one.target != one.source:
            graph[one.source].add(one.target)
    return graph


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of nodes that reach each other, by Tarjan's algorithm; empty when there is no circle."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph.get(node, ())):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            group = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(group) > 1:
                found.append(sorted(group))

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found
