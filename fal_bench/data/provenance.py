"""What can be known of a data set's files without loading it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

Loader = TypeVar("Loader", bound=Callable[..., Any])

_ATTRIBUTE = "fal_bench_provenance"


@dataclass(frozen=True)
class Provenance:
    """Where a data set comes from.

    Attributes:
        digest: takes the loader's parameters and returns a digest of the data, which becomes part
            of a run's identity. For data that are the user's own; None where the name and the
            parameters say which data they are.
        whereabouts: says in a few words whether the data are on this machine.
    """

    digest: Callable[..., str] | None = None
    whereabouts: Callable[[], str] | None = None


def comes_from(
    *,
    digest: Callable[..., str] | None = None,
    whereabouts: Callable[[], str] | None = None,
) -> Callable[[Loader], Loader]:
    """Return a decorator that tells the provenance of the data set a function loads.

    Args:
        digest: see ``Provenance``.
        whereabouts: see ``Provenance``.
    """

    def mark(loader: Loader) -> Loader:
        setattr(loader, _ATTRIBUTE, Provenance(digest, whereabouts))
        return loader

    return mark


def provenance_of(loader: Callable[..., Any]) -> Provenance:
    """Return what is known of the data that a function loads."""
    found: Provenance = getattr(loader, _ATTRIBUTE, Provenance())
    return found
