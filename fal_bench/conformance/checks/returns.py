"""Every call comes back, and soon enough."""

from __future__ import annotations

from fal_bench.conformance.base import Broken, Check
from fal_bench.conformance.subject import Subject


def _run(subject: Subject) -> str | None:
    try:
        rows = subject.ordinary.journal.rows
    except Broken as broken:
        if broken.owner == CHECK.name:
            raise
        return None  # it did return, whatever else is wrong
    seconds = max((row.select_seconds for row in rows), default=0.0)
    return f"slowest selection {seconds:.2f} s"


CHECK = Check(
    "returns",
    "every call returns, and in time",
    "Look for a loop that may not end, or make the strategy faster; raise call_timeout if it "
    "is only slow. Never leave the process.",
    _run,
)
