"""The costly inputs that a strategy declares."""

from __future__ import annotations

from collections.abc import Set

from fal_bench.errors import NeedsError
from fal_bench.plugins.needs import Need
from fal_bench.plugins.strategy import Strategy


def declared_needs(strategy: Strategy) -> Set[Need]:
    """Return what a strategy declares in ``needs``.

    Raises:
        NeedsError: it is no set.
    """
    needs: object = strategy.needs
    if not isinstance(needs, Set):
        raise NeedsError(
            f"Strategy {strategy.name!r}: needs is a {type(needs).__name__} and must be a set of "
            "what is needed, as in needs = frozenset({LocalModel()})."
        )
    return needs
