"""Finding strategies: the built-in and installed ones by entry point, others by file or folder.

Names come from package metadata, so listing them imports nothing. A plugin that cannot be
imported is reported with its reason and never stops the others.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from fal_bench.errors import FalbenchError, InvalidSpecError, PluginError, UnknownNameError
from fal_bench.selector import Selector

if TYPE_CHECKING:
    from fal_bench.strategy import Strategy

GROUP = "fal_bench.strategies"
BUILT_INS = "fal_bench.strategies."


@contextmanager
def blamed_on(name: str) -> Iterator[None]:
    """Turn whatever a strategy's own code raises into one sentence with its name.

    Raises:
        PluginError: the code raised something else than a falbench error.
    """
    try:
        yield
    except FalbenchError:
        raise
    except (Exception, SystemExit) as error:
        raise PluginError(
            f"Strategy {name!r} cannot be set up: {type(error).__name__}: {error}."
        ) from error


@dataclass(frozen=True)
class Unavailable:
    """A plugin that cannot be used, and why."""

    name: str
    source: str
    reason: str


@dataclass
class Registry:
    """The strategies that can be asked for.

    Attributes:
        sources: where each strategy comes from, by name.
        unavailable: plugins that could not be loaded.
    """

    sources: dict[str, str] = field(default_factory=dict)
    unavailable: list[Unavailable] = field(default_factory=list)
    _entries: dict[str, EntryPoint] = field(default_factory=dict)
    _classes: dict[str, type[Strategy]] = field(default_factory=dict)

    @classmethod
    def discover(cls, plugins: Sequence[Path] = ()) -> Registry:
        """Collect the installed strategies and those in the given files and folders.

        Args:
            plugins: Python files, or folders whose ``*.py`` files are read, but for tests.

        Raises:
            InvalidSpecError: a path does not exist, or two strategies share a name.
        """
        registry = cls()
        for entry in entry_points(group=GROUP):
            registry._claim(entry.name, entry.value)
            registry._entries[entry.name] = entry
        for path in plugins:
            for file in _python_files(path):
                registry._add_file(file)
        return registry

    def names(self) -> list[str]:
        """Return all names, sorted."""
        return sorted(self.sources)

    def load(self, name: str) -> type[Strategy]:
        """Import a strategy's class.

        Raises:
            UnknownNameError: there is no such strategy.
            PluginError: it cannot be imported.
        """
        if name not in self.sources:
            if self.unavailable:
                broken = "; ".join(f"{one.source}: {one.reason}" for one in self.unavailable)
                raise PluginError(
                    f"No strategy {name!r} could be loaded ({broken}); mend the file."
                )
            raise UnknownNameError("strategy", name, self.names())
        if name not in self._classes:
            try:
                loaded = self._entries[name].load()
            except (Exception, SystemExit) as error:
                raise PluginError(
                    f"Strategy {name!r} ({self.sources[name]}) cannot be loaded: "
                    f"{type(error).__name__}: {error}."
                ) from error
            self._classes[name] = loaded
        return self._classes[name]

    def make(self, selector: Selector) -> Strategy:
        """Return a strategy with its parameters.

        Raises:
            UnknownNameError: there is no such strategy.
            PluginError: it cannot be imported.
            InvalidSpecError: a parameter is unknown or has a value it cannot take.
        """
        strategy = self.load(selector.name)
        with blamed_on(selector.name):
            return strategy(dict(selector.params))

    def fingerprint(self, name: str) -> str:
        """Return what identifies a strategy's behaviour in a cell's key.

        Built-ins declare a version, so that a changed comment voids no result; for any other
        plugin it is the hash of its source file.
        """
        strategy = self.load(name)
        if strategy.__module__.startswith(BUILT_INS) and strategy.version is not None:
            return f"version {strategy.version}"
        source = inspect.getsourcefile(strategy)
        if source is None:
            raise PluginError(f"Strategy {name!r} has no source file; define it in a .py file.")
        return f"source {hashlib.sha256(Path(source).read_bytes()).hexdigest()}"

    def describe(self, name: str) -> str:
        """Import a strategy and return the first sentence of its docstring, or why it fails."""
        try:
            strategy = self.load(name)
        except PluginError as error:
            return f"unavailable: {error}"
        first = (inspect.getdoc(strategy) or "").split("\n\n")[0]
        return f"{' '.join(first.split())} [{self.sources[name]}]"

    def _claim(self, name: str, source: str) -> None:
        if name in self.sources:
            raise InvalidSpecError(
                f"Two strategies are called {name!r}: {self.sources[name]} and {source}; "
                "rename one."
            )
        self.sources[name] = source

    def _add_file(self, file: Path) -> None:
        try:
            found = list(_strategies_in(file))
        except (Exception, SystemExit) as error:
            reason = f"{type(error).__name__}: {error}"
            self.unavailable.append(Unavailable(file.stem, str(file), reason))
            return
        if not found:
            self.unavailable.append(
                Unavailable(file.stem, str(file), "it defines no subclass of Strategy with a name")
            )
        for strategy in found:
            self._claim(strategy.name, str(file))
            self._classes[strategy.name] = strategy


def _python_files(path: Path) -> list[Path]:
    if path.is_dir():
        files = path.glob("[!._]*.py")
        # Tests of plugins stand beside them.
        return sorted(one for one in files if not one.name.startswith(("test_", "conftest")))
    if path.is_file():
        return [path]
    raise InvalidSpecError(f"There is no plugin file or folder {str(path)!r}; check --plugin.")


def _strategies_in(file: Path) -> Iterable[type[Strategy]]:
    """Import a file under a name of its own and yield the strategies it defines."""
    from fal_bench.strategy import Strategy

    digest = hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:12]
    name = f"falbench_plugin_{file.stem}_{digest}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    for member in vars(module).values():
        defined_here = isinstance(member, type) and member.__module__ == name
        if defined_here and issubclass(member, Strategy) and "name" in vars(member):
            yield member
