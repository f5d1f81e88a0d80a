"""Verifying published results: unchanged files, and curves that can be computed anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from fal_bench.comparison import progress_monitor, run_missing
from fal_bench.data.folders import use_data_folder
from fal_bench.sweep.plan import Plan
from fal_bench.plugins.files import plugin_paths
from fal_bench.plugins.registry import Registry
from fal_bench.publication.charges import charges_difference, imbalance, read_published_charges
from fal_bench.publication.closeness import allowed_deviations, judge_closeness
from fal_bench.publication.curves import (
    RunOutcome,
    compare_curves,
    curve_of,
    read_published_curves,
)
from fal_bench.publication.folder import (
    CHARGES,
    CURVES,
    LEADERBOARD,
    FileState,
    file_states,
    has_charges,
)
from fal_bench.publication.installation import environment_note, runs_here
from fal_bench.publication.ranking import leaderboard_difference
from fal_bench.publication.record import Record, read_record
from fal_bench.publication.runs import PublishedRun
from fal_bench.publication.sample import draw_runs
from fal_bench.publication.scratch import scratch_store
from fal_bench.sweep.collect import FinishedRun, read_charges, read_curves
from fal_bench.results.store import Store
from fal_bench.sweep.supervisor import Supervisor

SAMPLE = 4
"""Runs that are computed anew unless another number is asked for."""


@dataclass(frozen=True)
class Sample:
    """The published runs that are to be computed anew.

    Attributes:
        runs: the runs.
        curves: all published curves.
        charges: all published charges; None if they were not published.
        plugins: the plugin files that can be loaded.
        environment: what differs from where they were computed, in a sentence; empty if nothing.
    """

    runs: tuple[PublishedRun, ...]
    curves: pd.DataFrame
    charges: pd.DataFrame | None
    plugins: tuple[Path, ...]
    environment: str

    @property
    def seconds(self) -> float:
        """Seconds of training and selection that they took when they were published."""
        mine = [curve_of(run, self.curves) for run in self.runs]
        return float(sum(one["train_seconds"].sum() + one["select_seconds"].sum() for one in mine))


@dataclass(frozen=True)
class Verification:
    """What came out of verifying published results.

    Attributes:
        record: their provenance.
        files: what became of the files.
        ranking: where the leaderboard does not follow from the curves; empty if it does.
        imbalance: where the charges do not add up to the curves; empty if they do.
        sample: what is computed anew; None where files have changed.
        runs: what came out of it; empty before.
        tolerance: largest allowed difference in accuracy, precision and loss; None for the same
            bits, or curves as close as another environment allows.
    """

    record: Record
    files: tuple[FileState, ...]
    ranking: str = ""
    imbalance: str = ""
    sample: Sample | None = None
    runs: tuple[RunOutcome, ...] = ()
    tolerance: float | None = None

    @property
    def passed(self) -> bool:
        """Whether files, leaderboard and every run computed anew are as they were published."""
        return self.unchanged and not self._contradiction and not self._wrong

    @property
    def _contradiction(self) -> str:
        """Which files do not follow from each other, as the start of a sentence."""
        if self.ranking:
            return "The leaderboard does not follow from the curves"
        return "The charges do not add up to the curves" if self.imbalance else ""

    @property
    def _wrong(self) -> int:
        return sum(run.state not in ("same", "close") for run in self.runs)

    @property
    def _agreeing(self) -> str:
        """What the runs that agree have in common."""
        close = sum(run.state == "close" for run in self.runs)
        if not close:
            return f"within {self.tolerance:g}" if self.tolerance else "bit for bit"
        if close == len(self.runs) - self._wrong:
            return "as closely as another environment allows"
        same = len(self.runs) - self._wrong - close
        return f"({same} bit for bit, {close} as closely as another environment allows)"

    @property
    def unchanged(self) -> bool:
        """Whether no file has changed."""
        return all(file.state == "same" for file in self.files)

    @property
    def summary(self) -> str:
        """The result in one sentence."""
        broken = [f"{file.name} is {file.state}" for file in self.files if file.state != "same"]
        if broken:
            return (
                f"These are not the files that were published: {', '.join(broken)}; nothing was "
                "recomputed."
            )
        count, total, wrong = len(self.runs), self.record.n_runs, self._wrong
        if self._contradiction:
            sentence = f"{self._contradiction}, and"
            return f"{sentence} {count - wrong} of {count} runs recompute {self._agreeing}."
        if not wrong:
            return (
                f"The files are unchanged, and {count} of {total} runs recompute {self._agreeing}."
            )
        sentence = f"{wrong} of {count} recomputed runs differ from those that were published"
        if self.tolerance is None and self.sample is not None and self.sample.environment:
            return f"{sentence} by more than another environment explains."
        return f"{sentence}."


def verify(
    folder: str | Path,
    *,
    runs: int | None = SAMPLE,
    seed: int = 0,
    jobs: int = 1,
    plugins: Sequence[str | Path] = (),
    data_dir: str | Path | None = None,
    tolerance: float | None = None,
    call_timeout: float = 600.0,
    memory_limit: int | None = None,
    progress: bool = True,
    announce: Callable[[Verification], None] = lambda _: None,
) -> Verification:
    """Verify published results: compare the files with their checksums, and compute runs anew.

    Nothing is computed if a file has changed.

    Args:
        folder: the folder that ``publish`` wrote.
        runs: how many runs to compute anew; all of them if None.
        seed: seed of their choice.
        jobs: worker processes.
        plugins: Python files or folders with further strategies.
        data_dir: the folder of data sets, as for ``fal_bench.compare``.
        tolerance: largest allowed difference in accuracy, precision and loss; 0 asks for the same
            bits, which are promised on the same processor type and versions alone. None asks for
            them there, and elsewhere for curves as close as another environment allows.
        call_timeout: seconds a strategy's call may take.
        memory_limit: MiB a worker may take, as for ``fal_bench.compare``.
        progress: show a live display on the terminal.
        announce: is told how far things are: after the files, and before the runs are computed.

    Raises:
        PublicationError: the results cannot be verified here.
        FalbenchError: a plugin or data cannot be used.
    """
    record = read_record(Path(folder))
    state = Verification(record, file_states(Path(folder), record), tolerance=tolerance)
    if not state.unchanged:
        announce(state)
        return state
    curves, charges = read_published_curves(Path(folder) / CURVES), None
    state = replace(
        state, ranking=leaderboard_difference(record, curves, Path(folder) / LEADERBOARD)
    )
    if has_charges(record):
        charges = read_published_charges(Path(folder) / CHARGES)
        state = replace(state, imbalance=imbalance(curves, charges))
    announce(state)
    with use_data_folder(None if data_dir is None else Path(data_dir)):
        sample = draw_sample(record, curves, charges, runs=runs, seed=seed, plugins=plugins)
        state = replace(state, sample=sample)
        announce(state)
        with scratch_store() as store:
            limits = (call_timeout, memory_limit)
            supervisor = Supervisor(store, jobs, "loky", sample.plugins, *limits)
            run_missing(supervisor, _plan(record, sample), progress_monitor(progress))
            outcomes = tuple(_outcome(store, run, state) for run in sample.runs)
    return replace(state, runs=outcomes)


def draw_sample(
    record: Record,
    curves: pd.DataFrame,
    charges: pd.DataFrame | None,
    *,
    runs: int | None,
    seed: int,
    plugins: Sequence[str | Path],
) -> Sample:
    """Choose the runs to compute anew, and check that this installation can.

    Args:
        record: the provenance.
        curves: the published curves.
        charges: the published charges, if there are any.
        runs: how many; all of them if None.
        seed: seed of the choice.
        plugins: Python files or folders with further strategies.

    Raises:
        FalbenchError: it cannot.
    """
    registry = Registry.discover(plugin_paths(plugins), try_first=True)
    known = runs_here(record, registry)
    chosen = draw_runs(known, len(known) if runs is None else runs, np.random.default_rng(seed))
    sample = Sample(tuple(chosen), curves, charges, tuple(registry.files), environment_note(record))
    plan = _plan(record, sample)
    plan.check(plan.runs)
    return sample


def _outcome(store: Store, run: PublishedRun, state: Verification) -> RunOutcome:
    sample = state.sample
    assert sample is not None
    published, folder = curve_of(run, sample.curves), store.folder(run.spec)
    if store.phase(run.spec) != "done":
        reason = str(folder.status()["reason"])
        return RunOutcome(run, "failed", len(published), reason)
    task, label, seed = run.identity
    finished = FinishedRun(task, label, seed, folder, run.spec.task.hash, run.spec.reference)
    computed = read_curves([finished])
    outcome = compare_curves(run, published, computed, state.tolerance or 0.0)
    if outcome.state == "same" and sample.charges is not None:
        other = charges_difference(run, sample.charges, read_charges([finished]))
        return replace(outcome, state="differs", note=other) if other else outcome
    if outcome.state == "same" or state.tolerance is not None or not sample.environment:
        return outcome
    return judge_closeness(run, computed, sample.curves, allowed_deviations(len(sample.runs)))


def _plan(record: Record, sample: Sample) -> Plan:
    specs = tuple(run.spec for run in sample.runs)
    return Plan(
        suite=record.suite,
        tasks=tuple({spec.task.name: spec.task for spec in specs}.values()),
        seeds=record.seeds,
        runs=specs,
        command=record.command,
        plugins=sample.plugins,
        device=record.device,
    )
