"""The metric contract: one decorated function of true labels and predicted probabilities.

The smallest metric is a function of two arrays::

    @metric
    def balanced_accuracy(labels, probs):
        \"\"\"Mean recall of the classes that occur.\"\"\"
        right = probs.argmax(axis=1) == labels
        return np.mean([right[labels == label].mean() for label in np.unique(labels)])

Its name is the function's, and so is its column in ``curves.csv``. Every run records all metrics
that are known when it is computed. A metric is no part of a run's key: runs without it stay valid,
and reports say "not recorded".
"""

from __future__ import annotations

import inspect
import numbers
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal, overload

import numpy as np
from numpy.typing import NDArray

from fal_bench.errors import PluginError, message_of

INPUTS = ("labels", "probs", "log_probs", "clients")
"""What a metric may ask for, by the names of its parameters."""

OTHER_COLUMNS: Final = frozenset(
    [
        *("key", "task", "task_hash", "strategy", "seed", "reference", "source", "cycle"),
        *("labels", "labels_strict", "labels_cost", "labels_by_client", "labels_strict_by_client"),
        *("bytes_up", "bytes_down", "train_seconds", "select_seconds"),
    ]
)
"""Columns of curves that are no metrics, whose names no metric can have."""

_Form = Literal["worst", "mean", "spread"]

_BY_CLIENT: Final[dict[_Form, re.Pattern[str]]] = {
    "worst": re.compile("worst_client_(?P<base>.+)"),
    "mean": re.compile("mean_client_(?P<base>.+)"),
    "spread": re.compile("client_(?P<base>.+)_spread"),
}
"""Names of metrics that are measured client by client, by what is made of the clients' values."""

Samples = Literal["test", "train"]
"""Which samples a metric is measured on."""


ROUNDING: Final = 1e-9
"""How far beyond 0 and 1 a share may lie: what rounding can do."""


class MetricError(PluginError):
    """A metric cannot be measured; it costs its own column."""


@dataclass(frozen=True, eq=False)
class Metric:
    """A metric, as ``metric`` makes it of a function.

    Attributes:
        name: what it is called on the command line, and its column in the curves.
        function: the function.
        higher_is_better: whether a target is reached from below.
        samples: ``"test"`` for the test set; ``"train"`` for the labelled samples that the global
            model was trained with.
        inputs: the names of the function's parameters, a part of ``INPUTS``.
        share: whether all values are between 0 and 1.

    Raises:
        PluginError: the curves have another column of that name.
    """

    name: str
    function: Callable[..., float]
    higher_is_better: bool
    samples: Samples
    inputs: tuple[str, ...]
    share: bool = False

    def __post_init__(self) -> None:
        if self.name in OTHER_COLUMNS:
            raise PluginError(
                f"A metric cannot be called {self.name!r}, because curves have another column of "
                "that name; rename it."
            )

    def __call__(self, *args: Any, **kwargs: Any) -> float:
        """Call the function itself."""
        return self.function(*args, **kwargs)

    def measure(self, given: Mapping[str, NDArray[Any]]) -> float:
        """Return the metric on labelled samples.

        Args:
            given: the arrays named in ``INPUTS``; those that it asks for at least.

        Returns:
            A number; NaN where the metric has no value, as for a class that does not occur.

        Raises:
            PluginError: the function raised, or returned something else than a number, or one
                that such a metric cannot have.
        """
        found: Any
        try:
            found = self.function(**{name: given[name] for name in self.inputs})
        except MetricError:  # of another process, which says it all
            raise
        except Exception as error:
            said = message_of(error, self.function)
            raise MetricError(f"Metric {self.name!r} cannot be computed: {said}.") from error
        number: Any = found.item() if getattr(found, "shape", None) == () else found
        if type(number) is bool or not isinstance(number, numbers.Real):
            raise MetricError(
                f"Metric {self.name!r} returns {type(number).__name__}, which is no number; return "
                "a float."
            )
        value = float(number)
        if np.isinf(value):
            raise MetricError(
                f"Metric {self.name!r} is infinite; return NaN where it has no value."
            )
        if self.share and not (np.isnan(value) or -ROUNDING <= value <= 1 + ROUNDING):
            raise MetricError(
                f"Metric {self.name!r} is {value:g}, and was declared to lie between 0 and 1; "
                "correct it, or leave share=True out."
            )
        return value


def by_client(name: str) -> tuple[str, Callable[[Metric], Metric]] | None:
    """Return what a name such as ``worst_client_auroc`` says.

    Args:
        name: a metric's name.

    Returns:
        The name of the metric that is measured client by client, and what makes the metric of that
        name of it; None if the name is not of the form ``worst_client_<metric>``,
        ``mean_client_<metric>`` or ``client_<metric>_spread``.
    """
    for form, pattern in _BY_CLIENT.items():
        match = pattern.fullmatch(name)
        if match:
            return match["base"], partial(_of_clients, name, form)
    return None


def _of_clients(name: str, form: _Form, base: Metric) -> Metric:
    """Make a metric of another one that is measured on the samples of each client.

    Clients on whose samples it has no value (NaN) are left out; NaN if none is left.
    """

    def function(*, clients: NDArray[np.int64], **arrays: NDArray[Any]) -> float:
        own = [clients == client for client in np.unique(clients)]
        values = np.array([base.measure({key: arrays[key][at] for key in arrays}) for at in own])
        values = values[~np.isnan(values)]
        if not len(values):
            return float("nan")
        if form == "worst":
            return float(values.min() if base.higher_is_better else values.max())
        return float(values.mean() if form == "mean" else values.std())

    return Metric(
        name,
        function,
        base.higher_is_better and form != "spread",
        base.samples,
        (*base.inputs, "clients"),
        base.share,
    )


@overload
def metric(function: Callable[..., float], /) -> Metric: ...
@overload
def metric(
    *, higher_is_better: bool = True, samples: Samples = "test", share: bool = False
) -> Callable[[Callable[..., float]], Metric]: ...
def metric(
    function: Callable[..., float] | None = None,
    /,
    *,
    higher_is_better: bool = True,
    samples: Samples = "test",
    share: bool = False,
) -> Metric | Callable[[Callable[..., float]], Metric]:
    """Make a metric of a function.

    The function asks for its inputs by name: ``labels`` (true classes, int64, shape (n,)),
    ``probs`` (predicted probabilities, float64, shape (n, n_classes)), ``log_probs`` (their
    logarithms) and ``clients`` (the client that holds each sample, int64, shape (n,)). The arrays
    are shared: do not write to them. A metric of test samples that asks for clients is recorded
    where the data say whose test samples they have.

    Args:
        function: the function; it returns a number, or NaN where there is none.
        higher_is_better: False for losses and errors.
        samples: ``"train"`` measures on the labels that the global model was trained with.
        share: whether all values are between 0 and 1, so that other targets are refused.

    Raises:
        PluginError: a parameter of the function is no input, or its name is taken.
    """

    def make(function: Callable[..., float]) -> Metric:
        names = tuple(inspect.signature(function).parameters)
        unknown = [name for name in names if name not in INPUTS]
        if unknown or not names:
            asked = f"asks for {unknown[0]!r}" if unknown else "asks for nothing"
            raise PluginError(
                f"Metric {function.__name__!r} {asked}; its parameters must be among "
                f"{', '.join(INPUTS)}."
            )
        return Metric(function.__name__, function, higher_is_better, samples, names, share)

    return make if function is None else make(function)
