"""The plugins that a name or a file stands for."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fal_bench.errors import PluginError, UnknownNameError
from fal_bench.plugins.tables import Unavailable

if TYPE_CHECKING:
    from fal_bench.inputs.selector import Selector
    from fal_bench.plugins.tables import PluginTable


Found = tuple[str, str, Any]
"""Label, source, and the plugin: a class or a function; if parameters were given, an object or a
``functools.partial``."""


def named(target: str) -> tuple[list[Found], list[Unavailable]]:
    """Return each plugin that a target stands for, and the files of a folder that have none.

    Args:
        target: a name, with parameters as in ``"logo[n_init=4]"``, or a plugin file or folder.

    Raises:
        FalbenchError: it cannot be used.
    """
    from fal_bench.inputs.selector import Selector, can_be_typed
    from fal_bench.plugins.registry import Registry

    path = Path(target)
    if path.exists():
        registry = Registry.discover([path])
        found: list[Found] = [
            (name, table.sources[name], table.load(name))
            for table in registry.tables()
            for name in table.sources_in(path)
        ]
        if registry.unavailable and not (found and path.is_dir()):
            raise PluginError(registry.unavailable[0].message)
        if not found:
            raise PluginError(f"There is no plugin in {target!r}; name a file that defines one.")
        return found, registry.unavailable
    name = Path(target.partition("[")[0])
    if name.suffix == ".py" or len(name.parts) > 1:
        raise PluginError(f"There is no plugin file or folder {target!r}; check the path.")
    registry, selector = Registry.discover(), Selector.parse(target)
    known: list[str] = []
    for table in registry.tables():
        if selector.name in table.names():
            return [(target, table.sources[selector.name], _made(table, selector))], []
        known += table.names()
    raise UnknownNameError("plugin", selector.name, filter(can_be_typed, known))


def _made(table: PluginTable[Any], selector: Selector) -> Any:
    """Return a plugin with the parameters that were given.

    Raises:
        FalbenchError: it cannot be imported, or cannot have these parameters.
    """
    from fal_bench.plugins.functions import arguments
    from fal_bench.plugins.tables import ClassTable, FunctionTable

    plugin = table.load(selector.name)
    if not selector.params:
        return plugin
    if isinstance(table, ClassTable):
        return table.make(selector)
    if isinstance(table, FunctionTable):
        return partial(plugin, **arguments(plugin, selector.params))
    raise UnknownNameError("parameter", next(iter(selector.params)), (), "a metric has none.")
