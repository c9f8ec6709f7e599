"""What is said of findings, and the page about them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from atomiq.doctor.findings import Finding
from atomiq.doctor.words import FINDINGS

PAGE = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text()


@pytest.mark.parametrize("kind", FINDINGS)
def test_every_kind_has_a_sentence_and_a_line_in_the_manual(kind: str) -> None:
    finding = Finding(kind, "fault", "it", "queue:q", "queued", "more")
    assert "it" in finding.text
    assert "{" not in finding.text
    row = re.search(rf"^\| `{kind}` \| (.+) \| (.+) \|$", PAGE, re.MULTILINE)
    assert row
    assert row[2] == (FINDINGS[kind].remedy or "yours to decide")
    words = re.sub(r"\{\w+(!r)?\}", "", FINDINGS[kind].text)
    assert re.sub(r"\W+", " ", re.sub(r"\*\w+\*", "", row[1])) == re.sub(r"\W+", " ", words)


def test_the_manual_names_no_other_kinds() -> None:
    assert re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE) == list(FINDINGS)
