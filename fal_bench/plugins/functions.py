"""Plugins that are functions: data sets and models.

Their parameters are those of the function, and its annotations say which values they take::

    @fal_bench.dataset
    def my_photos(train: Annotated[int, Field(ge=1)] = 1000) -> Dataset: ...

    @fal_bench.model
    def my_net(input_shape, n_classes, *, width: Annotated[int, Field(ge=1)] = 8) -> nn.Module: ...

The plugin is called as its function is, with hyphens and without a ``load_`` in front:
``my-photos``, ``my-net``.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, ClassVar, TypeVar, get_type_hints, overload

from pydantic import ValidationError, create_model

from fal_bench.errors import InvalidSpecError, PluginError
from fal_bench.inputs.params import Params, explain
from fal_bench.plugins.kinds import ALL_KINDS, Kind

Function = TypeVar("Function", bound=Callable[..., Any])

_ATTRIBUTE = "fal_bench_plugin"

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


@dataclass(frozen=True)
class DatasetTraits:
    """What can be known of a data set without loading it.

    Attributes:
        digest: takes the function's parameters and returns a digest of the data, which becomes
            part of a run's identity. For data that are the user's own; None where the name and the
            parameters say which data they are.
        whereabouts: says in a few words whether the data are on this machine.
    """

    digest: Callable[..., str] | None = None
    whereabouts: Callable[[], str] | None = None

    word: ClassVar[str] = "data set"
    given: ClassVar[int] = 0
    """Number of first arguments that are no parameters."""


@dataclass(frozen=True)
class ModelTraits:
    """How a model is trained.

    Attributes:
        stacked_pixels: the stacked engine trains it on images of up to so many pixels (None: of
            any size), the sequential engine on larger ones. A measured limit
            (docs/performance.md), and a fixed one: a choice by timing would let results depend on
            the clock. The stacked engine knows only the layers of falbench's own models.
        kinds: the kinds of data that it takes.
    """

    stacked_pixels: int | None = 0
    kinds: tuple[Kind, ...] = ALL_KINDS

    word: ClassVar[str] = "model"
    given: ClassVar[int] = 2


Traits = DatasetTraits | ModelTraits


@overload
def dataset(function: Function, /) -> Function: ...


@overload
def dataset(
    *,
    digest: Callable[..., str] | None = None,
    whereabouts: Callable[[], str] | None = None,
) -> Callable[[Function], Function]: ...


def dataset(
    function: Any = None,
    /,
    *,
    digest: Callable[..., str] | None = None,
    whereabouts: Callable[[], str] | None = None,
) -> Any:
    """Mark a function that returns a ``Dataset`` as a data set.

    Args:
        function: the function, if the decorator is used without brackets.
        digest: see ``DatasetTraits``.
        whereabouts: see ``DatasetTraits``.
    """
    return _marking(function, DatasetTraits(digest, whereabouts))


@overload
def model(function: Function, /) -> Function: ...


@overload
def model(
    *, stacked_pixels: int | None = 0, kinds: tuple[Kind, ...] = ALL_KINDS
) -> Callable[[Function], Function]: ...


def model(
    function: Any = None,
    /,
    *,
    stacked_pixels: int | None = 0,
    kinds: tuple[Kind, ...] = ALL_KINDS,
) -> Any:
    """Mark a function as a model.

    It takes the shape (C, H, W) of a sample (a series has height 1, a vector height and width 1),
    the number of classes, and parameters of its own. It returns a module whose
    ``body`` maps a batch (n, C, H, W) to embeddings (n, d), and whose ``head`` is the
    ``nn.Linear`` from these to the logits.

    Args:
        function: the function, if the decorator is used without brackets.
        stacked_pixels: see ``ModelTraits``; for falbench's own models.
        kinds: the kinds of data that it takes; data of others are refused in one sentence.
    """
    return _marking(function, ModelTraits(stacked_pixels, kinds))


def traits_of(member: object) -> Traits | None:
    """Return what a function is marked as; None if it is no plugin."""
    traits = getattr(member, _ATTRIBUTE, None) if inspect.isfunction(member) else None
    return traits if isinstance(traits, DatasetTraits | ModelTraits) else None


def function_name(function: Callable[..., Any]) -> str:
    """Return the name of a plugin that is a function: ``load_digits`` is ``digits``."""
    return function.__name__.removeprefix("load_").replace("_", "-")


@lru_cache(maxsize=64)
def parameters_of(function: Callable[..., Any]) -> type[Params]:
    """Return the parameters of a plugin's function as a class.

    Raises:
        PluginError: an annotation cannot be resolved, or a parameter has a name it cannot have.
    """
    traits = traits_of(function)
    assert traits is not None
    who = f"{traits.word} {function_name(function)!r}"
    parameters = list(inspect.signature(function).parameters.values())[traits.given :]
    parameters = [one for one in parameters if one.kind in _NAMED]
    annotations = {
        one.name: one.annotation for one in parameters if one.annotation is not one.empty
    }
    try:
        # Those of the parameters only: others may be imported for type checking alone.
        hints = get_type_hints(
            SimpleNamespace(__annotations__=annotations), function.__globals__, include_extras=True
        )
    except NameError as error:
        raise PluginError(
            f"The function of {who} has an annotation that cannot be resolved ({error}); import "
            "that name at run time, not for type checking only."
        ) from error
    fields: dict[str, Any] = {
        one.name: (hints.get(one.name, Any), ... if one.default is one.empty else one.default)
        for one in parameters
    }
    if "kind" in fields and isinstance(traits, ModelTraits):
        raise PluginError(
            f"The function of {who} has a parameter 'kind', which names the model; rename it."
        )
    try:
        return create_model("Parameters", __base__=Params, **fields)
    except (NameError, TypeError, ValueError) as error:
        raise PluginError(
            f"The function of {who} has a parameter that falbench cannot check ({error}); rename "
            "or annotate it."
        ) from error


def checked(function: Callable[..., Any], params: Mapping[str, Any]) -> Params:
    """Check parameters against a function's annotations, without bending types (no "3" for 3).

    Raises:
        InvalidSpecError: a parameter is unknown, missing, or has a value it cannot take.
        PluginError: see ``parameters_of``.
    """
    traits, accepted = traits_of(function), parameters_of(function)
    assert traits is not None
    try:
        # As JSON, which selectors are written in: a list may stand for a tuple, a text for a path.
        return accepted.model_validate_json(json.dumps(params), strict=True)
    except ValidationError as error:
        name = function_name(function)
        raise InvalidSpecError(explain(traits.word.capitalize(), name, accepted, error)) from None


def canonical(plugin: Callable[..., Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that differ from their defaults, as JSON values.

    Args:
        plugin: a function, see ``checked``; or a class, which checks its parameters itself.
        params: values by name.
    """
    values = plugin(params).params if isinstance(plugin, type) else checked(plugin, params)
    stated: dict[str, Any] = values.model_dump(mode="json", exclude_defaults=True)
    return stated


def arguments(function: Callable[..., Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keyword arguments that checked parameters stand for; see ``checked``."""
    values = checked(function, params)
    return {name: getattr(values, name) for name in values.model_fields_set}


def described(function: Callable[..., Any]) -> str:
    """Return words on a function's parameters, and on where its data are."""
    shown = ", ".join(
        _shown(name, field.is_required(), field.default)
        for name, field in parameters_of(function).model_fields.items()
    )
    parts = [f"Parameters: {shown}."] if shown else []
    traits = traits_of(function)
    if isinstance(traits, DatasetTraits) and traits.whereabouts is not None:
        parts.append(f"Data: {traits.whereabouts()}.")
    return " ".join(parts)


def _marking(function: Any, traits: Traits) -> Any:
    """Return the marked function, or the decorator if there is none yet."""

    def mark(function: Function) -> Function:
        if not inspect.isfunction(function):
            raise TypeError(f"a {traits.word} is a function, not {function!r}")
        setattr(function, _ATTRIBUTE, traits)
        return function

    return mark if function is None else mark(function)


def _shown(name: str, needed: bool, default: Any) -> str:
    """Return a parameter with its default, as it would be written in a selector."""
    if needed:
        return f"{name} (needed)"
    if default is None:
        return name
    return f"{name}={default if isinstance(default, str) else json.dumps(default)}"
