"""Parameters of plugins: frozen, validated, part of the run key."""

from __future__ import annotations

import difflib

from pydantic import BaseModel, ConfigDict, ValidationError

from fal_bench.errors import shown
from fal_bench.inputs.validation import explained


class Params(BaseModel):
    """Base class of a plugin's parameters."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def explain(kind: str, name: str, params: type[Params], error: ValidationError) -> str:
    """Return one sentence that says which parameter is wrong.

    Args:
        kind: what kind of plugin it is, as at the start of a sentence.
        name: the plugin's name.
        params: its parameters.
        error: what pydantic found.
    """
    where, what = explained(error, params)
    if not where:  # parameters that do not fit together
        return f"{kind} {name!r}: {what}."
    accepted = ", ".join(params.model_fields) or "none"
    first = error.errors()[0]
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(where, params.model_fields, n=1)
        hint = f"did you mean {near[0]!r}? It" if near else "it"
        return f"{kind} {name!r} has no parameter {shown(where)}; {hint} takes: {accepted}."
    if first["type"] == "missing":
        return (
            f"{kind} {name!r} needs a value for its parameter {shown(where)}; it takes: {accepted}."
        )
    what = what.replace(f", not {shown(first['input'])}", "", 1)
    return (
        f"{kind} {name!r}: parameter {shown(where)} cannot be {shown(first['input'])}: {what}; "
        f"it takes: {accepted}."
    )
