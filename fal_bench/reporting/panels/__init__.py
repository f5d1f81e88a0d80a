"""The panels of the page: a new one is a module of this folder with a subclass of ``Panel``."""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil

from fal_bench.reporting.panels.base import Panel


@functools.cache
def all_panels() -> tuple[Panel, ...]:
    """Return every panel in the order of the page."""
    found = set()
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        for value in vars(importlib.import_module(module.name)).values():
            if (
                inspect.isclass(value)
                and issubclass(value, Panel)
                and not inspect.isabstract(value)
            ):
                found.add(value)
    return tuple(kind() for kind in sorted(found, key=lambda kind: (kind.order, kind.key)))
