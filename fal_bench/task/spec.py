"""What the pieces of a task are: frozen, validated, and identified by canonical JSON.

Canonical JSON leaves out fields at their default, so a later version can add a field without
voiding stored results; for the same reason a default, once released, never changes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, model_validator

from fal_bench.errors import InvalidSpecError
from fal_bench.plugins.built_in import AGGREGATION, MODEL, Kind, built_in
from fal_bench.plugins.functions import canonical


class Spec(BaseModel):
    """A frozen piece of a task; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class PluginSpec(BaseModel):
    """A plugin that a task names, and the parameters that differ from their defaults.

    Parameters of a built-in plugin are checked here, those of others when a comparison is planned:
    a stored task is read whether its plugins are installed or not.

    Attributes:
        kind: the plugin's name; further keys are its parameters.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    of: ClassVar[Kind]
    kind: str

    @model_validator(mode="before")
    @classmethod
    def _canonical(cls, table: Any) -> Any:
        if not isinstance(table, Mapping) or not isinstance(table.get("kind"), str):
            return table
        kind, given = table["kind"], {key: table[key] for key in table if key != "kind"}
        plugin = built_in(cls.of, kind)
        try:
            # Lists stand for tuples, so that equal plugins compare equal.
            return {
                "kind": kind,
                **(json.loads(json.dumps(given)) if plugin is None else canonical(plugin, given)),
            }
        except (InvalidSpecError, TypeError) as error:
            raise ValueError(str(error).removesuffix(".")) from None

    @property
    def params(self) -> dict[str, Any]:
        """The parameters that differ from their defaults, as JSON values."""
        return dict(self.__pydantic_extra__ or {})

    @cached_property
    def text(self) -> str:
        """The plugin as canonical JSON."""
        return as_json(non_defaults(self))

    def __hash__(self) -> int:
        return hash(self.text)


class ModelSpec(PluginSpec):
    """The classifier; see ``PluginSpec``."""

    of: ClassVar[Kind] = MODEL

    if TYPE_CHECKING:

        def __init__(self, *, kind: str, **params: Any) -> None: ...


class AggregationSpec(PluginSpec):
    """The federated algorithm; see ``PluginSpec``."""

    of: ClassVar[Kind] = AGGREGATION

    if TYPE_CHECKING:

        def __init__(self, *, kind: str, **params: Any) -> None: ...


def as_json(value: Any) -> str:
    """Return a value as JSON that is the same for equal values."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _plain(value: Any) -> Any:
    """Return a value with lists for tuples, as JSON has them."""
    return [_plain(one) for one in value] if isinstance(value, tuple) else value


def non_defaults(spec: BaseModel) -> dict[str, Any]:
    """Dump a spec without the fields at their default; the discriminator always stays."""
    dumped: dict[str, Any] = {}
    for name, field in type(spec).model_fields.items():
        value = getattr(spec, name)
        if name != "kind" and not field.is_required() and value == field.default:
            continue
        if isinstance(value, BaseModel):
            dumped[name] = non_defaults(value)
        else:
            dumped[name] = _plain(value)
    return {**dumped, **(spec.__pydantic_extra__ or {})}
