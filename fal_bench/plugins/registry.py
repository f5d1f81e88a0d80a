"""The registry: every strategy, trainer, aggregation, data set, model and metric there is.

A built-in plugin is found by its place: ``strategies/fal_margin.py`` is the strategy
``fal-margin``, ``fal_bench/models/mlp.py`` the model ``mlp``; a folder serves as a file does. Names
that begin with an underscore are helpers. Other packages have entry points in a group that is
called as the package of the built-in ones is. Plugin files need nothing but to be named.

Names are known without importing anything. A plugin that cannot be imported is listed with its
reason and never stops the others.
"""

from __future__ import annotations

import inspect
import os
import pkgutil
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from importlib import import_module
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from importlib.util import find_spec
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
from fal_bench.plugins.files import check_imported, forget_edited, import_file, note, python_files
from fal_bench.plugins.own_code import Root, own_modules, source_hash

if TYPE_CHECKING:
    from fal_bench.data.base import Dataset
    from fal_bench.plugins.aggregation import Aggregation
    from fal_bench.plugins.given import Given
    from fal_bench.plugins.metric import Metric
    from fal_bench.plugins.strategy import Strategy
    from fal_bench.plugins.trainer import Trainer

Loaded = TypeVar("Loaded")
Made = TypeVar("Made", "Strategy", "Trainer", "Aggregation")
Returned = TypeVar("Returned")
Table = TypeVar("Table", bound="PluginTable[Any]")

_OURS: Final = "fal_bench"


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
class _Origin:
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
    _origins: dict[str, _Origin] = field(default_factory=dict)
    _loaded: dict[str, Loaded] = field(default_factory=dict)

    @property
    def sources(self) -> dict[str, str]:
        """Where each plugin comes from, by name."""
        return {name: origin.source for name, origin in self._origins.items()}

    def add_built_in(self) -> None:
        """Add falbench's own plugins of this kind."""
        for name, module in _places(self.kind.package).items():
            load = partial(built_in, self.kind, name)
            self._claim(name, _Origin(module, load, module, built_in=True))

    def add_entry(self, entry: EntryPoint) -> None:
        """Add what an installed package has registered.

        Raises:
            InvalidSpecError: the name is taken.
        """
        if entry.module.partition(".")[0] != _OURS:  # an older falbench had entry points, too
            load = partial(self._installed, entry)
            self._claim(entry.name, _Origin(entry.value, load, entry.module))

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
            _Origin(source, lambda: plugin, built_in=given is None, fingerprint=known, given=given),
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
            raise UnknownNameError(self.kind.word, name, filter(can_be_typed, self.names()))
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

    def _claim(self, name: str, origin: _Origin) -> None:
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
        for place in _places(self.kind.package).values():
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


@dataclass
class Registry:
    """All plugins that can be asked for.

    The methods are about strategies, which is what most callers want.

    Attributes:
        unavailable: plugin files that could not be loaded.
        files: plugin files that were, and plugins given in Python.
    """

    unavailable: list[Unavailable] = field(default_factory=list)
    files: list[Path | Given] = field(default_factory=list)

    @classmethod
    def discover(cls, plugins: Sequence[Path | Given] = (), *, try_first: bool = False) -> Registry:
        """Collect the built-in and installed plugins and those in the given files and folders.

        What was edited since this process imported it is imported again.

        Args:
            plugins: Python files, or folders whose ``*.py`` files are read, but for tests; and
                plugins given in Python.
            try_first: import files in another process first, which they may end or hang.

        Raises:
            InvalidSpecError: a path does not exist, or two plugins of a kind share a name.
        """
        forget_edited()
        registry = cls()
        paths = [one for one in plugins if isinstance(one, Path)]
        files = [file for path in paths for file in python_files(path)]
        faults: dict[Path, str] = {}
        if files and try_first:
            from fal_bench.plugins.trial import faults_at_import

            faults = faults_at_import(files)
        for file in files:
            if file in faults:
                registry.unavailable.append(Unavailable(file.stem, str(file), faults[file]))
            else:
                registry._add_file(file)
        for one in plugins:
            if not isinstance(one, Path):
                registry._add(one.load(), "given in Python", one)
                registry.files.append(one)
        return registry

    # Each kind is collected when it is first asked for.

    @cached_property
    def strategies(self) -> ClassTable[Strategy]:
        """All strategies."""
        return _collected(ClassTable(STRATEGY, self.unavailable))

    @cached_property
    def trainers(self) -> ClassTable[Trainer]:
        """All trainers."""
        return _collected(ClassTable(TRAINER, self.unavailable))

    @cached_property
    def aggregations(self) -> ClassTable[Aggregation]:
        """All aggregations."""
        return _collected(ClassTable(AGGREGATION, self.unavailable))

    @cached_property
    def datasets(self) -> FunctionTable[Dataset]:
        """All data sets."""
        return _collected(FunctionTable(DATASET, self.unavailable))

    @cached_property
    def models(self) -> FunctionTable[Any]:
        """All models."""
        return _collected(FunctionTable(MODEL, self.unavailable))

    @cached_property
    def metrics(self) -> MetricTable:
        """All metrics."""
        return _collected(MetricTable(METRIC, self.unavailable))

    def tables(self) -> tuple[PluginTable[Any], ...]:
        """Return the plugins of all kinds, kind by kind."""
        return (
            self.strategies,
            self.trainers,
            self.aggregations,
            self.datasets,
            self.models,
            self.metrics,
        )

    @property
    def sources(self) -> dict[str, str]:
        """Where each strategy comes from, by name."""
        return self.strategies.sources

    def names(self) -> list[str]:
        """Return the strategies' names, sorted."""
        return self.strategies.names()

    def load(self, name: str) -> type[Strategy]:
        """Import a strategy's class; see ``PluginTable.load``."""
        return self.strategies.load(name)

    def make(self, selector: Selector) -> Strategy:
        """Return a strategy with its parameters; see ``ClassTable.make``."""
        return self.strategies.make(selector)

    def fingerprint(self, name: str) -> str:
        """Return what identifies a strategy's behaviour; see ``PluginTable.fingerprint``."""
        return self.strategies.fingerprint(name)

    def _add_file(self, file: Path) -> None:
        """Import a file, once per content, and add the plugins that it defines itself."""
        try:
            module = import_file(file)
            found = [
                member
                for member in list(vars(module).values())
                if kind_of(member) is not None and code_of(member).__module__ == module.__name__
            ]
        except BaseException as error:
            let_interrupts_pass(error)
            reason = f"{message_of(error)}{_place(error, file)}"
            self.unavailable.append(Unavailable(file.stem, str(file), reason))
            return
        if not found:
            reason = (
                "it defines no plugin: no subclass of Strategy, Trainer or Aggregation with a "
                "name, and no function that is decorated as a data set, model or metric"
            )
            self.unavailable.append(Unavailable(file.stem, str(file), reason, empty=True))
            return
        self.files.append(file)
        for plugin in found:
            self._add(plugin, str(file), file)

    def _add(self, plugin: Any, source: str, given: Path | Given) -> None:
        kind = kind_of(plugin)
        [table] = [table for table in self.tables() if table.kind == kind]
        table.add(plugin, source, given)


def _collected(table: Table) -> Table:
    """Add the built-in and installed plugins to a table."""
    table.add_built_in()
    for entry in installed_entries(table.kind.package):
        table.add_entry(entry)
    return table


def installed_entries(group: str) -> EntryPoints:
    """Return a group of the entry points of what is installed.

    They are read again when Python looks for modules in other folders, or one of these changed.

    Args:
        group: the group's name.
    """
    folders = tuple(sys.path)
    return _entries_of(group, (folders, tuple(map(_last_change, folders))))


@lru_cache(maxsize=16)
def _entries_of(group: str, state: object) -> EntryPoints:  # noqa: ARG001  # what is there now
    return entry_points(group=group)


def _last_change(folder: str) -> int:
    """Return when an entry was added to a folder, or removed."""
    try:
        return os.stat(folder or ".").st_mtime_ns
    except OSError:
        return 0


_active: ContextVar[Registry | None] = ContextVar("registry", default=None)


def current_registry() -> Registry:
    """Return the registry in use: that of ``use_registry``, else what is installed."""
    return _active.get() or _installed(tuple(sys.path))


@contextmanager
def use_registry(registry: Registry) -> Iterator[None]:
    """Look data sets, models and aggregations up in a registry while the context is open."""
    token = _active.set(registry)
    try:
        yield
    finally:
        _active.reset(token)


@lru_cache(maxsize=1)
def _installed(path: tuple[str, ...]) -> Registry:  # noqa: ARG001  # what is installed depends on it
    return Registry.discover()


def built_in(kind: Kind, name: str) -> Any:
    """Import one of falbench's own plugins; return None if there is none of that name.

    Raises:
        PluginError: its file does not define it.
    """
    place = _places(kind.package).get(name)
    if place is None:
        return None
    for member in vars(import_module(place)).values():
        if kind_of(member) == kind and name_of(member) == name:
            return member
    raise PluginError(f"{place} defines no {kind.word} called {name!r}")


@lru_cache(maxsize=8)
def _places(package: str) -> dict[str, str]:
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


def _place(error: BaseException, file: Path) -> str:
    """Say at which line of a plugin file, and of what it imports, an error arose."""
    if isinstance(error, SyntaxError):
        return ""  # says so itself
    frames = traceback.extract_tb(error.__traceback__)
    folder = str(file.resolve().parent)
    own = [frame for frame in frames if str(Path(frame.filename).resolve().parent) == folder]
    if not own:
        return ""
    return f", at {Path(own[-1].filename).name}, line {own[-1].lineno}"
