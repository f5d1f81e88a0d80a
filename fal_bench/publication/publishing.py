"""Publishing: the comparison of a results folder as files that others can verify."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from fal_bench._version import __version__
from fal_bench.errors import PublicationError
from fal_bench.inputs.selector import Selector
from fal_bench.learning.numerics import NUMERICS_VERSION
from fal_bench.publication.folder import CHARGES, check_target, checksums
from fal_bench.publication.publishable import Publishable, select_publishable
from fal_bench.publication.record import (
    FILE,
    PublishedEnvironment,
    PublishedStrategy,
    PublishedTask,
    Record,
    Sessions,
)
from fal_bench.publication.runs import published_runs
from fal_bench.report.answer import Comparison, answer
from fal_bench.report.evidence import Evidence
from fal_bench.report.export import write_csv
from fal_bench.report.selection import Selection
from fal_bench.report.stored import Filter
from fal_bench.report.targets import Question
from fal_bench.results.files import write_atomically
from fal_bench.results.sessions import read_sessions
from fal_bench.results.store import Store


def publish(
    results: str | Path,
    to: str | Path,
    *,
    strategies: Sequence[str] = (),
    target_acc: float | str | Sequence[float | str] | None = None,
    suite: str | None = None,
    task: str | None = None,
    seeds: int | None = None,
    accounting: str = "strict",
    baseline: str | None = None,
) -> tuple[Record, tuple[str, ...]]:
    """Write the comparison of a results folder where others can verify it; runs nothing.

    The folder then holds ``leaderboard.csv``, ``curves.csv``, ``charges.csv``,
    ``leaderboard.html`` and ``provenance.json``, and nothing else. Curves measured elsewhere are
    left out.

    Args:
        results: the results folder; ``redraw`` is for results published before.
        to: the folder to write; new, empty, or with results published before, which are replaced.
        strategies: selectors; all stored strategies if empty.
        target_acc: the target accuracies, as for ``fal_bench.compare``; by default the suite's.
        suite: a suite's name or TOML file; found from the stored tasks if None.
        task: one task only.
        seeds: the first so many of the stored seeds; all of them if None.
        accounting: the labels that rank: ``"strict"`` or ``"paper"``.
        baseline: the strategy that savings refer to; random by default.

    Returns:
        What ``provenance.json`` says, and sentences on stored runs that are left out.

    Raises:
        PublicationError: the runs are no complete comparison that others can compute anew, or
            ``to`` holds other files; nothing has been written then.
        FalbenchError: the folder holds no such runs, or a name or value cannot be used.
    """
    store, target = Store(Path(results)), Path(to)
    check_target(target)
    chosen = Filter(suite, task, tuple(strategies), seeds, external=False)
    found = select_publishable(store, chosen)
    targets = found.selection.targets if target_acc is None else target_acc
    question = Question.make(targets, accounting, baseline, found.selection.strategies)
    evidence = found.selection.evidence(found.command)
    comparison = answer(question, evidence)
    draft = _describe(store.root, found, question, evidence)
    _check_keys(draft, found.selection)
    return write_published(comparison, draft, target), found.notes


def write_published(comparison: Comparison, draft: Record, target: Path) -> Record:
    """Write the files of a comparison, and the record that vouches for them.

    Args:
        comparison: what is published.
        draft: the record, of whatever checksums.
        target: the folder.

    Returns:
        The record with the checksums.

    Raises:
        FalbenchError: the folder cannot be written.
    """
    try:
        target.mkdir(parents=True, exist_ok=True)
        # An interruption from here on leaves results that cannot pass for published ones.
        (target / FILE).unlink(missing_ok=True)
        comparison.write(target)
        write_csv(comparison.charges, target / CHARGES)
        record = draft.model_copy(update={"files": checksums(target)})
        write_atomically(target / FILE, lambda file: file.write(record.text.encode()))
    except OSError as error:
        raise PublicationError(
            f"Cannot write into {str(target)!r} ({error.strerror or error}); name another folder "
            "with --to, or mend that."
        ) from error
    return record


def _describe(root: Path, found: Publishable, question: Question, evidence: Evidence) -> Record:
    """Return the record, still without checksums."""
    selection = found.selection
    ended = [run.stored.folder.ended() for run in selection.runs]
    seconds = evidence.curves[["train_seconds", "select_seconds"]].to_numpy().sum()
    return Record(
        falbench=__version__,
        command=f"{found.command} {question.options()}",
        published=now(),
        first_finished=_iso(min(ended)),
        last_finished=_iso(max(ended)),
        compute_seconds=round(float(seconds), 1),
        runs=_runs(root),
        suite=selection.suite,
        targets=question.targets,
        accounting=question.accounting,
        baseline=question.baseline,
        numerics=NUMERICS_VERSION,
        device=found.device,
        seeds=selection.seeds,
        tasks=_tasks(selection, {facts.name: facts.pool for facts in evidence.tasks}),
        strategies=_strategies(selection),
        environments=tuple(
            PublishedEnvironment(cells=one.runs, facts=dict(one.facts))
            for one in evidence.environments
        ),
        files={},
    )


def _tasks(selection: Selection, pools: Mapping[str, int]) -> tuple[PublishedTask, ...]:
    data = {run.task: run.stored.data or None for run in selection.runs}
    return tuple(
        PublishedTask(
            name=task.name,
            hash=task.hash,
            canonical=task.canonical,
            pool=pools[task.name],
            data=data[task.name],
        )
        for task in selection.tasks
    )


def _strategies(selection: Selection) -> tuple[PublishedStrategy, ...]:
    first = {run.strategy: run.stored for run in reversed(selection.runs)}
    rows = []
    for label, run in sorted(first.items()):
        strategy, trainer = run.description["strategy"], run.description["trainer"]
        rows.append(
            PublishedStrategy(
                label=label,
                strategy=str(Selector(strategy["name"], strategy["params"])),
                fingerprint=strategy["fingerprint"],
                trainer=str(Selector(trainer["name"], trainer["params"])),
                trainer_fingerprint=trainer["fingerprint"],
                reference=run.reference,
            )
        )
    return tuple(rows)


def _runs(root: Path) -> Sessions | None:
    runs = read_sessions(root)
    if not runs:
        return None
    return Sessions(
        count=len(runs),
        cells=sum(run.finished for run in runs),
        wall_seconds=round(sum(run.seconds for run in runs), 1),
        jobs=tuple(sorted({run.jobs for run in runs})),
    )


def _check_keys(record: Record, selection: Selection) -> None:
    """Check that the record, once written and read, leads to exactly the stored runs."""
    again = Record.model_validate_json(record.text, strict=True)
    rebuilt = {run.identity: run.spec.key for run in published_runs(again)}
    for run in selection.runs:
        if rebuilt.pop((run.task, run.strategy, run.seed), None) != run.stored.key:
            raise PublicationError(
                f"The run of {run.task}, {run.strategy}, seed {run.seed} cannot be rebuilt "
                f"from what {FILE} would say of it; it was computed by another falbench, so run "
                "falbench compare again."
            )


def now() -> str:
    """Return the present moment as the record writes it."""
    return _iso(datetime.now(UTC))


def _iso(time: datetime) -> str:
    return time.isoformat(timespec="seconds")
