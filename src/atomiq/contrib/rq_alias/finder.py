"""Answers imports of `rq` and `rq.*` with atomiq's modules, and questions for the installed version of rq."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.metadata import Distribution, DistributionFinder
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Final

RQ_VERSION: Final = "2.12.0"
"""The version that atomiq is compatible with; what `rq.VERSION` says."""
OURS: Final = "atomiq"
THEIRS: Final = "rq"
_VERSION_MODULE: Final = f"{THEIRS}.version"

_METADATA: Final = {
    "METADATA": f"Metadata-Version: 2.1\nName: {THEIRS}\nVersion: {RQ_VERSION}\nSummary: atomiq under the name of RQ\n",
    "entry_points.txt": "[console_scripts]\nrq = rq.cli:main\nrqinfo = rq.cli:info\nrqworker = rq.cli:worker\n",
}


class TopModule(ModuleType):
    """The module `rq`: atomiq, but with RQ's version. What is set on it is set on atomiq."""

    def __init__(self, spec: ModuleSpec) -> None:
        super().__init__(THEIRS, f"atomiq, in the place of RQ {RQ_VERSION} (atomiq.contrib.rq_alias)")
        ours = importlib.import_module(OURS)
        own = {"__spec__": spec, "__loader__": spec.loader, "__package__": THEIRS, "__path__": ours.__path__,
               "__file__": ours.__file__, "VERSION": RQ_VERSION, "__version__": RQ_VERSION}  # fmt: skip
        self.__dict__.update(own)
        self.__dict__["_ours"] = ours

    def __getattr__(self, name: str) -> Any:
        try:
            return getattr(self.__dict__["_ours"], name)
        except AttributeError:
            raise AttributeError(f"module 'rq' (which is atomiq here) has no attribute {name!r}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.__dict__:
            super().__setattr__(name, value)
        else:
            setattr(self.__dict__["_ours"], name, value)

    def __delattr__(self, name: str) -> None:
        if name in self.__dict__:
            super().__delattr__(name)
        else:
            delattr(self.__dict__["_ours"], name)

    def __dir__(self) -> Iterable[str]:
        return sorted({*self.__dict__, *dir(self.__dict__["_ours"])})


class AliasLoader(Loader):
    """Puts atomiq's own module into `sys.modules` under the other name, so that both names mean one module."""

    def __init__(self, target: str) -> None:
        self._target = target

    def exec_module(self, module: ModuleType) -> None:
        if module.__name__ == _VERSION_MODULE:
            module.VERSION = RQ_VERSION  # type: ignore[attr-defined]
            return
        # The import system takes what it finds there afterwards.
        sys.modules[module.__name__] = importlib.import_module(self._target)

    def get_code(self, _name: str) -> CodeType | None:
        """For `python -m rq.cli`."""
        spec = importlib.util.find_spec(self._target)
        code: CodeType | None = None if spec is None else spec.loader.get_code(self._target)  # type: ignore[union-attr]
        return code


class AliasFinder(MetaPathFinder):
    """First of all finders as long as the alias is installed."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None, /
    ) -> ModuleSpec | None:
        top, _, rest = fullname.partition(".")
        if top != THEIRS:
            return None
        if fullname == _VERSION_MODULE:
            return ModuleSpec(fullname, AliasLoader(fullname))
        ours = f"{OURS}.{rest}" if rest else OURS
        found = None if any(_is_private(part) for part in rest.split(".")) else importlib.util.find_spec(ours)
        if found is None:
            # Never left to the next finder: it might find a module of an installed rq, and two libraries would mix.
            raise ModuleNotFoundError(
                f"No module named {fullname!r}: rq is atomiq here (atomiq.contrib.rq_alias), which has no public "
                f"module {ours!r}",
                name=fullname,
            )
        return ModuleSpec(
            fullname, AliasLoader(ours), origin=found.origin, is_package=found.submodule_search_locations is not None
        )

    def invalidate_caches(self) -> None:
        """There are none."""

    def find_distributions(self, context: DistributionFinder.Context | None = None) -> Iterator[Distribution]:
        """What `importlib.metadata` knows of rq."""
        name = None if context is None else context.name
        if name is None or name.lower() == THEIRS:
            yield AliasDistribution()


class AliasDistribution(Distribution):
    """Says the version of RQ that atomiq stands for, whether or not an rq is installed."""

    def read_text(self, filename: str) -> str | None:
        return _METADATA.get(filename)

    def locate_file(self, path: Any) -> Any:
        ours = importlib.import_module(OURS)
        return Path(str(ours.__file__)).parent / path


def _is_private(part: str) -> bool:
    return part.startswith("_") and part != "__main__"
