"""The metrics that ship with falbench; a new one is one decorated function in a file here."""

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from fal_bench.plugins.metric import Metric


@cache
def shipped_metrics() -> tuple[Metric, ...]:
    """Return the metrics that every run records, by name."""
    modules = [import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__)]
    members = [member for module in modules for member in vars(module).values()]
    found = {member.name: member for member in members if isinstance(member, Metric)}
    return tuple(found[name] for name in sorted(found))
