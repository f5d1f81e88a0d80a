"""The registry: every strategy, trainer, aggregation, data set, model and metric there is.

Built-in plugins are found by their place (``fal_bench.plugins.built_in``). Other packages have
entry points in a group that is called as the package of the built-in ones is. Plugin files need
nothing but to be named. A plugin that cannot be imported is listed with its reason and never stops
the others.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib.metadata import EntryPoints, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from fal_bench.errors import message_of
from fal_bench.inputs.selector import Selector
from fal_bench.isolation.interrupts import let_interrupts_pass
from fal_bench.plugins.built_in import (
    AGGREGATION,
    DATASET,
    METRIC,
    MODEL,
    STRATEGY,
    TRAINER,
    code_of,
    kind_of,
)
from fal_bench.plugins.files import forget_edited, import_file, python_files
from fal_bench.plugins.tables import (
    ClassTable,
    FunctionTable,
    MetricTable,
    PluginTable,
    Unavailable,
)

if TYPE_CHECKING:
    from fal_bench.data.base import Dataset
    from fal_bench.plugins.aggregation import Aggregation
    from fal_bench.plugins.given import Given
    from fal_bench.plugins.strategy import Strategy
    from fal_bench.plugins.trainer import Trainer

Table = TypeVar("Table", bound=PluginTable[Any])


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
