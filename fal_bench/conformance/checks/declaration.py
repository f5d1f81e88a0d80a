"""The class says what the harness and the command line need to know of it."""

from __future__ import annotations

from fal_bench.conformance.base import Check, Failure
from fal_bench.conformance.naming import check_name
from fal_bench.conformance.subject import Subject
from fal_bench.plugins.strategy import Params, Strategy


def _run(subject: Subject) -> None:
    kind = subject.kind
    check_name(kind, "-s")
    if kind.select is Strategy.select and kind.select_all is Strategy.select_all:
        raise Failure(f"{kind.__name__} overrides neither select nor select_all.")
    _check_attributes(kind)


def _check_attributes(kind: type[Strategy]) -> None:
    if not (isinstance(kind.Params, type) and issubclass(kind.Params, Params)):
        raise Failure("Params is not a subclass of fal_bench.Params.")
    if not (kind.version is None or isinstance(kind.version, int)):
        raise Failure(f"version is {kind.version!r}, neither None nor a whole number.")
    for flag in ("adaptive", "deterministic"):
        if not isinstance(getattr(kind, flag), bool):
            raise Failure(f"{flag} is {getattr(kind, flag)!r}, neither True nor False.")
    if not isinstance(kind.keeps, tuple) or not all(isinstance(one, str) for one in kind.keeps):
        raise Failure(f"keeps is {kind.keeps!r}, not a tuple of names.")


CHECK = Check(
    "declaration",
    "name, flags and methods are what the harness expects",
    "Give the class a name without spaces, commas or brackets, such as 'my-idea'; override select "
    "(or select_all); see the attributes of fal_bench.Strategy.",
    _run,
)
