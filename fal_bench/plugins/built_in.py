"""The kinds of plugins, and falbench's own of each kind, which are found by their place.

``strategies/fal_margin.py`` is the strategy ``fal-margin``, ``fal_bench/models/mlp.py`` the model
``mlp``; a folder serves as a file does. Names that begin with an underscore are helpers. Names are
known without importing anything.
"""

from __future__ import annotations

import inspect
import pkgutil
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

from fal_bench.errors import PluginError


@dataclass(frozen=True)
class Kind:
    """A kind of plugin.

    Attributes:
        word: what one is called.
        words: what several are called.
        package: where the built-in ones are, and the entry-point group of the others.
    """

    word: str
    words: str
    package: str


STRATEGY: Final = Kind("strategy", "strategies", "fal_bench.strategies")
TRAINER: Final = Kind("trainer", "trainers", "fal_bench.trainers")
AGGREGATION: Final = Kind("aggregation", "aggregations", "fal_bench.aggregations")
DATASET: Final = Kind("data set", "data sets", "fal_bench.datasets")
MODEL: Final = Kind("model", "models", "fal_bench.models")
METRIC: Final = Kind("metric", "metrics", "fal_bench.metrics")


def kind_of(member: object) -> Kind | None:
    """Return the kind of plugin that an object is; None if it is none."""
    from fal_bench.plugins.aggregation import Aggregation
    from fal_bench.plugins.functions import DatasetTraits, traits_of
    from fal_bench.plugins.metric import Metric
    from fal_bench.plugins.strategy import Strategy
    from fal_bench.plugins.trainer import Trainer

    if isinstance(member, type):
        bases = ((Strategy, STRATEGY), (Trainer, TRAINER), (Aggregation, AGGREGATION))
        if "name" not in vars(member):
            return None
        return next((kind for base, kind in bases if issubclass(member, base)), None)
    if isinstance(member, Metric):
        return METRIC
    traits = traits_of(member)
    if traits is None:
        return None
    return DATASET if isinstance(traits, DatasetTraits) else MODEL


def name_of(plugin: Any) -> str:
    """Return the name of a plugin."""
    from fal_bench.plugins.functions import function_name

    return function_name(plugin) if inspect.isfunction(plugin) else str(plugin.name)


def code_of(plugin: Any) -> Any:
    """Return the class or function that a plugin is, which knows its module, source and words."""
    return plugin.function if kind_of(plugin) == METRIC else plugin


def built_in(kind: Kind, name: str) -> Any:
    """Import one of falbench's own plugins; return None if there is none of that name.

    Raises:
        PluginError: its file does not define it.
    """
    place = places_of(kind.package).get(name)
    if place is None:
        return None
    for member in vars(import_module(place)).values():
        if kind_of(member) == kind and name_of(member) == name:
            return member
    raise PluginError(f"{place} defines no {kind.word} called {name!r}")


@lru_cache(maxsize=8)
def places_of(package: str) -> dict[str, str]:
    """Return the modules of a package of built-in plugins by the plugins' names.

    A file holds the plugin of its name, and those that the package lists as ``BESIDE`` it.
    """
    spec = find_spec(package)
    folders = None if spec is None else spec.submodule_search_locations
    places = {
        module.name.replace("_", "-"): f"{package}.{module.name}"
        for module in pkgutil.iter_modules(folders or ())
        if not module.name.startswith("_")
    }
    beside = getattr(import_module(package), "BESIDE", {}) if places else {}
    return places | {name: f"{package}.{module}" for name, module in beside.items()}
