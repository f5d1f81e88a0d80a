"""In what the environments differ that a report's runs were computed in."""

from __future__ import annotations

from collections.abc import Sequence

from fal_bench.results.model import Environment


def differing_facts(environments: Sequence[Environment]) -> list[str]:
    """Return the names of what is known to differ.

    What some of them did not record cannot be told to differ.
    """
    return [name for name in _names(environments) if len(_values(name, environments)) > 1]


def unrecorded_facts(environments: Sequence[Environment]) -> list[str]:
    """Return the names of what some environments record and others do not."""
    return [
        name
        for name in _names(environments)
        if any(name not in dict(one.facts) for one in environments)
    ]


def _names(environments: Sequence[Environment]) -> list[str]:
    return sorted({name for one in environments for name, _ in one.facts})


def _values(name: str, environments: Sequence[Environment]) -> set[str]:
    return {value for one in environments for known, value in one.facts if known == name}
