"""Comparing what two runs selected."""

from __future__ import annotations

from fal_bench.conformance.trial import Picks


def first_difference(one: Picks, other: Picks, cycles: int | None = None) -> tuple[int, int] | None:
    """Return (client, cycle) of the first query in which two runs differ.

    Args:
        one: picks of a run.
        other: picks of another.
        cycles: compare only the first so many cycles; all if None.
    """
    for cycle, client in sorted(one.keys() | other.keys()):
        if cycles is not None and cycle >= cycles:
            return None
        if one.get((cycle, client)) != other.get((cycle, client)):
            return client, cycle
    return None
