"""Metrics of plugins, which are measured in a process of their own.

Every run records them, and none of them may touch the runs of others.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from numpy.typing import NDArray

from fal_bench.errors import PluginError
from fal_bench.isolation.calls import Call
from fal_bench.isolation.child import Channel, Child, Ended, Limits
from fal_bench.plugins.given import Source
from fal_bench.plugins.metric import Metric
from fal_bench.plugins.registry import Registry


@contextmanager
def all_metrics(
    registry: Registry, sources: tuple[Source, ...] | None, limits: Limits
) -> Iterator[tuple[Metric, ...]]:
    """Give all metrics while the context is open, those of plugins apart.

    Args:
        registry: where falbench's own are found.
        sources: plugin files, and plugins given in Python, with metrics; None if there are no
            metrics but falbench's own.
        limits: what a metric of a plugin may take.
    """
    table = registry.metrics
    ours = [table.load(name) for name in table.names() if table.built_in(name)]
    if sources is None:
        yield tuple(ours)
        return
    measuring = _Measuring(sources, limits)
    try:
        yield tuple(sorted([*ours, *measuring.metrics()], key=lambda one: one.name))
    finally:
        measuring.end()


class _Measuring:
    """The other process."""

    def __init__(self, sources: tuple[Source, ...], limits: Limits) -> None:
        self._sources = sources
        self._limits = limits
        self._child: Child | None = None

    def metrics(self) -> Iterator[Metric]:
        """Yield the metrics of plugins, whose functions are called there."""
        for name, *more in self._run(_described):
            yield Metric(name, partial(self._measure, name), *more)

    def end(self) -> None:
        """End the process."""
        if self._child is not None:
            self._child.end()

    def _measure(self, name: str, **given: NDArray[Any]) -> float:
        return float(self._run(_measured, name, given))

    def _run(self, function: Any, *arguments: Any) -> Any:
        self._child = self._child or Child()
        try:
            return self._child.run(function, self._sources, *arguments, limits=self._limits)
        except Ended as ending:
            self._child = None
            raise PluginError(f"it {ending.deed}") from None


# In the other process.

_registries: dict[tuple[Source, ...], Registry] = {}


def _described(channel: Channel, sources: tuple[Source, ...]) -> list[tuple[Any, ...]]:
    """Return what is known of the metrics of plugins."""
    with channel.calls.open(Call("the import of a metric")):
        table = _registry(sources).metrics
        found = [table.load(name) for name in table.names() if not table.built_in(name)]
    return [(one.name, one.higher_is_better, one.samples, one.inputs, one.share) for one in found]


def _measured(
    channel: Channel, sources: tuple[Source, ...], name: str, given: dict[str, NDArray[Any]]
) -> float:
    with channel.calls.open(Call("it")):
        return _registry(sources).metrics.load(name).function(**given)


def _registry(sources: tuple[Source, ...]) -> Registry:
    if sources not in _registries:
        _registries[sources] = Registry.discover(sources)
    return _registries[sources]
