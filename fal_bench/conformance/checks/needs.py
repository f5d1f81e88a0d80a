"""Costly inputs are declared before they are used."""

from __future__ import annotations

from fal_bench.conformance.base import Check, Failure
from fal_bench.conformance.subject import Subject


def _run(subject: Subject) -> str:
    needs = subject.made.needs
    if not isinstance(needs, frozenset):
        raise Failure(f"needs is a {type(needs).__name__}, not a frozenset.")
    undeclared = subject.ordinary.watch.undeclared
    if undeclared:
        raise Failure(
            f"It touched {undeclared[0]} without declaring it, and caught the error: whatever it "
            "does instead is not what its name promises."
        )
    return ", ".join(sorted(type(need).__name__ for need in needs)) or "none"


CHECK = Check(
    "needs",
    "costly inputs are declared, and none is touched undeclared",
    "Declare it, as in needs = frozenset({LocalModel()}), or do without; never catch "
    "UndeclaredNeedError.",
    _run,
)
