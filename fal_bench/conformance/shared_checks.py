"""What plugins of several kinds must satisfy alike."""

from __future__ import annotations

import json
from typing import Any

from pydantic import ValidationError

from fal_bench.conformance.subject import (
    ClassSubject,
    Failure,
    FunctionSubject,
    NotApplicable,
)
from fal_bench.errors import InvalidSpecError
from fal_bench.inputs.params import Params
from fal_bench.inputs.selector import can_be_typed


def check_class(kind: Any, typed: str) -> None:
    """Check the attributes that strategies and trainers have in common.

    Args:
        kind: the class.
        typed: what its name is typed after.

    Raises:
        Failure: one of them is not what it must be.
    """
    name = getattr(kind, "name", None)
    if not isinstance(name, str):
        raise Failure(f"{kind.__name__} has no name.")
    if not can_be_typed(name):
        raise Failure(f"The name {name!r} cannot be typed after {typed}.")
    if not (isinstance(kind.Params, type) and issubclass(kind.Params, Params)):
        raise Failure("Params is not a subclass of fal_bench.Params.")
    if not (kind.version is None or isinstance(kind.version, int)):
        raise Failure(f"version is {kind.version!r}, neither None nor a whole number.")


def params(subject: ClassSubject[Any] | FunctionSubject[Any]) -> str:
    """Parameters have valid defaults and survive JSON.

    What to do: Give every parameter a default that its own type allows, and a type that JSON
    knows: numbers, text, booleans, lists, tuples or None.
    """
    given = subject.params
    if not isinstance(given, Params):
        raise Failure(f"params is a {type(given).__name__}; call super().__init__(params).")
    values = given.model_dump()
    if not values:
        raise NotApplicable("it has no parameters")
    try:
        text = json.dumps(given.model_dump(mode="json"))
    except (ValueError, TypeError) as error:
        raise Failure(f"The parameters cannot be written as JSON: {error}.") from error
    read = _validated(given, json.loads(text))
    for name, value in values.items():
        if getattr(read, name) != getattr(given, name):
            raise Failure(
                f"Parameter {name!r} is {value!r} and comes back from JSON as "
                f"{getattr(read, name)!r}."
            )
    # The form that a run keeps: what differs from the defaults.
    stored = json.loads(json.dumps(given.model_dump(mode="json", exclude_defaults=True)))
    try:
        again = subject.remade(stored)
    except InvalidSpecError as error:
        what = f"The parameters that differ from their defaults are refused: {error}"
        raise Failure(what) from error
    if again != given:
        raise Failure(f"Made from {stored!r}, it has other parameters than before.")
    return ", ".join(values)


def _validated(params: Params, values: dict[str, Any]) -> Params:
    try:
        return type(params).model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise Failure(
            f"The value {first['input']!r} of parameter {name!r} is refused when it is read back "
            f"from JSON: {first['msg'].lower()}."
        ) from error
