"""Parameters are part of a run's key, so they must survive JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final, Protocol

from pydantic import ValidationError

from fal_bench.conformance.base import Check, Failure, NotApplicable
from fal_bench.errors import InvalidSpecError
from fal_bench.plugins.strategy import Params


class Configured(Protocol):
    """Something with parameters: a strategy or a trainer under check."""

    @property
    def kind(self) -> Callable[[dict[str, Any]], Any]:
        """Its class."""

    @property
    def made(self) -> Any:
        """One of them, to look at."""


def _run(subject: Configured) -> str:
    params = subject.made.params
    if not isinstance(params, Params):
        raise Failure(f"params is a {type(params).__name__}; call super().__init__(params).")
    if not type(params).model_fields:
        raise NotApplicable("it has no parameters")
    values = params.model_dump()
    try:
        text = json.dumps(params.model_dump(mode="json"))
    except (ValueError, TypeError) as error:
        raise Failure(f"The parameters cannot be written as JSON: {error}.") from error
    read = _validated(params, json.loads(text))
    for name, value in values.items():
        if getattr(read, name) != getattr(params, name):
            raise Failure(
                f"Parameter {name!r} is {value!r} and comes back from JSON as "
                f"{getattr(read, name)!r}."
            )
    _check_canonical(subject, params)
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


def _check_canonical(subject: Configured, params: Params) -> None:
    """Check the form that a run keeps: what differs from the defaults, as JSON."""
    stored = json.loads(json.dumps(params.model_dump(mode="json", exclude_defaults=True)))
    try:
        again = subject.kind(stored)
    except InvalidSpecError as error:
        raise Failure(f"The parameters that differ from their defaults are refused: {error}") from (
            error
        )
    if again.params != params:
        raise Failure(f"Made from {stored!r}, it has other parameters than before.")


CHECK: Final[Check[Configured]] = Check(
    "params",
    "parameters have valid defaults and survive JSON",
    "Give every parameter a default that its own type allows, and a type that JSON knows: "
    "numbers, text, booleans, lists, tuples or None.",
    _run,
)
