"""The registry: every strategy and trainer that can be asked for.

A plugin that cannot be imported is listed with its reason and never stops the others.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from fal_bench.errors import told
from fal_bench.isolation.interrupts import let_interrupts_pass
from fal_bench.plugins.edits import forget_edited
from fal_bench.plugins.files import classes_in, python_files
from fal_bench.plugins.table import PluginTable, Unavailable

if TYPE_CHECKING:
    from fal_bench.inputs.selector import Selector
    from fal_bench.plugins.strategy import Strategy
    from fal_bench.plugins.trainer import Trainer

STRATEGIES = "fal_bench.strategies"
TRAINERS = "fal_bench.trainers"


@dataclass
class Registry:
    """The strategies and trainers that can be asked for.

    The methods are about strategies, which is what most callers want.

    Attributes:
        strategies: all strategies.
        trainers: all trainers.
        unavailable: plugin files that could not be loaded.
        files: plugin files that were.
    """

    strategies: PluginTable[Strategy]
    trainers: PluginTable[Trainer]
    unavailable: list[Unavailable]
    files: list[Path] = field(default_factory=list)

    @classmethod
    def discover(cls, plugins: Sequence[Path] = (), *, try_first: bool = False) -> Registry:
        """Collect the installed plugins and those in the given files and folders.

        What was edited since this process imported it is imported anew.

        Args:
            plugins: Python files, or folders whose ``*.py`` files are read, but for tests.
            try_first: import files in another process first, which they may end or hang.

        Raises:
            InvalidSpecError: a path does not exist, or two plugins of a kind share a name.
        """
        forget_edited()
        unavailable: list[Unavailable] = []
        registry = cls(
            PluginTable("strategy", STRATEGIES, unavailable),
            PluginTable("trainer", TRAINERS, unavailable),
            unavailable,
        )
        registry.strategies.add_installed()
        registry.trainers.add_installed()
        files = [file for path in plugins for file in python_files(path)]
        faults: dict[Path, str] = {}
        if files and try_first:
            from fal_bench.plugins.trial import faults_at_import

            faults = faults_at_import(files)
        for file in files:
            if file in faults:
                unavailable.append(Unavailable(file.stem, str(file), faults[file]))
            else:
                registry._add_file(file)
        return registry

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
        """Return a strategy with its parameters; see ``PluginTable.make``."""
        return self.strategies.make(selector)

    def fingerprint(self, name: str) -> str:
        """Return what identifies a strategy's behaviour; see ``PluginTable.fingerprint``."""
        return self.strategies.fingerprint(name)

    def describe(self, name: str) -> str:
        """Return the first sentence of a strategy's docstring, or why it cannot be loaded."""
        return self.strategies.describe(name)

    def _add_file(self, file: Path) -> None:
        from fal_bench.plugins.strategy import Strategy
        from fal_bench.plugins.trainer import Trainer

        try:
            found = list(classes_in(file, (Strategy, Trainer)))
        except BaseException as error:
            let_interrupts_pass(error)
            reason = f"{told(error)}{_place(error, file)}"
            self.unavailable.append(Unavailable(file.stem, str(file), reason))
            return
        if not found:
            reason = "it defines no subclass of Strategy or Trainer with a name"
            self.unavailable.append(Unavailable(file.stem, str(file), reason, empty=True))
            return
        self.files.append(file)
        for plugin in found:
            if issubclass(plugin, Strategy):
                self.strategies.add(plugin, file)
            elif issubclass(plugin, Trainer):
                self.trainers.add(plugin, file)


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
