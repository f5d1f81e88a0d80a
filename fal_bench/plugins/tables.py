"""Tables of plugins, one a kind: their names, where they come from, and what identifies them."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from fal_bench.errors import (
    FalbenchError,
    InvalidSpecError,
    PluginError,
    UnknownNameError,
    message_of,
)
from fal_bench.inputs.selector import Selector, can_be_typed
from fal_bench.isolation.interrupts import let_interrupts_pass
from fal_bench.plugins.built_in import (
    DATASET,
    METRIC,
    Kind,
    built_in,
    code_of,
    kind_of,
    name_of,
    places_of,
)
from fal_bench.plugins.files import check_imported, note
from fal_bench.plugins.own_code import Root, own_modules, source_hash

if TYPE_CHECKING:
    from fal_bench.plugins.aggregation import Aggregation
    from fal_bench.plugins.given import Given
    from fal_bench.plugins.metric import Metric
    from fal_bench.plugins.strategy import Strategy
    from fal_bench.plugins.trainer import Trainer

Loaded = TypeVar("Loaded")
Made = TypeVar("Made", "Strategy", "Trainer", "Aggregation")
Returned = TypeVar("Returned")

_OURS: Final = "fal_bench"


@dataclass(frozen=True)
class Unavailable:
    """A plugin file that cannot be used.

    Attributes:
        name: the file's name without its suffix.
        source: the file.
        reason: why.
        empty: whether it can be imported, but defines no plugin.
    """

    name: str
    source: str
    reason: str
    empty: bool = False

    @property
    def message(self) -> str:
        """The same in a sentence."""
        return f"{self.source} cannot be loaded ({self.reason}); fix the file."


@contextmanager
def blamed_on(name: str) -> Iterator[None]:
    """Turn whatever a plugin's own code raises into one sentence with its name.

    Raises:
        PluginError: the code raised something else than a falbench error.
    """
    try:
        yield
    except FalbenchError:
        raise
    except BaseException as error:
        let_interrupts_pass(error)
        raise PluginError(f"Plugin {name!r} cannot be set up: {message_of(error)}.") from error


@dataclass(frozen=True)
class Origin:
    """Where a plugin comes from.

    Attributes:
        source: the same in words.
        load: imports it.
        module: for installed plugins the module that ``load`` imports.
        built_in: whether it is falbench's own.
        fingerprint: what identifies its behaviour, if that is known already.
        given: the file or object that was given; None for built-in and installed plugins.
    """

    source: str
    load: Callable[[], Any]
    module: str = ""
    built_in: bool = False
    fingerprint: str = ""
    given: Path | Given | None = None


@dataclass(frozen=True)
class Foreign:
    """A plugin that is not falbench's own; what belongs together has equal ones.

    Attributes:
        place: the file, the package, or the object that it comes from.
        given: what has to be given to ``Registry.discover`` to find it; None if it is installed.
    """

    place: str
    given: Path | Given | None = None


@dataclass
class PluginTable(Generic[Loaded]):
    """The plugins of one kind.

    Attributes:
        kind: the kind.
        unavailable: plugin files that could not be loaded, of any kind.
    """

    kind: Kind
    unavailable: list[Unavailable]
    _origins: dict[str, Origin] = field(default_factory=dict)
    _loaded: dict[str, Loaded] = field(default_factory=dict)

    @property
    def sources(self) -> dict[str, str]:
        """Where each plugin comes from, by name."""
        return {name: origin.source for name, origin in self._origins.items()}

    def add_built_in(self) -> None:
        """Add falbench's own plugins of this kind."""
        for name, module in places_of(self.kind.package).items():
            load = partial(built_in, self.kind, name)
            self._claim(name, Origin(module, load, module, built_in=True))

    def add_entry(self, entry: EntryPoint) -> None:
        """Add what an installed package has registered.

        Raises:
            InvalidSpecError: the name is taken.
        """
        if entry.module.partition(".")[0] != _OURS:  # an older falbench had entry points, too
            load = partial(self._installed, entry)
            self._claim(entry.name, Origin(entry.value, load, entry.module))

    def add(self, plugin: Loaded, source: str, given: Path | Given | None = None) -> None:
        """Add a plugin that a file defines, or that was given in Python.

        Args:
            plugin: the plugin.
            source: where it comes from, in words.
            given: the file or object that was given; None if it is falbench's own.

        Raises:
            InvalidSpecError: the name is taken.
        """
        known = "" if given is None or isinstance(given, Path) else given.fingerprint
        self._claim(
            name_of(plugin),
            Origin(source, lambda: plugin, built_in=given is None, fingerprint=known, given=given),
        )

    def sources_in(self, path: Path) -> list[str]:
        """Return the names of plugins from a file, or from the files of a folder."""
        return [
            name
            for name, source in self.sources.items()
            if source.endswith(".py") and path in (Path(source), Path(source).parent)
        ]

    def names(self) -> list[str]:
        """Return all names, sorted."""
        return sorted(self._origins)

    def built_in(self, name: str) -> bool:
        """Whether a plugin is falbench's own."""
        return name in self._origins and self._origins[name].built_in

    def foreign(self, name: str) -> Foreign | None:
        """Return where a plugin comes from that is not falbench's own; None if it is."""
        origin = self._origins[name]
        if origin.built_in:
            return None
        place = origin.module.partition(".")[0] or str(origin.given)
        return Foreign(place, origin.given)

    def load(self, name: str) -> Loaded:
        """Import a plugin.

        Raises:
            UnknownNameError: there is no such plugin.
            PluginError: it cannot be imported.
        """
        if name not in self._origins:
            if self.unavailable:
                broken = "; ".join(f"{one.source}: {one.reason}" for one in self.unavailable)
                raise PluginError(
                    f"No {self.kind.word} {name!r} could be loaded ({broken}); correct the file."
                )
            raise UnknownNameError(
                self.kind.word, name, filter(can_be_typed, self.names()), file="--plugin FILE"
            )
        if name not in self._loaded:
            origin = self._origins[name]
            try:
                self._loaded[name] = origin.load()
            except BaseException as error:
                let_interrupts_pass(error)
                raise PluginError(
                    f"{self.kind.word.capitalize()} {name!r} ({origin.source}) cannot be loaded: "
                    f"{message_of(error)}."
                ) from error
        return self._loaded[name]

    def fingerprint(self, name: str) -> str:
        """Return what identifies a plugin's behaviour in a run's key.

        A built-in class declares a version, so that a changed comment voids no result; built-in
        functions are identified by their name. For any other plugin it is a hash of its source
        file and of the own modules that it imports.

        Raises:
            PluginError: it cannot be imported, has no source file, or another module of the name
                of one of its own is imported.
        """
        plugin: Any = self.load(name)
        origin = self._origins[name]
        if origin.fingerprint:
            return origin.fingerprint
        if origin.built_in and not isinstance(plugin, type):
            return ""
        if origin.built_in and plugin.version is not None:
            return f"version {plugin.version}"
        code = code_of(plugin)
        source = inspect.getsourcefile(code)
        if source is None:
            raise PluginError(
                f"{self.kind.word.capitalize()} {name!r} has no source file; define it in a .py "
                "file."
            )
        root = Root(
            Path(source),
            package=sys.modules[code.__module__].__package__ or "",
            modules=(origin.module, code.__module__) if origin.module else (),
        )
        own = own_modules(root)
        note(own)
        check_imported(name, own)
        return f"source {source_hash(root, own)}"

    def describe(self, name: str) -> str:
        """Import a plugin and return the first paragraph of its docstring, or why it fails."""
        try:
            plugin: Any = self.load(name)
            words = self._words(plugin)
        except FalbenchError as error:
            return f"unavailable: {error}"
        return f"{' '.join(words.replace('``', '').split())} [{self._origins[name].source}]"

    def _installed(self, entry: EntryPoint) -> Any:
        """Import what an entry point names."""
        plugin = entry.load()
        if kind_of(plugin) != self.kind:
            raise PluginError(f"it is no {self.kind.word}, but {plugin!r}")
        return plugin

    def _words(self, plugin: Any) -> str:
        return (inspect.getdoc(code_of(plugin)) or "No description.").split("\n\n")[0]

    def _claim(self, name: str, origin: Origin) -> None:
        if name in self._origins:
            raise InvalidSpecError(
                f"Two {self.kind.words} are called {name!r}: {self._origins[name].source} and "
                f"{origin.source}; rename one."
            )
        self._origins[name] = origin


class ClassTable(PluginTable[type[Made]]):
    """Strategies, trainers or aggregations."""

    def make(self, selector: Selector) -> Made:
        """Return a plugin with its parameters.

        Raises:
            UnknownNameError: there is no such plugin.
            PluginError: it cannot be imported.
            InvalidSpecError: a parameter is unknown or has a value it cannot take.
        """
        plugin = self.load(selector.name)
        with blamed_on(selector.name):
            return plugin(dict(selector.params))


class FunctionTable(PluginTable[Callable[..., Returned]]):
    """Data sets or models; see ``fal_bench.plugins.functions`` for their parameters."""

    def _installed(self, entry: EntryPoint) -> Any:
        """Import what an entry point names; a data set's function needs no decorator."""
        from fal_bench.plugins.functions import dataset, traits_of

        plugin = entry.load()
        if self.kind == DATASET and inspect.isfunction(plugin) and traits_of(plugin) is None:
            return dataset(plugin)
        return super()._installed(entry)

    def _words(self, plugin: Any) -> str:
        from fal_bench.plugins.functions import described

        return f"{super()._words(plugin)} {described(plugin)}"


class MetricTable(PluginTable["Metric"]):
    """Metrics. Built-in ones may share a file.

    Any metric that asks for no clients has three others, which are found by their names, but not
    listed: ``worst_client_<metric>``, ``mean_client_<metric>`` and ``client_<metric>_spread``.
    """

    def __contains__(self, name: str) -> bool:
        return self._listed(name) in self._origins

    def load(self, name: str) -> Metric:
        """Import a metric; see ``PluginTable.load``."""
        from fal_bench.plugins.metric import by_client

        base = self._listed(name)
        form = by_client(name)
        if base == name or form is None:
            return super().load(name)
        metric = super().load(base)
        if "clients" in metric.inputs:
            raise PluginError(
                f"There is no metric {name!r}, because {base!r} asks for clients itself; take that "
                "one."
            )
        return form[1](metric)

    def built_in(self, name: str) -> bool:
        """Whether a metric is falbench's own."""
        return super().built_in(self._listed(name))

    def foreign(self, name: str) -> Foreign | None:
        """Return where a metric comes from that is not falbench's own; None if it is."""
        return super().foreign(self._listed(name))

    def _listed(self, name: str) -> str:
        """Return the listed metric that a name is of: the name itself, or what it measures."""
        from fal_bench.plugins.metric import by_client

        form = None if name in self._origins else by_client(name)
        return form[0] if form is not None and form[0] in self._origins else name

    def add_built_in(self) -> None:
        """Add falbench's own metrics, which takes importing them."""
        for place in places_of(self.kind.package).values():
            for member in vars(import_module(place)).values():
                if kind_of(member) == METRIC and member.function.__module__ == place:
                    self.add(member, place)

    def known(self, name: str) -> Metric | None:
        """Import a metric; return None if there is none of that name that can be imported."""
        try:
            return self.load(name)
        except (PluginError, UnknownNameError):
            return None

    def all(self) -> tuple[Metric, ...]:
        """Import all metrics that can be imported, and return them by name."""
        found = map(self.known, self.names())
        return tuple(one for one in found if one is not None)

    def faults(self) -> dict[str, str]:
        """Return why metrics cannot be imported, by name; they are not recorded."""
        found = {}
        for name in self.names():
            try:
                self.load(name)
            except PluginError as error:
                found[name] = str(error)
        return found
