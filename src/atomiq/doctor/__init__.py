"""What is wrong in a live database, and how to mend it: every departure from the table of states, whoever left it.

`examine` reads and changes nothing; `repair` mends what a report names, each finding in one atomic step that looks
again before it writes. Nothing is stopped for either. `atomiq doctor` is the same on the command line.
"""

from __future__ import annotations

from atomiq.doctor.examination import examine
from atomiq.doctor.findings import Finding, KindCount, Repair, Report
from atomiq.doctor.repairs import repair

__all__ = ["Finding", "KindCount", "Repair", "Report", "examine", "repair"]
