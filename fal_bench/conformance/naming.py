"""Names of plugins that can be typed on the command line."""

from __future__ import annotations

from fal_bench.conformance.base import Failure
from fal_bench.inputs.selector import can_be_typed


def check_name(kind: type, typed: str) -> None:
    """Check that a plugin's class has a name that can be typed.

    Args:
        kind: the class.
        typed: what the name is typed after.

    Raises:
        Failure: it has not.
    """
    name = getattr(kind, "name", None)
    if not isinstance(name, str):
        raise Failure(f"{kind.__name__} has no name.")
    if not can_be_typed(name):
        raise Failure(f"The name {name!r} cannot be typed after {typed}.")
