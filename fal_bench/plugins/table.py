"""The plugins of one kind: their names, their classes, and what identifies their behaviour."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from fal_bench.errors import FalbenchError, InvalidSpecError, PluginError, UnknownNameError, told
from fal_bench.inputs.selector import Selector, can_be_typed
from fal_bench.isolation.interrupts import let_interrupts_pass
from fal_bench.plugins.edits import check_imported, note
from fal_bench.plugins.own_code import Root, own_modules, source_hash


class Plugin(Protocol):
    """What strategies and trainers have in common.

    Attributes:
        name: the name used on the command line.
        version: raised whenever the behaviour changes.
    """

    name: ClassVar[str]
    version: ClassVar[int | None]

    def __init__(self, params: dict[str, Any] | None = None) -> None: ...


Kind = TypeVar("Kind", bound=Plugin)


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
        raise PluginError(f"Plugin {name!r} cannot be set up: {told(error)}.") from error


@dataclass
class PluginTable(Generic[Kind]):
    """The plugins of one kind. Names come from package metadata, so listing imports nothing.

    Attributes:
        kind: ``"strategy"`` or ``"trainer"``.
        group: the entry-point group.
        sources: where each plugin comes from, by name.
        unavailable: plugin files that could not be loaded, of any kind.
    """

    kind: str
    group: str
    unavailable: list[Unavailable]
    sources: dict[str, str] = field(default_factory=dict)
    _entries: dict[str, EntryPoint] = field(default_factory=dict)
    _classes: dict[str, type[Kind]] = field(default_factory=dict)

    def add_installed(self) -> None:
        """Add the installed plugins.

        Raises:
            InvalidSpecError: two share a name.
        """
        for entry in entry_points(group=self.group):
            self._claim(entry.name, entry.value)
            self._entries[entry.name] = entry

    def add(self, plugin: type[Kind], file: Path) -> None:
        """Add a class that a plugin file defines.

        Raises:
            InvalidSpecError: the name is taken.
        """
        self._claim(plugin.name, str(file))
        self._classes[plugin.name] = plugin

    def sources_in(self, path: Path) -> list[str]:
        """Return the names of plugins from a file, or from the files of a folder."""
        return [
            name
            for name, source in self.sources.items()
            if source.endswith(".py") and path in (Path(source), Path(source).parent)
        ]

    def names(self) -> list[str]:
        """Return all names, sorted."""
        return sorted(self.sources)

    def load(self, name: str) -> type[Kind]:
        """Import a plugin's class.

        Raises:
            UnknownNameError: there is no such plugin.
            PluginError: it cannot be imported.
        """
        if name not in self.sources:
            if self.unavailable:
                broken = "; ".join(f"{one.source}: {one.reason}" for one in self.unavailable)
                raise PluginError(
                    f"No {self.kind} {name!r} could be loaded ({broken}); mend the file."
                )
            raise UnknownNameError(self.kind, name, filter(can_be_typed, self.names()))
        if name not in self._classes:
            try:
                loaded = self._entries[name].load()
            except BaseException as error:
                let_interrupts_pass(error)
                raise PluginError(
                    f"{self.kind.capitalize()} {name!r} ({self.sources[name]}) cannot be loaded: "
                    f"{told(error)}."
                ) from error
            self._classes[name] = loaded
        return self._classes[name]

    def make(self, selector: Selector) -> Kind:
        """Return a plugin with its parameters.

        Raises:
            UnknownNameError: there is no such plugin.
            PluginError: it cannot be imported.
            InvalidSpecError: a parameter is unknown or has a value it cannot take.
        """
        plugin = self.load(selector.name)
        with blamed_on(selector.name):
            return plugin(dict(selector.params))

    def fingerprint(self, name: str) -> str:
        """Return what identifies a plugin's behaviour in a run's key.

        Built-ins declare a version, so that a changed comment voids no result; for any other
        plugin it is a hash of its source file and of the own modules that it imports.

        Raises:
            PluginError: it cannot be imported, has no source file, or another module of the name
                of one of its own is imported.
        """
        plugin = self.load(name)
        if plugin.__module__.startswith(f"{self.group}.") and plugin.version is not None:
            return f"version {plugin.version}"
        source = inspect.getsourcefile(plugin)
        if source is None:
            raise PluginError(
                f"{self.kind.capitalize()} {name!r} has no source file; define it in a .py file."
            )
        entry = self._entries.get(name)
        root = Root(
            Path(source),
            package=sys.modules[plugin.__module__].__package__ or "",
            modules=(entry.module, plugin.__module__) if entry else (),
        )
        own = own_modules(root)
        note(own)
        check_imported(name, own)
        return f"source {source_hash(root, own)}"

    def describe(self, name: str) -> str:
        """Import a plugin and return the first sentence of its docstring, or why it fails."""
        try:
            plugin = self.load(name)
        except PluginError as error:
            return f"unavailable: {error}"
        first = (inspect.getdoc(plugin) or "").split("\n\n")[0]
        return f"{' '.join(first.split())} [{self.sources[name]}]"

    def _claim(self, name: str, source: str) -> None:
        if name in self.sources:
            plural = {"strategy": "strategies"}.get(self.kind, f"{self.kind}s")
            raise InvalidSpecError(
                f"Two {plural} are called {name!r}: {self.sources[name]} and {source}; rename one."
            )
        self.sources[name] = source
