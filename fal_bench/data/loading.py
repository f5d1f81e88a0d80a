"""Data sets by name: the built-in ones and those of installed plugins.

A data set is a function that returns a ``Dataset``, registered in the entry-point group
``fal_bench.datasets``. Its parameters are what a user may write in brackets, as in
``digit-pairs[train=2000]``; annotate them, for values are checked against the annotations. One
whose data are the user's own says so with ``fal_bench.data.provenance.comes_from``.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from fal_bench.data.folders import Folders, current_folders
from fal_bench.data.provenance import provenance_of
from fal_bench.errors import FalbenchError, InvalidSpecError, PluginError, UnknownNameError, told
from fal_bench.inputs.selector import Selector
from fal_bench.inputs.validation import explained

if TYPE_CHECKING:
    from fal_bench.data.base import Dataset

GROUP = "fal_bench.datasets"


def dataset_names() -> list[str]:
    """Return the names of all installed data sets, sorted."""
    return sorted(entry_points(group=GROUP).names)


def load_dataset(selector_text: str) -> Dataset:
    """Load a data set, once a process; treat its tensors as read-only, for all share them.

    Args:
        selector_text: a name with parameters if need be: ``"digits"``,
            ``"digit-pairs[train=2000]"``.

    Raises:
        UnknownNameError: no data set has that name.
        InvalidSpecError: the selector or a parameter cannot be used.
        PluginError: the data set's code cannot be imported, is registered twice, or returns
            something else than a ``Dataset``.
    """
    selector = Selector.parse(selector_text)
    return _load(str(selector), current_folders(), dataset_digest(str(selector)))


def dataset_digest(selector_text: str) -> str:
    """Return what identifies a data set's content besides its selector; often nothing.

    Args:
        selector_text: as for ``load_dataset``.

    Returns:
        A digest for data that are the user's own; an empty text for published ones, and for those
        of plugins that give no digest.

    Raises:
        FalbenchError: as ``load_dataset``.
    """
    selector = Selector.parse(selector_text)
    loader = _loader(selector.name)
    arguments = _arguments(selector, loader)
    digest = provenance_of(loader).digest
    return "" if digest is None else digest(**arguments)


def describe_dataset(name: str) -> str:
    """Describe a data set in one line: what it is, its parameters, and where its data are."""
    try:
        loader = _loader(name)
        parts = [(inspect.getdoc(loader) or "No description.").partition("\n\n")[0]]
        if signature := ", ".join(_shown(one) for one in _parameters(loader).values()):
            parts.append(f"Parameters: {signature}.")
        if (whereabouts := provenance_of(loader).whereabouts) is not None:
            parts.append(f"Data: {whereabouts()}.")
    except FalbenchError as error:
        return f"unavailable: {error}"
    return " ".join(" ".join(parts).replace("``", "").split())


# A suite has few data sets, and the large ones would fill the memory. The folders and the digest
# are there so that other data under the same name are loaded anew.
@lru_cache(maxsize=8)
def _load(canonical: str, folders: Folders, digest: str) -> Dataset:  # noqa: ARG001
    from fal_bench.data.base import Dataset

    selector = Selector.parse(canonical)
    loader = _loader(selector.name)
    dataset = loader(**_arguments(selector, loader))
    if not isinstance(dataset, Dataset):
        raise PluginError(
            f"Data set {selector.name!r} returned {type(dataset).__name__}; "
            f"its function must return a fal_bench Dataset."
        )
    return dataset


def _loader(name: str) -> Callable[..., Any]:
    """Import the function registered under a name."""
    found = list(entry_points(group=GROUP, name=name))
    if not found:
        raise UnknownNameError("data set", name, dataset_names())
    if len(found) > 1:
        owners = ", ".join(sorted(_owner(entry) for entry in found))
        raise PluginError(
            f"Data set {name!r} is registered by several packages ({owners}); "
            f"uninstall all but one."
        )
    try:
        loader: Callable[..., Any] = found[0].load()
    except Exception as error:
        raise PluginError(
            f"Data set {name!r} of {_owner(found[0])} cannot be imported "
            f"({told(error)}); repair or uninstall that package."
        ) from error
    return loader


def _owner(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else entry.value


def _arguments(selector: Selector, loader: Callable[..., Any]) -> dict[str, Any]:
    """Check the given parameters against the loader's signature."""
    parameters = _parameters(loader)
    try:
        hints = get_type_hints(loader)
    except NameError as error:
        raise PluginError(
            f"The function of data set {selector.name!r} has an annotation that cannot be resolved "
            f"({error}); import that name at run time, not for type checking only."
        ) from error
    accepted = ", ".join(parameters) or "none"
    for name in selector.params:
        if name not in parameters:
            raise InvalidSpecError(
                f"Data set {selector.name!r} has no parameter {name!r}; accepted: {accepted}."
            )
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and name not in selector.params:
            raise InvalidSpecError(
                f"Data set {selector.name!r} needs a value for {name!r}; "
                f"write {selector.name}[{name}=value]."
            )
    return {
        name: _checked(selector.name, name, value, hints.get(name, Any), accepted)
        for name, value in selector.params.items()
    }


def _parameters(loader: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    return {
        name: parameter
        for name, parameter in inspect.signature(loader).parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }


def _shown(parameter: inspect.Parameter) -> str:
    """Return a parameter with its default, as it would be written in a selector."""
    default = parameter.default
    if default is parameter.empty:
        return f"{parameter.name} (needed)"
    if default is None:
        return parameter.name
    return f"{parameter.name}={default if isinstance(default, str) else json.dumps(default)}"


def _checked(dataset: str, name: str, value: Any, hint: Any, accepted: str) -> Any:
    """Return a value as its annotation wants it, without bending types (no "3" for 3)."""
    try:
        # As JSON, which selectors are written in: a list may stand for a tuple, a text for a path.
        return TypeAdapter(hint).validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        _, what = explained(error)
        raise InvalidSpecError(
            f"Parameter {name!r} of data set {dataset!r} is wrong: {what} "
            f"(accepted parameters: {accepted})."
        ) from error
