"""Comparing published curves and charges with those computed again.

On another processor or by other versions, numbers are rounded otherwise. That changes little until
a strategy meets two samples of almost equal merit and takes the other one: from then on the curve
is that of another run with the same start. How far such runs are apart was measured with 1,700 runs
on two types of processor (``docs/published.md``), and stands here as fixed numbers. Nothing that a
publisher claims can change them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fal_bench.federation.ledger import TRAINING_PURPOSES
from fal_bench.results.model import BY_CLIENT, NOT_METRICS, TIMINGS
from fal_bench.stats import models_read
from fal_bench.sweep.spec import RunSpec

FIRST: Final = 0.02
"""Difference of a metric before any choice; the largest that was measured is 0.012.

Metrics that are shares differ in absolute terms. Others are divided by the largest value that was
computed again.
"""

POINT: Final = 0.4
"""Difference of a metric at a point of the label grid; the largest that was measured is 0.36.

With few labels a single one can teach a new class. Differences above 0.2 are one run in a thousand
on most tasks, and one in ten on the one with the fewest labels.
"""

MEAN: Final = 0.05
"""Difference of a metric's mean over the label grid; of 1000 runs 998 had at most 0.05.

The mean of n runs of one strategy may differ by this over the root of n, since differences that
come from rounding have no direction.
"""

STRICT: Final = 0.1
"""Part by which strict labels of a cycle may differ where a strategy reads more than it buys."""

PAPER: Final = 0.35
"""Part of the larger by which labels in the end may differ where a strategy need not spend all."""

BYTES: Final = 0.01
"""Part by which the bytes of a cycle may differ where messages depend on what was chosen."""

APART: Final = 0.005
"""Difference in accuracy that tells two runs from one that is rounded otherwise."""


@dataclass(frozen=True)
class PublishedRun:
    """A run, and the names under which its curve is published.

    Attributes:
        spec: the run as this installation plans it.
        label: the strategy's name in the tables.
    """

    spec: RunSpec
    label: str

    @property
    def identity(self) -> tuple[str, str, int]:
        """Task, strategy and seed, as ``curves.csv`` names them."""
        return self.spec.task.name, self.label, self.spec.seed


@dataclass(frozen=True)
class RunOutcome:
    """What came out of computing one run again.

    Attributes:
        run: the run.
        state: ``"same"`` bit for bit; ``"close"`` means not the same, but within the tolerance
            asked for, or as close as another environment allows; ``"failed"`` that there is no
            new curve.
        cycles: cycles of the published curve.
        note: how close, where the curves part, or why there is no new one; empty if they are the
            same.
        accuracy_gap: largest difference in accuracy over the cycles that both curves have.
        drifts: by metric, how much higher its published mean over the label grid is.
    """

    run: PublishedRun
    state: Literal["same", "close", "differs", "failed"]
    cycles: int
    note: str = ""
    accuracy_gap: float = 0.0
    drifts: Mapping[str, float] = field(default_factory=dict)


def curve_of(run: PublishedRun, curves: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of one run."""
    task, label, seed = run.identity
    mine = (curves["task"] == task) & (curves["strategy"] == label) & (curves["seed"] == seed)
    return curves[mine].reset_index(drop=True)


def compare_curves(
    run: PublishedRun, published: pd.DataFrame, computed: pd.DataFrame, tolerance: float
) -> RunOutcome:
    """Compare the rows of one run: everything but timings that both curves have.

    Args:
        run: the run.
        published: its published rows.
        computed: its rows as they were computed again.
        tolerance: largest allowed difference of metrics; 0 asks for the same bits. Everything else
            must be the same.

    Returns:
        ``"same"`` for the same bits alone, ``"close"`` for what the tolerance allows.
    """
    rows = min(len(published), len(computed))
    largest = _accuracy_gap(published[:rows], computed[:rows])
    if wrong_metric := _not_computed(published, computed):
        return RunOutcome(run, "differs", len(published), wrong_metric, largest)
    compared = [str(name) for name in published if name in computed and name not in TIMINGS]
    same = True
    for row in range(rows):
        there, here = published.iloc[row], computed.iloc[row]
        same &= all(_agree(there[name], here[name], 0.0) for name in compared)
        wrong = [
            name
            for name in compared
            if not _agree(there[name], here[name], 0.0 if name in NOT_METRICS else tolerance)
        ]
        if wrong:
            note = f"cycle {there['cycle']}: {_values(wrong[0], there[wrong[0]], here[wrong[0]])}"
            if wrong[0] != "accuracy" and "accuracy" in compared:
                note += f"; {_values('accuracy', there['accuracy'], here['accuracy'])}"
            return RunOutcome(run, "differs", len(published), note, largest)
    if len(published) != len(computed):
        note = f"cycle {rows}: {len(published)} cycles published, {len(computed)} recomputed"
        return RunOutcome(run, "differs", len(published), note, largest)
    if same:
        return RunOutcome(run, "same", len(published))
    note = f"{largest:.2g} apart in accuracy at most, allowed {tolerance:g}"
    return RunOutcome(run, "close", len(published), note, largest)


def _accuracy_gap(published: pd.DataFrame, computed: pd.DataFrame) -> float:
    if "accuracy" not in published or "accuracy" not in computed:
        return 0.0
    gaps = published["accuracy"].to_numpy(float) - computed["accuracy"].to_numpy(float)
    return float(np.nanmax(np.abs(gaps), initial=0.0))


def _agree(there: object, here: object, tolerance: float) -> bool:
    if isinstance(there, float) and isinstance(here, float) and there != here:
        return abs(there - here) <= tolerance or (math.isnan(there) and math.isnan(here))
    return bool(there == here)


def _metrics_of(curve: pd.DataFrame) -> list[str]:
    return [str(name) for name in curve if name not in NOT_METRICS]


def _not_computed(published: pd.DataFrame, computed: pd.DataFrame) -> str:
    """Name a published metric that has no value here; what cannot be compared proves nothing."""
    for name in _metrics_of(published):
        if name not in computed and published[name].notna().any():
            return f"{name} has values published, and none recomputed"
    return ""


def _values(name: str, there: object, here: object) -> str:
    return f"{name} {there} published, {here} recomputed"


def judge_closeness(
    run: PublishedRun, computed: pd.DataFrame, published: pd.DataFrame, shares: Collection[str]
) -> RunOutcome:
    """Say whether a curve is as close to the published one as another environment allows.

    Metrics are compared in the first cycle, before any choice, and afterwards on the label grid.
    Labels and bytes are the same as long as the strategy's choices cannot change them.

    Args:
        run: the run.
        computed: its rows as they were computed again.
        published: its published rows.
        shares: the metrics that lie between 0 and 1.
    """
    gaps = {
        name: _gaps(run, published, computed, name) / _scale(computed[name], name in shares)
        for name in _metrics_of(published)
        if name in computed
    }
    largest = float(np.nanmax(np.abs(gaps["accuracy"]), initial=0.0)) if "accuracy" in gaps else 0.0
    drifts = {name: _mean(gap) for name, gap in gaps.items()}
    wrong = (
        _not_computed(published, computed)
        or _labels_differ(run, published, computed)
        or _start_differs(published, computed, shares)
        or next(filter(None, (_metric_differs(run, *one) for one in gaps.items())), "")
    )
    if wrong:
        return RunOutcome(run, "differs", len(published), wrong, largest, drifts)
    note = f"{largest:.2g} apart in accuracy at most, allowed {POINT:g}"
    differing = np.flatnonzero(np.abs(gaps.get("accuracy", np.array([]))) > APART)
    if differing.size:
        note += f"; as published up to {run.spec.task.label_grid[differing[0] - 1]} labels"
    return RunOutcome(run, "close", len(published), note, largest, drifts)


def refuse_drift(outcomes: Sequence[RunOutcome]) -> tuple[RunOutcome, ...]:
    """Return the outcomes; close runs of a strategy that all err to one side differ.

    Args:
        outcomes: what came out of each run.
    """
    close = [one for one in outcomes if one.state == "close" and one.drifts]
    notes = {
        label: _drift([one for one in close if one.run.label == label])
        for label in {one.run.label for one in close}
    }
    return tuple(
        replace(one, state="differs", note=notes[one.run.label])
        if one in close and notes[one.run.label]
        else one
        for one in outcomes
    )


def _drift(runs: Sequence[RunOutcome]) -> str:
    # A metric may have no values on some tasks.
    for name in dict.fromkeys(name for one in runs for name in one.drifts):
        there = [one.drifts[name] for one in runs if name in one.drifts]
        allowed = MEAN / math.sqrt(len(there))
        mean = _mean(np.array(there))
        if not abs(mean) <= allowed:
            return (
                f"{name} over {len(there)} runs of the strategy is {mean:+.2g} from what is "
                f"recomputed, allowed {allowed:.2g}"
            )
    return ""


def _scale(values: pd.Series, share: bool) -> float:
    finite = values[np.isfinite(values)].abs()
    return 1.0 if share or finite.empty else float(finite.max()) or 1.0


def _mean(gaps: NDArray[np.float64]) -> float:
    there = gaps[~np.isnan(gaps)]
    return float(there.mean()) if there.size else 0.0


def _gaps(
    run: PublishedRun, there: pd.DataFrame, here: pd.DataFrame, name: str
) -> NDArray[np.float64]:
    grid = run.spec.task.label_grid
    published, computed = (_at_looks(one, name, grid) for one in (there, here))
    with np.errstate(invalid="ignore"):
        gaps = np.where(published == computed, 0.0, published - computed)
    # A strategy that does not spend all may end early; before that, no value is a difference.
    reached = np.asarray(grid) <= min(there["labels"].iloc[-1], here["labels"].iloc[-1])
    gaps[reached & (np.isnan(published) != np.isnan(computed))] = np.inf
    return gaps


def _at_looks(curve: pd.DataFrame, name: str, looks: Sequence[int]) -> NDArray[np.float64]:
    read = models_read(curve["labels"], looks)
    values = curve[name].to_numpy(float)
    there = (read >= 0) & (np.asarray(looks) <= curve["labels"].iloc[-1])
    return np.where(there, values[np.maximum(read, 0)], np.nan)


def _labels_differ(run: PublishedRun, there: pd.DataFrame, here: pd.DataFrame) -> str:
    for name in ("task_hash", "reference"):
        if there[name].iloc[0] != here[name].iloc[0]:
            return f"cycle 0: {_values(name, there[name].iloc[0], here[name].iloc[0])}"
    rows = min(len(there), len(here))
    spends_all = tuple(here["labels"]) == run.spec.task.looks[: len(here)]
    reads_more = _reads_more(here)
    if reads_more != _reads_more(there):
        return "labels_strict: only one of the curves reads more than it buys"
    allowed = {
        "labels": 0.0 if spends_all else math.inf,
        "labels_strict": STRICT if reads_more or not spends_all else 0.0,
        "bytes_up": BYTES,
        "bytes_down": BYTES,
    }
    for name, part in allowed.items():
        published, computed = there[name][:rows].to_numpy(float), here[name][:rows].to_numpy(float)
        wrong = np.flatnonzero(np.abs(published - computed) > part * computed)
        if wrong.size:
            difference = _values(name, there[name].iloc[wrong[0]], here[name].iloc[wrong[0]])
            return f"cycle {wrong[0]}: {difference}"
    for name in BY_CLIENT[: 1 + (not reads_more)] if spends_all else ():
        if list(there[name][:rows]) != list(here[name][:rows]):
            return f"{name} is not the one that is recomputed"
    return _end_differs(there, here, 0.0 if spends_all else PAPER)


def _reads_more(curve: pd.DataFrame) -> bool:
    return bool((curve["labels"] != curve["labels_strict"]).any())


def _end_differs(there: pd.DataFrame, here: pd.DataFrame, part: float) -> str:
    if not part and len(there) != len(here):
        return f"{len(there)} cycles published, {len(here)} recomputed"
    published, computed = int(there["labels"].iloc[-1]), int(here["labels"].iloc[-1])
    if abs(published - computed) > part * max(published, computed):
        return f"in the end {_values('labels', published, computed)}"
    return ""


def _start_differs(there: pd.DataFrame, here: pd.DataFrame, shares: Collection[str]) -> str:
    first, again = there.iloc[0], here.iloc[0]
    for name in _metrics_of(there):
        if name not in here:
            continue
        bound = FIRST * _scale(here[name], name in shares)
        if not _agree(float(first[name]), float(again[name]), bound):
            difference = _values(name, first[name], again[name])
            return f"cycle 0, before any choice: {difference}, allowed {bound:.2g}"
    return ""


def _metric_differs(run: PublishedRun, name: str, gaps: NDArray[np.float64]) -> str:
    for labels, gap in zip(run.spec.task.label_grid, np.abs(gaps), strict=True):
        if gap > POINT:
            return f"{labels} labels: {name} {gap:.2g} apart, allowed {POINT:g}"
    if not abs(_mean(gaps)) <= MEAN:
        return f"{name} is {_mean(gaps):+.2g} apart over the curve, allowed {MEAN:g}"
    return ""


def charges_difference(
    run: PublishedRun, published: pd.DataFrame, computed: pd.DataFrame, *, exact: bool
) -> str:
    """Say where the charges of a run differ from those computed again.

    Args:
        run: the run.
        published: all published charges.
        computed: those of the run, computed again.
        exact: whether every number must be the same. In another environment a strategy that reads
            more than it buys may read a few labels more or less, for the same purposes.

    Returns:
        The first difference; empty if there is none.
    """
    there, here = _labels(run, published), _labels(run, computed)
    for purpose, cycle in sorted(there.keys() | here.keys()):
        before, now = there.get((purpose, cycle), 0), here.get((purpose, cycle), 0)
        if before != now and exact:
            return f"cycle {cycle}: {before} labels read for {purpose} published, {now} recomputed"
    return "" if exact else _purposes_differ(there, here)


def _purposes_differ(
    there: Mapping[tuple[str, int], int], here: Mapping[tuple[str, int], int]
) -> str:
    """Compare the sums of each purpose, as parts of all labels that were read.

    A strategy that reads only what it buys does so wherever it runs. How much it buys is compared
    with its curve.
    """
    before, now = (_by_purpose(one) for one in (there, here))
    other = sorted(before.keys() - set(TRAINING_PURPOSES))
    if other and now.keys() <= set(TRAINING_PURPOSES):
        return f"labels read for {other[0]}: {before[other[0]]} published, none recomputed"
    allowed = STRICT * sum(here.values())
    for purpose in sorted(before.keys() | now.keys()):
        if abs(before[purpose] - now[purpose]) > allowed:
            difference = f"{before[purpose]} published, {now[purpose]} recomputed"
            return f"labels read for {purpose}: {difference}"
    return ""


def _by_purpose(charges: Mapping[tuple[str, int], int]) -> Counter[str]:
    sums: Counter[str] = Counter()
    for (purpose, _), labels in charges.items():
        sums[purpose] += labels
    return sums


def _labels(run: PublishedRun, charges: pd.DataFrame) -> dict[tuple[str, int], int]:
    """Return the labels of one run by purpose and cycle."""
    task, label, seed = run.identity
    mine = charges[
        (charges["task"] == task) & (charges["strategy"] == label) & (charges["seed"] == seed)
    ]
    keys = zip(mine["purpose"], mine["cycle"], strict=True)
    return dict(zip(keys, mine["labels"], strict=True))
