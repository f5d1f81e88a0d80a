"""How long missing runs will take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fal_bench.plugins.given import Source
from fal_bench.results.store import Store
from fal_bench.sweep.groups import plan_groups
from fal_bench.sweep.pilot import Pilot, time_tasks
from fal_bench.sweep.spec import RunSpec


@dataclass(frozen=True)
class Estimate:
    """How long missing runs will take.

    Attributes:
        seconds: wall time of the runs, the start of the workers included.
        unknown: labels of the strategies whose own time is left out, because no run of them is
            finished on one of their tasks; with any, ``seconds`` is a lower bound.
    """

    seconds: float
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Spent:
    """Mean seconds that finished runs took, by what they have in common."""

    whole: dict[tuple[str, str], float]
    training: dict[tuple[str, str], float]


def estimate(
    store: Store,
    known: Sequence[RunSpec],
    missing: Sequence[RunSpec],
    jobs: int,
    *,
    plugins: Sequence[Source] = (),
    inline: bool = False,
) -> Estimate:
    """Estimate the wall time of running ``missing`` with ``jobs`` workers.

    A run is taken to cost what finished runs of its task and strategy cost. Where there are none,
    its federated training is taken to cost what it did in runs of other strategies, or else is
    timed for a moment; what its strategy does for itself is not known then.

    Args:
        store: the results folder.
        known: all runs of the comparison; the finished ones are the evidence.
        missing: the runs to run.
        jobs: number of workers.
        plugins: the plugin files that the tasks' data sets and models may be in.
        inline: in this process, without workers.
    """
    if not missing:
        return Estimate(0.0)
    jobs = 1 if inline else jobs
    spent = _spent(store, known)
    timed = {
        spec.task.hash: spec.task
        for spec in missing
        if _by_strategy(spec) not in spent.whole and _by_trainer(spec) not in spent.training
    }
    pilot = time_tasks(
        list(timed.values()), missing[0].device, jobs, plugins=plugins, inline=inline
    )
    loads = [0.0] * jobs
    for group in plan_groups(missing, jobs):  # handed out in this order, as workers get free
        loads.sort()
        loads[0] += sum(_seconds(spec, spent, pilot) for spec in group)
    unknown = {spec.label: None for spec in missing if _by_strategy(spec) not in spent.whole}
    return Estimate(pilot.start + max(loads), tuple(unknown))


def _seconds(spec: RunSpec, spent: _Spent, pilot: Pilot) -> float:
    if (strategy := _by_strategy(spec)) in spent.whole:
        return spent.whole[strategy]
    if (trainer := _by_trainer(spec)) in spent.training:
        return spent.training[trainer]
    return pilot.runs[spec.task.hash]


def _by_strategy(spec: RunSpec) -> tuple[str, str]:
    return spec.task.hash, spec.label


def _by_trainer(spec: RunSpec) -> tuple[str, str]:
    return spec.task.hash, str(spec.trainer)


def _spent(store: Store, known: Sequence[RunSpec]) -> _Spent:
    whole: dict[tuple[str, str], list[float]] = {}
    training: dict[tuple[str, str], list[float]] = {}
    for spec in known:
        if store.phase(spec) == "done":
            rows = store.folder(spec).rows()
            train = sum(row.train_seconds for row in rows)
            select = sum(row.select_seconds for row in rows)
            whole.setdefault(_by_strategy(spec), []).append(train + select)
            training.setdefault(_by_trainer(spec), []).append(train)
    return _Spent(_means(whole), _means(training))


def _means(seconds: dict[tuple[str, str], list[float]]) -> dict[tuple[str, str], float]:
    return {key: sum(values) / len(values) for key, values in seconds.items()}
