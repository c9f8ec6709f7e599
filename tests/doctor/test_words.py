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


def test_what_there_is_no_number_or_name_for() -> None:
    """It said "its lease was over  s ago", and "(free )"."""
    lease = Finding("lease_over", "fault", "it", "wip:q", "started", "")
    assert lease.text == "job it is started, its lease has no end, and its execution is gone"
    waits = [Finding("deferred_for_ever", "fault", "it", "", "deferred", said).text for said in ("free ", "cancel a b")]
    assert [text.rpartition("end ")[2] for text in waits] == ["(none of it is gone)", "(gone: a b)"]


def test_the_manual_names_no_other_kinds() -> None:
    assert re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE) == list(FINDINGS)
