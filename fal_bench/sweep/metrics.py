"""Metrics of plugins, each of which is measured in a process of its own.

Every run records them, and none of them may touch the runs of others, or another metric: one that
fails, hangs or changes its process costs its own column and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from fal_bench.errors import InvalidSpecError, message_of
from fal_bench.isolation.calls import Call
from fal_bench.isolation.child import Channel, Child, Ended, Limits
from fal_bench.plugins.given import Source
from fal_bench.plugins.metric import Metric, MetricError, Samples
from fal_bench.plugins.registry import Registry
from fal_bench.plugins.tables import MetricTable

if TYPE_CHECKING:
    from fal_bench.federation.setting import Setting

_NO_OWNERS: Final = (
    "it asks whose each test sample is, which the data do not say",
    "give the data clients of test samples",
)
_NO_VALUE: Final = ("it has no value on the task's labels", "give the data other labels")

_CONFIDENT: Final = 8.0
"""What is added to the logit of the right class for predictions that are nearly right."""


@dataclass(frozen=True)
class ForeignMetric:
    """What is known of a metric that is not falbench's own, without its code.

    Attributes:
        name: its name, and so are the next attributes those of ``Metric``.
        higher_is_better: whether a target is reached from below.
        samples: what it is measured on.
        inputs: what it asks for.
        share: whether all values are between 0 and 1.
        sources: the plugin file, or what was given in Python; empty if it is installed.
    """

    name: str
    higher_is_better: bool
    samples: Samples
    inputs: tuple[str, ...]
    share: bool
    sources: tuple[Source, ...]


def foreign_metrics(registry: Registry, targets: Sequence[str] = ()) -> tuple[ForeignMetric, ...]:
    """Return the metrics that are not falbench's own, as far as they can be imported.

    Args:
        registry: where they are found.
        targets: metrics that are recorded because they are asked for, beside all that are listed.
    """
    table = registry.metrics
    found = []
    for name in _recorded(table, targets):
        foreign, one = table.foreign(name), table.known(name)
        if foreign is not None and one is not None:
            sources = () if foreign.given is None else (foreign.given.resolve(),)
            found.append(
                ForeignMetric(
                    name, one.higher_is_better, one.samples, one.inputs, one.share, sources
                )
            )
    return tuple(found)


@contextmanager
def all_metrics(
    registry: Registry,
    foreign: tuple[ForeignMetric, ...],
    limits: Limits,
    targets: Sequence[str] = (),
) -> Iterator[tuple[Metric, ...]]:
    """Give all metrics while the context is open, those of plugins apart.

    Args:
        registry: where falbench's own are found.
        foreign: those of plugins.
        limits: what a metric of a plugin may take.
        targets: as for ``foreign_metrics``.
    """
    table = registry.metrics
    ours = [table.load(name) for name in _recorded(table, targets) if table.built_in(name)]
    apart = [_Measuring(one, limits) for one in foreign]
    try:
        yield tuple(sorted([*ours, *(one.metric() for one in apart)], key=lambda one: one.name))
    finally:
        for one in apart:
            one.end()


def _recorded(table: MetricTable, targets: Sequence[str]) -> list[str]:
    """Return the metrics of a table that a run records."""
    return sorted({*table.names(), *(name for name in targets if name in table)})


def check_recordable(setting: Setting, metrics: Sequence[Metric], rng: np.random.Generator) -> None:
    """Check that metrics can be recorded on a task, by measuring made-up predictions.

    Args:
        setting: the task with its data.
        metrics: the metrics.
        rng: draws the predictions.

    Raises:
        InvalidSpecError: one has no value, whether predictions are random or nearly right.
    """
    for metric in metrics:
        fault = _fault(metric, setting, rng)
        if fault is not None:
            reason, cure = fault
            raise InvalidSpecError(
                f"Task {setting.task.name!r}: the target's metric {metric.name!r} cannot be "
                f"recorded ({reason}); choose another target, or {cure}."
            )


def _fault(metric: Metric, setting: Setting, rng: np.random.Generator) -> tuple[str, str] | None:
    """Return why a metric cannot be recorded, and what to change; None if it can."""
    from fal_bench.learning.evaluation import evaluate

    labels, clients = _measured_samples(metric, setting)
    failed: dict[str, str] = {}
    for certainty in (0.0, _CONFIDENT):
        logits = rng.normal(size=(len(labels), setting.dataset.n_classes)).astype(np.float32)
        logits[np.arange(len(labels)), labels] += certainty
        found = evaluate([metric], logits, labels, clients, unrecorded=failed)
        if metric.name not in found:
            return _NO_OWNERS
        if metric.name in failed:
            return failed[metric.name].rstrip("."), "correct the metric"
        if not np.isnan(found[metric.name]):
            return None
    return _NO_VALUE


def _measured_samples(
    metric: Metric, setting: Setting
) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
    """Return labels that a metric is measured on, and the clients that hold them, if known."""
    dataset = setting.dataset
    if metric.samples == "test":
        owners = None if dataset.clients is None else dataset.clients.test
        return dataset.test_labels.numpy(), owners
    labels = dataset.train_labels.numpy()[np.concatenate(setting.initial)]
    sizes = [len(own) for own in setting.initial]
    return labels, np.repeat(np.arange(len(sizes)), sizes)


class _Measuring:
    """The process of one metric, which begins with its first call.

    After the first call that ended the process there is no other: each would take as long.
    """

    def __init__(self, described: ForeignMetric, limits: Limits) -> None:
        self._described = described
        self._limits = limits
        self._child: Child | None = None
        self._ended = ""

    def metric(self) -> Metric:
        """Return the metric, whose function is called there."""
        one = self._described
        return Metric(
            one.name,
            self._measure,
            one.higher_is_better,
            one.samples,
            one.inputs,
            one.share,
        )

    def end(self) -> None:
        """End the process."""
        if self._child is not None:
            self._child.end()
            self._child = None

    def _measure(self, **given: NDArray[Any]) -> float:
        if self._ended:
            raise MetricError(self._ended)
        self._child = self._child or Child()
        name = self._described.name
        try:
            return self._child.run(
                _measured, self._described.sources, name, given, limits=self._limits
            )
        except Ended as ending:
            self._child = None
            self._ended = f"Metric {name!r} {ending.deed}."
            raise MetricError(self._ended) from None
        except Exception as error:  # its own, or its file cannot be imported any more
            raise MetricError(message_of(error)) from None


# In the other process.

_registries: dict[tuple[Source, ...], Registry] = {}


def _measured(
    channel: Channel, sources: tuple[Source, ...], name: str, given: dict[str, NDArray[Any]]
) -> float:
    """Return a number and nothing else: whatever a metric returns stays in its process."""
    for array in given.values():
        array.setflags(write=False)  # as where metrics share them
    with channel.calls.open(Call(f"Metric {name!r}")):
        if sources not in _registries:
            _registries[sources] = Registry.discover(sources)
        return _registries[sources].metrics.load(name).measure(given)
