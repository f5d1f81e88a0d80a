"""The plugins that a name or a file stands for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fal_bench.errors import PluginError
from fal_bench.plugins.registry import Unavailable

if TYPE_CHECKING:
    from fal_bench.plugins.registry import Registry


Found = tuple[str, str, Any]
"""Label, source, and class of a strategy or trainer, or an object if parameters were given."""


def named(target: str) -> tuple[list[Found], list[Unavailable]]:
    """Return each plugin that a target stands for, and the files of a folder that have none.

    Args:
        target: a name, with parameters as in ``"logo[n_init=4]"``, or a plugin file or folder.

    Raises:
        FalbenchError: it cannot be used.
    """
    from fal_bench.inputs.selector import Selector
    from fal_bench.plugins.registry import Registry

    path = Path(target)
    if path.exists():
        registry = Registry.discover([path])
        found: list[Found] = [
            (name, table.sources[name], table.load(name))
            for table in (registry.strategies, registry.trainers)
            for name in table.sources_in(path)
        ]
        if not (found and path.is_dir()):
            _refuse_broken(registry)
        if not found:
            raise PluginError(
                f"There is no strategy or trainer in {target!r}; name a file that defines one."
            )
        return found, registry.unavailable
    if path.suffix == ".py" or len(path.parts) > 1:
        raise PluginError(f"There is no plugin file or folder {target!r}; check the path.")
    registry, selector = Registry.discover(), Selector.parse(target)
    table: Any = registry.strategies
    if selector.name not in table.names() and selector.name in registry.trainers.names():
        table = registry.trainers
    plugin = table.make(selector) if selector.params else table.load(selector.name)
    return [(target, table.sources[selector.name], plugin)], []


def _refuse_broken(registry: Registry) -> None:
    for broken in registry.unavailable:
        raise PluginError(unusable(broken))


def unusable(file: Unavailable) -> str:
    """Say of a file that it cannot be used."""
    return f"{file.source} cannot be loaded ({file.reason}); mend the file."
