"""Own modules that are edited while this process goes on, as in a notebook or a worker.

Python imports a module once. Without this, runs would be run by the old code of a module under the
key of the new one.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from fal_bench.errors import PluginError
from fal_bench.plugins.own_code import OwnModule, digest_of

PREFIX: Final = "falbench_plugin_"
"""What names of modules begin with that are plugin files."""

_SEEN: Final[dict[tuple[str, Path], str]] = {}
"""Digests of the own modules, by name and file, when this process first had to do with them."""


def note(modules: Iterable[OwnModule]) -> None:
    """Keep in mind what own modules were like when they were imported."""
    for module in modules:
        _SEEN.setdefault((module.name, module.file), module.digest)


def forget_edited() -> None:
    """If an own module was edited, see to it that plugins and their modules are imported anew.

    All of them, because an unedited one may hold objects of an edited one.
    """
    importlib.invalidate_caches()
    if all(_digest(file) == digest for (_, file), digest in _SEEN.items()):
        return
    for name, _ in _SEEN:
        _forget(name)
    for name in [name for name in sys.modules if name.startswith(PREFIX)]:
        _forget(name)
    _SEEN.clear()


def check_imported(plugin: str, modules: Iterable[OwnModule]) -> None:
    """Check that what this process imported under a name is what a plugin would import.

    Args:
        plugin: its name.
        modules: its own modules.

    Raises:
        PluginError: it is another file of the same name.
    """
    digests: dict[str, set[str]] = {}
    files: dict[str, Path] = {}
    for module in modules:
        digests.setdefault(module.name, set()).add(module.digest)
        files[module.name] = module.file
    for name, expected in digests.items():
        imported = getattr(sys.modules.get(name), "__file__", None)
        if imported is not None and _digest(Path(imported)) not in expected:
            raise PluginError(
                f"Plugin {plugin!r} has a module {name!r} ({files[name]}), but {imported} of the "
                "same name is imported already; rename one of the two, or start Python anew."
            )


def _digest(file: Path) -> str | None:
    try:
        return digest_of(file.read_bytes())
    except OSError:
        return None


def _forget(name: str) -> None:
    module = sys.modules.pop(name, None)
    parent, _, tail = name.rpartition(".")
    package = sys.modules.get(parent)
    if module is not None and getattr(package, tail, None) is module:
        delattr(package, tail)  # where "from package import module" looks first
