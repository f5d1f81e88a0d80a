"""Verifying published results: files that agree, and curves that can be computed again."""

from __future__ import annotations

import secrets
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fal_bench.data.folders import use_data_folder
from fal_bench.errors import PublicationError
from fal_bench.inputs.arguments import as_path, as_several, as_whole
from fal_bench.inputs.selector import Selector
from fal_bench.learning.device import DeviceError, resolve_device
from fal_bench.learning.numerics import numerics_of
from fal_bench.plugins.files import plugin_sources
from fal_bench.plugins.given import Source, given
from fal_bench.plugins.metric import Metric
from fal_bench.plugins.registry import Registry, use_registry
from fal_bench.publication.answers import BudgetChange, budget_changes
from fal_bench.publication.closeness import (
    PublishedRun,
    RunOutcome,
    charges_difference,
    compare_curves,
    curve_of,
    judge_closeness,
    refuse_drift,
)
from fal_bench.publication.consistency import Check, Published, contradictions
from fal_bench.reporting.progress import progress_monitor
from fal_bench.results.identity import TRAINER, records, strategy_selector, trainer_selector
from fal_bench.results.model import Results
from fal_bench.results.published import FileState, file_states, results_of
from fal_bench.results.record import FILE, PublishedStrategy, Record, has_charges, read_record
from fal_bench.results.store import Store
from fal_bench.results.stored import read_planned
from fal_bench.sweep.environment import environment
from fal_bench.sweep.plan import Plan, run_missing
from fal_bench.sweep.spec import RunSpec, plan_runs
from fal_bench.sweep.supervisor import Supervisor
from fal_bench.task import Task

_INSTALL = "install its package, or name its file with --plugin"

_PATIENCE = 5.0
"""Seconds that killed workers may take to end."""


@dataclass(frozen=True)
class Sample:
    """The published runs that are to be computed again.

    Attributes:
        runs: the runs.
        total: of how many.
        seed: seed of their choice; None if all are computed.
        curves: all published curves.
        charges: all published charges; None if they were not published.
        plugins: the plugin files that can be loaded.
        environment: what differs from where they were computed, in a sentence; empty if nothing.
        shares: the metrics that lie between 0 and 1.
    """

    runs: tuple[PublishedRun, ...]
    total: int
    seed: int | None
    curves: pd.DataFrame
    charges: pd.DataFrame | None
    plugins: tuple[Source, ...]
    environment: str
    shares: frozenset[str]

    @property
    def seconds(self) -> float:
        """Seconds of training and selection that they took when they were published."""
        mine = [curve_of(run, self.curves) for run in self.runs]
        return float(sum(one["train_seconds"].sum() + one["select_seconds"].sum() for one in mine))

    @property
    def chance(self) -> float:
        """The chance that one forged run is among those computed again.

        Every run is as likely to be drawn as any other one: n of m runs leave a chance of n/m.
        """
        return len(self.runs) / self.total


@dataclass(frozen=True)
class Verification:
    """What came out of verifying published results.

    Attributes:
        record: their provenance.
        files: what became of the files.
        checks: whether what they show follows from what it rests on; empty where files changed.
        sample: what is computed again; None where files have changed or contradict each other.
        runs: what came out of it; empty before.
        budgets: what runs that are only close mean for the budgets to target.
        tolerance: largest allowed difference of metrics; None for the same bits, or curves as
            close as another environment allows.
    """

    record: Record
    files: tuple[FileState, ...]
    checks: tuple[Check, ...] = ()
    sample: Sample | None = None
    runs: tuple[RunOutcome, ...] = ()
    budgets: tuple[BudgetChange, ...] = ()
    tolerance: float | None = None

    @property
    def passed(self) -> bool:
        """Whether nothing differs from what was published."""
        return self.unchanged and self.consistent and not self._wrong

    @property
    def equal(self) -> bool:
        """Whether all was compared, and every run computed again has the same bits."""
        return self.passed and not self._unchecked and self._close == 0

    @property
    def unchanged(self) -> bool:
        """Whether no file has changed, and there are no others."""
        return all(file.state == "same" for file in self.files)

    @property
    def consistent(self) -> bool:
        """Whether nothing that the files show contradicts what it rests on."""
        return all(check.state != "differs" for check in self.checks)

    @property
    def _wrong(self) -> int:
        return sum(run.state not in ("same", "close") for run in self.runs)

    @property
    def _close(self) -> int:
        return sum(run.state == "close" for run in self.runs)

    @property
    def _unchecked(self) -> list[str]:
        return [check.name for check in self.checks if check.state == "unchecked"]

    @property
    def caution(self) -> str:
        """What keeps results that passed from being equal, in a sentence; empty if nothing does."""
        if not self.passed or self.equal:
            return ""
        parts = []
        if self._close:
            allowed = f"{self.tolerance:g}" if self.tolerance else "rounding elsewhere"
            parts.append(
                f"{self._close} of {len(self.runs)} runs are not the same, only as close as "
                f"{allowed} allows, which real differences between strategies can be, too"
            )
        parts += [f"unchecked, so it may show anything: {name}" for name in self._unchecked]
        return f"NOT EQUAL: {'; '.join(parts)}."

    @property
    def summary(self) -> str:
        """The result in one sentence."""
        broken = [f"{file.name} is {file.state}" for file in self.files if file.state != "same"]
        if broken:
            return (
                f"These are not the files that were published: {', '.join(broken)}; nothing was "
                "recomputed."
            )
        wrong = [check for check in self.checks if check.state == "differs"]
        if wrong:
            return (
                f"The files contradict each other ({wrong[0].name}: {wrong[0].note}); nothing was "
                "recomputed."
            )
        count, total = len(self.runs), self.record.n_runs
        if not self._wrong:
            return (
                f"The files are unchanged, and {count} of {total} runs recompute {self._agreeing}."
            )
        sentence = f"{self._wrong} of {count} recomputed runs differ from those that were published"
        if self.tolerance is None and self.sample is not None and self.sample.environment:
            return f"{sentence} by more than another environment explains."
        return f"{sentence}."

    @property
    def _agreeing(self) -> str:
        """What the runs that agree have in common."""
        same = len(self.runs) - self._wrong - self._close
        allowed = f"within {self.tolerance:g}" if self.tolerance else "only closely"
        if not self._close:
            return "bit for bit"
        return f"({same} bit for bit, {self._close} {allowed})" if same else allowed


def verify(
    folder: str | Path,
    *,
    runs: int | None = 4,
    seed: int | None = None,
    jobs: int = 1,
    plugins: Sequence[object] | str | Path = (),
    data_dir: str | Path | None = None,
    tolerance: float | None = None,
    call_timeout: float = 600.0,
    memory_limit: int | None = None,
    progress: bool = True,
    announce: Callable[[Verification], None] = lambda _: None,
) -> Verification:
    """Verify published results: compare files with each other, and compute runs again.

    Nothing is computed if a file has changed, or shows what does not follow from the others.

    Args:
        folder: the folder that ``publish`` wrote.
        runs: how many runs to compute; all of them if None.
        seed: seed of their choice; if None, one that no publisher can know before.
        jobs: worker processes.
        plugins: further plugins, as for ``compare``.
        data_dir: the folder of data sets, as for ``compare``.
        tolerance: largest allowed difference in metrics; 0 asks for the same bits, which are
            promised on the same processor type and versions alone. None asks for them there, and
            otherwise for curves as close as another environment allows, by fixed numbers.
        call_timeout: seconds a strategy's call may take.
        memory_limit: MiB a worker may take, as for ``compare``.
        progress: show a live display on the terminal.
        announce: called with what is known so far: after the files, and before runs are computed.

    Raises:
        PublicationError: the results cannot be verified here.
        FalbenchError: a plugin or data cannot be used.
    """
    folder = as_path("folder", folder)
    runs = as_whole("runs", runs, 1)
    chosen = as_whole("seed", seed, 0)
    data = None if data_dir is None else as_path("data_dir", data_dir)
    record = read_record(folder)
    state = Verification(record, file_states(folder, record), tolerance=tolerance)
    if not state.unchanged:
        announce(state)
        return state
    results = results_of(record, folder)
    published = Published(folder, record, results)
    checks = contradictions(published)
    state = replace(state, checks=checks)
    announce(state)
    if not state.consistent:
        return state
    with use_data_folder(data):
        sample = draw_sample(
            record,
            results,
            runs=runs,
            seed=secrets.randbits(32) if chosen is None else chosen,
            plugins=as_several("plugins", plugins),
        )
        state = replace(state, sample=sample)
        announce(state)
        with scratch_store() as store:
            limits = (call_timeout, memory_limit)
            metrics = tuple(results.metrics)
            supervisor = Supervisor(store, jobs, "processes", sample.plugins, *limits, metrics)
            run_missing(supervisor, _plan(record, sample), progress_monitor(shown=progress))
            outcomes = refuse_drift([_outcome(store, run, state) for run in sample.runs])
            close = [one.run for one in outcomes if one.state == "close"]
            changes = _budget_changes(store, close, published)
    return replace(state, runs=outcomes, budgets=changes)


def _budget_changes(
    store: Store, runs: Sequence[PublishedRun], published: Published
) -> tuple[BudgetChange, ...]:
    if not runs:
        return ()
    computed = read_planned([run.spec for run in runs], store).shown_curves()
    return budget_changes(published.drawn.boards, computed, [run.identity for run in runs])


def draw_sample(
    record: Record,
    results: Results,
    *,
    runs: int | None,
    seed: int,
    plugins: Sequence[object],
) -> Sample:
    """Choose the runs to compute again, and check that this installation can.

    Args:
        record: the provenance.
        results: the published runs.
        runs: how many; all of them if None.
        seed: seed of the choice.
        plugins: Python files or folders with further strategies.

    Raises:
        FalbenchError: it cannot.
    """
    registry = Registry.discover(plugin_sources(given(plugins)), try_first=True)
    known = runs_here(record, results, registry)
    chosen = draw_runs(known, len(known) if runs is None else runs, np.random.default_rng(seed))
    sample = Sample(
        tuple(chosen),
        len(known),
        seed if len(chosen) < len(known) else None,
        results.shown_curves(),
        results.shown_charges() if has_charges(record) else None,
        tuple(registry.files),
        environment_note(record),
        frozenset(one.name for one in _metrics_here(record, results, registry) if one.share),
    )
    plan = _plan(record, sample)
    plan.check(plan.runs)
    with use_registry(registry):
        _check_pools(results)
    return sample


def _metrics_here(record: Record, results: Results, registry: Registry) -> list[Metric]:
    """Return the published metrics as this installation has them.

    Raises:
        PublicationError: one is missing here, since it could not be computed again, or is better
            the other way round.
    """
    known = {name: registry.metrics.known(name) for name in results.metrics}
    here = {name: one for name, one in known.items() if one is not None}
    _refuse("metric", results.metrics, list(here), _INSTALL)
    for name in results.metrics:
        if record.metrics.get(name, here[name].higher_is_better) != here[name].higher_is_better:
            raise PublicationError(
                f"{FILE} says the opposite of this installation of whether a higher {name} is "
                "better; restore it."
            )
    return [here[name] for name in results.metrics]


def _check_pools(results: Results) -> None:
    """Check the sizes of the query pools, which budgets are shares of.

    Raises:
        PublicationError: one is not what the task and its data give.
    """
    from fal_bench.data.loading import load_dataset
    from fal_bench.federation.setting import Setting

    for task, pool in zip(results.tasks["spec"], results.tasks["pool"], strict=True):
        data = load_dataset(task.dataset)
        # Of whichever seed: shares of clients are rounded, so seeds may differ by a few samples.
        if not any(Setting.draw(task, seed, data).pool == pool for seed in results.seeds):
            raise PublicationError(
                f"{FILE} says that the query pool of task {task.name!r} has {pool} samples, which "
                "is not what the task and its data give; restore it."
            )


def _outcome(store: Store, run: PublishedRun, state: Verification) -> RunOutcome:
    sample = state.sample
    assert sample is not None
    published, folder = curve_of(run, sample.curves), store.folder(run.spec)
    if store.phase(run.spec) != "done":
        reason = str(folder.status()["reason"])
        return RunOutcome(run, "failed", len(published), reason)
    here = read_planned([run.spec], store)
    computed = here.shown_curves()
    outcome = compare_curves(run, published, computed, state.tolerance or 0.0)
    elsewhere = state.tolerance is None and bool(sample.environment)
    if outcome.state == "differs" and elsewhere:
        outcome = judge_closeness(run, computed, published, sample.shares)
    if outcome.state == "differs" or sample.charges is None:
        return outcome
    other = charges_difference(run, sample.charges, here.shown_charges(), exact=not elsewhere)
    return replace(outcome, state="differs", note=other) if other else outcome


def _plan(record: Record, sample: Sample) -> Plan:
    return Plan(
        suite=None,
        runs=tuple(run.spec for run in sample.runs),
        plugins=sample.plugins,
        device=record.device,
    )


def draw_runs(
    runs: Sequence[PublishedRun], count: int, rng: np.random.Generator
) -> list[PublishedRun]:
    """Draw runs at random, spread evenly over strategies, tasks and seeds.

    Every run drawn is of a strategy that has been drawn least often; among those, of such a task;
    then of such a strategy on such a task, and of such a seed; chance decides between equals.

    Args:
        runs: all runs.
        count: how many to draw; all of them if there are no more.
        rng: decides between equals.

    Returns:
        The runs in the order of ``runs``.
    """
    if count >= len(runs):
        return list(runs)
    left = [runs[place] for place in rng.permutation(len(runs))]
    drawn: set[tuple[str, str, int]] = set()
    times: Counter[tuple[str | int, ...]] = Counter()
    for _ in range(count):
        # The first of equals in the shuffled order.
        chosen = min(left, key=lambda run: tuple(times[one] for one in _kinds(run)))
        left.remove(chosen)
        times.update(_kinds(chosen))
        drawn.add(chosen.identity)
    return [run for run in runs if run.identity in drawn]


def _kinds(run: PublishedRun) -> list[tuple[str | int, ...]]:
    task, label, seed = run.identity
    return [("strategy", label), ("task", task), ("both", label, task), ("seed", seed)]


def runs_here(record: Record, results: Results, registry: Registry) -> list[PublishedRun]:
    """Return the published runs as this installation plans them, which has the same keys.

    Args:
        record: the provenance.
        results: the published runs.
        registry: the strategies and trainers here.

    Raises:
        PublicationError: something that decides the curves is missing here, or another version.
        FalbenchError: data cannot be read, or there is no such device.
    """
    try:
        resolve_device(record.device)
    except DeviceError:
        raise PublicationError(
            f"The results were computed on {record.device!r}, and PyTorch finds no such device "
            "here; verify them on a machine with one."
        ) from None
    ours = numerics_of(record.device)
    if record.numerics != ours:
        raise PublicationError(
            f"The runs cannot be computed again by this falbench: they are of numerics version "
            f"{record.numerics}, and it computes version {ours}; install the falbench "
            f"of {record.published[:10]}, which published them."
        )
    tasks = list(results.tasks["spec"])
    _refuse_absent(record.strategies, tasks, registry)
    selectors = [_with_trainer(row) for row in record.strategies]
    planned = {
        (spec.task.name, str(spec.strategy), str(spec.trainer), spec.seed): spec
        for spec in plan_runs(tasks, selectors, record.seeds, registry, record.device)
    }
    runs = []
    for run, label in zip(records(results.runs), results.here["strategy"], strict=True):
        strategy, trainer = strategy_selector(run), trainer_selector(run)
        spec = planned.get((run["task"], str(strategy), str(trainer), run["seed"]))
        spec = _same_here(run, spec, record)
        if (label, bool(run["reference"])) != (spec.label, spec.reference):
            raise PublicationError(
                f"{label!r} is called {spec.label!r} in this installation, or is a reference in "
                f"only one of {FILE} and this installation; restore it."
            )
        runs.append(PublishedRun(spec, label))
    return runs


def environment_note(record: Record) -> str:
    """Say in one sentence what differs from where the runs were computed; empty if nothing does.

    What was not recorded then is not known to differ.
    """
    here = {**environment(record.device), "device": record.device}
    differences = [
        (sorted(name for name in one.facts.keys() & here if one.facts[name] != here[name]), one)
        for one in record.environments
    ]
    if not differences:
        return ""
    names, nearest = min(differences, key=lambda pair: len(pair[0]))
    if names:
        differing = [f"{name} {nearest.facts[name]} there, {here[name]} here" for name in names]
        return f"The runs were computed elsewhere ({'; '.join(differing)}), so bits may differ."
    same = sum(one.runs for names, one in differences if not names)
    if same < record.n_runs:
        return (
            f"{record.n_runs - same} of {record.n_runs} runs were computed in another environment "
            "than this one, so their bits may differ."
        )
    return ""


def _refuse_absent(
    rows: Sequence[PublishedStrategy], tasks: Sequence[Task], registry: Registry
) -> None:
    # A file that cannot be loaded may hold what is missing; the registry then names that file.
    if not registry.unavailable:
        _refuse("strategy", (row.strategy for row in rows), registry.names(), _INSTALL)
        known = registry.trainers.names()
        _refuse("trainer", (row.trainer for row in rows), known, _INSTALL)
        known = registry.datasets.names()
        _refuse("data set", (task.dataset for task in tasks), known, _INSTALL)
        _refuse("model", (task.model.kind for task in tasks), registry.models.names(), _INSTALL)
        known = registry.aggregations.names()
        _refuse("aggregation", (task.aggregation.kind for task in tasks), known, _INSTALL)


def _refuse(kind: str, selectors: Iterable[str], known: Sequence[str], advice: str) -> None:
    for text in selectors:
        if (name := Selector.parse(text).name) not in known:
            raise PublicationError(
                f"The {kind} {name!r} of the published results is not installed here; {advice}."
            )


def _same_here(run: Mapping[str, Any], planned: RunSpec | None, record: Record) -> RunSpec:
    """Refuse a run that this installation would compute otherwise; say what differs."""
    if planned is None:
        raise PublicationError(
            f"The strategy {str(strategy_selector(run))!r} has other parameters in this "
            f"installation; use falbench {record.falbench}, which published it."
        )
    for kind, name, there, here in (
        ("strategy", run["strategy"], run["fingerprint"], planned.fingerprint),
        ("trainer", run["trainer"], run["trainer_fingerprint"], planned.trainer_fingerprint),
        ("data set", planned.task.dataset, run["data"], planned.data),
        ("model", planned.task.model.kind, run["model"], planned.model),
        ("aggregation", planned.task.aggregation.kind, run["aggregation"], planned.aggregation),
    ):
        if there != here:
            raise PublicationError(
                f"The {kind} {name!r} is not the one that was published ({there or 'no digest'} "
                f"there, {here or 'no digest'} here); its runs cannot be computed again."
            )
    if planned.key != run["key"]:
        raise PublicationError(
            f"The runs of {run['strategy']!r} have other keys in this installation; use falbench "
            f"{record.falbench}, which published them."
        )
    return planned


def _with_trainer(row: PublishedStrategy) -> Selector:
    selector = Selector.parse(row.strategy)
    return Selector(selector.name, {**selector.params, TRAINER: row.trainer})


@contextmanager
def scratch_store() -> Iterator[Store]:
    """Make a results folder that is gone when the context closes, however it closes."""
    root = Path(tempfile.mkdtemp(prefix="falbench-verify-"))
    try:
        store = Store(root)
        store.prepare()
        yield store
    finally:
        _remove(root)


def _remove(root: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while root.exists():
        # A worker that is being killed may put a file where one was just removed.
        shutil.rmtree(root, ignore_errors=time.monotonic() < deadline)
