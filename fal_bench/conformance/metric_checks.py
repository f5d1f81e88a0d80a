"""What every metric must satisfy: one function a check, in the order of the report."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from fal_bench.arrays import FloatArray, IntArray
from fal_bench.conformance.side_effects import digest
from fal_bench.conformance.subject import Failure, FunctionSubject, Raised, once, owned_by
from fal_bench.plugins.built_in import METRIC
from fal_bench.plugins.metric import Metric

CLASSES: Final = 5
ROWS: Final = 200
CLIENTS: Final = 4
TOLERANCE: Final = 1e-9


class MetricSubject(FunctionSubject[Metric]):
    """One metric under check."""

    kind = METRIC

    def make(self) -> Metric:
        """Return the metric."""
        metric: Metric = self.plugin
        return metric

    def measured(self, labels: IntArray, logits: FloatArray, where: str) -> float:
        """Return the metric of some predictions.

        Raises:
            Failure: it raised or hung, or gave no number.
        """
        given = _given(labels, logits)
        return self.call(lambda: self.made.measure(given), "the metric", where)

    @once
    def ordinary(self) -> float:
        """The metric of ordinary predictions."""
        with owned_by("value"):
            return self.measured(*_predictions(), f"{ROWS} samples of {CLASSES} classes")

    def call_all(self) -> None:
        """Measure ordinary predictions."""
        _ = self.ordinary
        self.measured(*_predictions(), "")

    def survives(self, labels: IntArray, logits: FloatArray, situation: str) -> str:
        """Measure unusual predictions, and return what came out.

        Raises:
            Failure: the metric raised or gave no number.
            Broken: it does so with ordinary ones, too.
        """
        _ = self.ordinary
        try:
            return f"{self.measured(labels, logits, situation):.4g}"
        except Raised as raised:  # what to do about it, the check says best
            raise Failure(raised.what, raised.where) from None


def _predictions() -> tuple[IntArray, FloatArray]:
    """Return labels of every class, and logits that are right more often than not."""
    rng = np.random.default_rng(3)
    labels = rng.permutation(np.arange(ROWS) % CLASSES)
    return labels, (rng.normal(size=(ROWS, CLASSES)) + 2 * np.eye(CLASSES)[labels]).astype("f4")


def _given(labels: IntArray, logits: FloatArray) -> dict[str, Any]:
    """Return what a metric may ask for; arrays that nothing else holds."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    log_probs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return {
        "labels": labels.copy(),
        "probs": np.exp(log_probs),
        "log_probs": log_probs,
        # It follows from the sample, so that it moves with it.
        "clients": np.abs(log_probs[:, 0] * 1e3).astype(np.int64) % CLIENTS,
    }


check = MetricSubject.check


@check
def value(subject: MetricSubject) -> str:
    """It is a finite number, or NaN.

    What to do: Return a float; NaN where the metric has no value.
    """
    return f"{subject.ordinary:.4g}"


@check
def global_random(subject: MetricSubject) -> None:
    """Global random streams are neither read nor touched.

    What to do: Draw nothing, or from np.random.default_rng(0).
    """
    subject.check_random()


@check
def settings(subject: MetricSubject) -> None:
    """Settings of the process are left as they were.

    What to do: Change settings only inside a context that puts them back (np.errstate).
    """
    subject.check_settings()


@check
def repeatable(subject: MetricSubject) -> None:
    """The same predictions have the same value.

    What to do: Keep nothing between calls, and draw from no fresh generator.
    """
    first = subject.ordinary
    subject.require(global_random)
    if not np.array_equal(first, subject.measured(*_predictions(), ""), equal_nan=True):
        raise Failure("The same predictions have another value the second time.")


@check
def mutation(subject: MetricSubject) -> None:
    """Labels and probabilities are not changed.

    What to do: Work on copies: all metrics share these arrays.
    """
    _ = subject.ordinary
    given = _given(*_predictions())
    subject.call(lambda: subject.made.measure(given), "the metric")
    before = _given(*_predictions())
    changed = [name for name in given if digest(given[name]) != digest(before[name])]
    if changed:
        raise Failure(f"It changed {', '.join(changed)} in place.")


@check
def permutation(subject: MetricSubject) -> None:
    """The order of the samples does not matter.

    What to do: Break ties by value, not by position.
    """
    first = subject.ordinary
    subject.require(repeatable)
    (labels, logits), order = _predictions(), np.random.default_rng(4).permutation(ROWS)
    found = subject.measured(labels[order], logits[order], "")
    if not np.isclose(first, found, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True):
        raise Failure(f"It is {first:.6g}, and {found:.6g} with the samples in another order.")


@check
def absent_class(subject: MetricSubject) -> str:
    """A class that no sample has.

    What to do: Leave absent classes out, and divide by no count of 0.
    """
    labels, logits = _predictions()
    return subject.survives(np.where(labels == 0, 1, labels), logits, "no sample of class 0")


@check
def single_class(subject: MetricSubject) -> str:
    """All samples of one class.

    What to do: Return NaN if nothing can be said of a single class.
    """
    labels, logits = _predictions()
    return subject.survives(np.zeros_like(labels), logits, "all samples of class 0")


@check
def single_sample(subject: MetricSubject) -> str:
    """One sample.

    What to do: Let statistics over the samples cope with a single one, or return NaN.
    """
    labels, logits = _predictions()
    return subject.survives(labels[:1], logits[:1], "one sample")


@check
def saturated(subject: MetricSubject) -> str:
    """Probabilities of exactly 0 and 1.

    What to do: Take log_probs, which stay finite, in place of the logarithm of probs.
    """
    labels, logits = _predictions()
    return subject.survives(labels, 1e4 * logits, "probabilities of exactly 0 and 1")
