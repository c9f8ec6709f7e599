"""The report: findings, counts and sizes, as data."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

from atomiq._commands.doctor import Suspect
from atomiq.doctor.words import explanation_of, remedy_of

Severity = Literal["fault", "leftover", "note"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One departure from the table of states.

    Attributes:
        kind: what is wrong, in a word; docs/doctor.md lists them all.
        severity: `fault` (something is lost, stuck, wrong or leaks), `leftover` (of what has expired; whoever meets it
            removes it) or `note` (as it should be, but worth knowing).
        subject: job id, worker, group or queue.
        place: where it was found, `container:queue`; empty if that says nothing.
        status: of the job, empty if it is no job.
        detail: what else is known.
        witness: tells this stay of the job from others; `repair` does nothing when it has moved since.
    """

    kind: str
    severity: Severity
    subject: str
    place: str = ""
    status: str = ""
    detail: str = ""
    witness: str = field(default="", repr=False)
    word: str = field(default="", repr=False)
    thing: str = field(default="", repr=False)
    suspect: Suspect | None = field(default=None, repr=False, compare=False)
    places: tuple[str, ...] = field(default=(), repr=False)

    @property
    def text(self) -> str:
        """What is wrong, as a sentence."""
        return explanation_of(self.kind, self.subject, self.place, self.status, self.detail)

    @property
    def remedy(self) -> str:
        """What `repair` does about it; empty if that is for a person to decide."""
        return remedy_of(self.kind, self.detail)

    def to_dict(self) -> dict[str, str]:
        """For JSON."""
        shown = {name: getattr(self, name) for name in ("kind", "severity", "subject", "place", "status", "detail")}
        return {**{name: value for name, value in shown.items() if value}, "text": self.text, "remedy": self.remedy}


@dataclass(slots=True)
class KindCount:
    """How many keys of a kind there are, and how many bytes they take, estimated from some (None: it isn't known)."""

    keys: int = 0
    bytes: int | None = None


@dataclass(slots=True)
class Report:
    """What `examine` found.

    Attributes:
        findings: sorted by severity and kind.
        statuses: status -> how many jobs have it.
        kinds: kind of key -> how many and how large.
        outlived: entries of registries whose time is over and that the next upkeep removes.
        suspended: workers take no jobs (`atomiq suspend`).
        seconds: how long it took; `waited` of these in order to look at suspects again.
        commands: how many were sent; `slowest_ms` is what the slowest took, the way there and back included.
    """

    findings: list[Finding] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    kinds: dict[str, KindCount] = field(default_factory=dict)
    outlived: int = 0
    suspended: bool = False
    seconds: float = 0.0
    waited: float = 0.0
    commands: int = 0
    slowest_ms: float = 0.0

    @property
    def faults(self) -> list[Finding]:
        """Findings that are neither leftovers nor notes."""
        return [finding for finding in self.findings if finding.severity == "fault"]

    @property
    def healthy(self) -> bool:
        """No faults."""
        return not self.faults

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "healthy": self.healthy,
            "findings": [finding.to_dict() for finding in self.findings],
            "counts": dict(Counter(finding.kind for finding in self.findings)),
            "jobs": dict(sorted(self.statuses.items())),
            "keys": {kind: {"keys": count.keys, "bytes": count.bytes} for kind, count in sorted(self.kinds.items())},
            "outlived": self.outlived,
            "suspended": self.suspended,
            "seconds": round(self.seconds, 3),
            "waited": round(self.waited, 3),
            "commands": self.commands,
            "slowest_ms": round(self.slowest_ms, 3),
        }


@dataclass(frozen=True, slots=True)
class Repair:
    """What became of a finding: `outcome` is mended, healed (it was well again), changed (the job has moved since),
    planned (dry run) or left (for a person to decide)."""

    finding: Finding
    outcome: Literal["mended", "healed", "changed", "planned", "left"]

    def to_dict(self) -> dict[str, str]:
        """For JSON."""
        return {**self.finding.to_dict(), "outcome": self.outcome}
