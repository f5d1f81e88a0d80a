"""Publishing: a comparison as files that others can verify."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from fal_bench._version import __version__
from fal_bench.errors import InvalidSpecError, PublicationError, UnknownNameError
from fal_bench.inputs.arguments import Notify, as_path, warn
from fal_bench.learning.numerics import numerics_of
from fal_bench.publication.names import misnamed
from fal_bench.reporting.answer import Comparison, answer
from fal_bench.reporting.context import Accounting
from fal_bench.reporting.export import write_csv
from fal_bench.reporting.page import page_version
from fal_bench.reporting.targets import BASELINE, Asked, Question
from fal_bench.results import chosen_results
from fal_bench.results.files import write_atomically
from fal_bench.results.identity import (
    plain_labels,
    records,
    strategy_labels,
    strategy_selector,
    trainer_selector,
)
from fal_bench.results.model import Results
from fal_bench.results.published import refuse_changed, results_of, run_keys, sha256_of
from fal_bench.results.record import (
    CHARGES_FILE,
    FILE,
    FILES,
    FORMAT,
    PublishedEnvironment,
    PublishedStrategy,
    PublishedTask,
    Record,
    Sessions,
    has_charges,
    is_published,
    parse_record,
    read_record,
)
from fal_bench.results.sessions import read_sessions
from fal_bench.results.store import Store
from fal_bench.sweep.plan import compare_command
from fal_bench.task.suite import find_task

INITIAL = "initial"
"""The purpose of labels that the first model is trained with; others serve from the next cycle."""

POOL = "pool"
"""The purpose of labels that are bought from the query pool."""

_VERSION = re.compile(r"version (\d+)")


@dataclass(frozen=True)
class Publishable:
    """A complete comparison that others can repeat and compute again.

    Attributes:
        results: its runs.
        command: the command line that leads to them, without the question.
        notes: what the user should know: runs that cannot be read, versions that are left out.
    """

    results: Results
    command: str
    notes: tuple[str, ...]


def publish(
    results: str | Path,
    to: str | Path,
    *,
    target_acc: Asked = None,
    target: Asked = None,
    strategies: Sequence[str] | str | None = None,
    suite: str | Path | None = None,
    task: str | None = None,
    seeds: int | range | str | None = None,
    accounting: Accounting | None = None,
    baseline: str | None = None,
    notify: Notify = warn,
) -> Record:
    """Write a comparison where others can verify it; runs nothing.

    Args:
        results: a results folder; or results published before, which are drawn again as a whole.
        to: the folder to write; new, empty, or with results published before, which are replaced.
        target_acc: the target accuracies, as for ``compare``; by default as published before.
        target: targets of any recorded metric, likewise.
        strategies: selectors; all stored strategies if there are none.
        suite: a suite's name or TOML file; found from the stored tasks if None.
        task: one task only.
        seeds: the first so many of the stored seeds, or a range of them, as in ``"100-109"``; all
            of them if None.
        accounting: what ranks: ``"strict"``, ``"paper"`` or ``"cost"``; by default strict, or as
            published before.
        baseline: the strategy that savings refer to; random by default, or as published before.
        notify: as for ``compare``.

    Returns:
        What ``provenance.json`` says.

    Raises:
        PublicationError: the runs are no complete comparison that others can compute again, or
            ``to`` holds other files; nothing has been written then.
        FalbenchError: the folder holds no such runs, or a name or value cannot be used.
    """
    source, folder = as_path("results", results), as_path("to", to)
    check_target(folder)
    if is_published(source):
        parts = {"strategies": strategies, "suite": suite, "task": task, "seeds": seeds}
        if given := [name for name, value in parts.items() if value]:
            raise InvalidSpecError(
                f"Results published before are drawn as a whole; leave --{given[0]} out, or name "
                "the results folder that they came from."
            )
        return _redrawn(source, folder, target_acc, target, accounting, baseline)
    store = Store(source)
    found = select_publishable(
        store.root, suite=suite, task=task, strategies=strategies, seeds=seeds
    )
    question = Question.make(target_acc, target, accounting or "strict", baseline, found.results)
    comparison = answer(question, found.results)
    draft = _describe(store, found, question)
    _check_keys(draft, found.results)
    if wrong := misnamed(found.results.tasks["spec"], draft.suite):
        raise PublicationError(
            f"These results could not be verified: {wrong}. Give it another name in the suite's "
            "file."
        )
    record = write_published(comparison, draft, folder)
    for note in found.notes:
        notify("note", note)
    return record


def _redrawn(
    source: Path,
    folder: Path,
    target_acc: Asked,
    target: Asked,
    accounting: str | None,
    baseline: str | None,
) -> Record:
    """Publish results that were published before again, with the curves and charges they have.

    Raises:
        PublicationError: a file was changed, or the results were published without charges that do
            not follow from the curves.
        FalbenchError: a name or value cannot be used.
    """
    record = read_record(source)
    refuse_changed(source, record)
    results = results_of(record, source)
    if not has_charges(record):
        charges = charges_of_buyers(results.curves)
        if charges is None:
            raise PublicationError(
                f"The results in {str(source)!r} were published without {CHARGES_FILE}, which the "
                "page needs; compute and publish them again."
            )
        results = replace(results, charges=charges)
    accounting = accounting or record.accounting
    if baseline is None and record.baseline != BASELINE:  # which need not be compared
        baseline = record.baseline
    question = Question.make(target_acc, target, accounting, baseline, results)
    runs = record.command.removesuffix(f" {question_of(record).options()}")
    draft = record.model_copy(
        update={
            "format": FORMAT,
            "falbench": __version__,
            "command": f"{runs} {question.options()}",
            "drawn": page_version(),
            "targets": tuple(one.plain for one in question.targets),
            "accounting": question.accounting,
            "baseline": question.baseline,
            "metrics": _metrics(results),
        }
    )
    results = replace(results, provenance=replace(results.provenance, command=runs))
    return write_published(answer(question, results), draft, folder)


def write_published(comparison: Comparison, draft: Record, folder: Path) -> Record:
    """Write the files of a comparison, and the record with their checksums.

    Args:
        comparison: what is published.
        draft: the record, of whatever checksums.
        folder: where to.

    Returns:
        The record with the checksums.

    Raises:
        FalbenchError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # An interruption from here on leaves results that cannot pass for published ones.
        (folder / FILE).unlink(missing_ok=True)
        comparison.write(folder)
        write_csv(comparison.charges, folder / CHARGES_FILE)
        record = draft.model_copy(update={"files": checksums(folder)})
        write_atomically(folder / FILE, lambda file: file.write(record.text.encode()))
    except OSError as error:
        raise PublicationError(
            f"Cannot write into {str(folder)!r} ({error.strerror or error}); name another folder "
            "with --to, or make it writable."
        ) from error
    return record


def checksums(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of the files besides ``provenance.json``, by name."""
    return {name: sha256_of(folder / name) for name in FILES}


def check_target(folder: Path) -> None:
    """Check that results may be published in a folder: new, empty, or published before.

    Raises:
        PublicationError: it holds other files, or is none.
    """
    if folder.exists() and not folder.is_dir():
        raise PublicationError(f"{str(folder)!r} is a file; name a folder with --to.")
    if not folder.exists():
        return
    others = sorted({path.name for path in folder.iterdir()} - {*FILES, FILE})
    if others:
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        raise PublicationError(
            f"{str(folder)!r} holds other files ({others[0]}{more}); name an empty or new folder "
            "with --to."
        )


def question_of(record: Record) -> Question:
    """Return what was asked of published curves."""
    return Question(record.asked, record.accounting, record.baseline)


def charges_of_buyers(curves: pd.DataFrame) -> pd.DataFrame | None:
    """Derive the charges of runs that read no labels but those they bought.

    Args:
        curves: ``Results.curves`` of results that were published without charges.

    Returns:
        ``Results.charges``; None where a strategy read labels for itself, since the curves do not
        say for which purpose.
    """
    if (curves["labels"] != curves["labels_strict"]).any():
        return None
    bought = curves.groupby("key")["labels"].diff()
    first = bought.isna()
    charges = curves[["key"]].assign(
        # A model is trained with what was bought in the cycle before it.
        cycle=(curves["cycle"] - 1).where(~first, curves["cycle"]),
        purpose=first.map({True: INITIAL, False: POOL}),
        client=None,
        labels=bought.where(~first, curves["labels"]).astype(int),
    )
    return charges[charges["labels"] > 0].reset_index(drop=True)


def select_publishable(
    root: Path,
    *,
    suite: str | Path | None,
    task: str | None,
    strategies: Sequence[str] | str | None,
    seeds: int | range | str | None,
) -> Publishable:
    """Choose the runs to publish.

    Args:
        root: the results folder.
        suite: a suite's name or TOML file. Without suite and task, all tasks of the smallest suite
            that the stored tasks belong to.
        task: one task only.
        strategies: selectors.
        seeds: the first so many of the seeds, or a range of them.

    Raises:
        PublicationError: they are no complete comparison, of one numerics version and device, that
            ``falbench compare`` can repeat.
        FalbenchError: the folder holds no such run, or a name is unknown.
    """
    results = chosen_results(
        root, suite=suite, task=task, strategies=strategies, seeds=seeds, external=False
    )
    if task is None and suite is None:
        if results.suite is None:
            raise PublicationError(
                "The stored tasks are not all of one suite; name one with --suite, or a task with "
                "--task."
            )
        suite = results.suite.name
        results = chosen_results(
            root, suite=suite, strategies=strategies, seeds=seeds, external=False
        )
    device = _same_everywhere(results)
    results, notes = _newest_versions(results)
    _refuse_gaps(results)
    named = suite or (results.suite.name if results.suite else None)
    if named is None:
        _find_again(results)
    command = compare_command(
        suite=None if named is None else str(named),
        task=task,
        device=device,
        strategies=results.strategies,
        seeds=results.seeds,
    )
    provenance = replace(results.provenance, command=command)
    return Publishable(
        replace(results, provenance=provenance), command, (*provenance.problems, *notes)
    )


def _same_everywhere(results: Results) -> str:
    """Check that all runs have one numerics version and one device; return the device."""
    runs = results.here
    devices = sorted(set(runs["device"]))
    if len(devices) > 1:
        raise PublicationError(
            f"The runs were computed on several devices ({_listed(devices)}); compute all of them "
            "on one."
        )
    numerics = sorted(set(runs["numerics"]))
    if len(numerics) > 1:
        raise PublicationError(
            f"The runs are of the numerics versions {_listed(numerics)}, which do not compare; "
            "compute all of them in a new results folder."
        )
    ours = numerics_of(devices[0])
    if numerics != [ours]:
        raise PublicationError(
            f"The runs are of numerics version {numerics[0]}, and this falbench computes version "
            f"{ours}; publish them with the falbench that computed them."
        )
    for _, mine in runs.groupby("task_hash"):
        if mine["own"].nunique() > 1:
            name = mine["task"].iloc[0]
            differ = [part for part in ("data", "model", "aggregation") if mine[part].nunique() > 1]
            raise PublicationError(
                f"The runs of task {name!r} and of others of that name were computed with "
                f"different {_listed(differ)}; compute all of them with the same, in a new results "
                "folder."
            )
    return str(devices[0])


def _newest_versions(results: Results) -> tuple[Results, list[str]]:
    """Return the results with one variant of every strategy.

    Where a folder still holds runs of older versions of a built-in strategy, the newest take
    part, and a sentence says so.
    """
    runs = results.runs.assign(
        plain=plain_labels(results.runs), label=strategy_labels(results.runs)
    )
    notes = []
    chosen = pd.Series(True, index=runs.index)
    for label, mine in runs.groupby("plain"):
        if mine["variant"].nunique() > 1:
            first = mine.drop_duplicates("variant")
            newest = _newest(str(label), first)
            chosen &= (runs["plain"] != label) | (runs["variant"] == newest["variant"])
            notes.append(
                f"The runs of older versions of {label!r} are left out; those that take part are "
                f"of strategy {newest['fingerprint']}, trainer {newest['trainer_fingerprint']}."
            )
    return results.only(chosen), notes


def _newest(label: str, variants: pd.DataFrame) -> pd.Series:
    """Return the variant of the highest versions, if versions are all that tells them apart."""
    versions = [
        [_VERSION.fullmatch(text) for text in pair]
        for pair in zip(variants["fingerprint"], variants["trainer_fingerprint"], strict=True)
    ]
    known = [tuple(int(one[1]) for one in pair if one) for pair in versions if all(pair)]
    if len(known) == len(variants):
        highest = tuple(map(max, zip(*known, strict=True)))
        if highest in known:
            return variants.iloc[known.index(highest)]
    raise PublicationError(
        f"The strategy {label!r} is stored in {len(variants)} variants "
        f"({_listed(sorted(variants['label']))}); choose one of them with -s."
    )


def _refuse_gaps(results: Results) -> None:
    """Refuse missing and failed runs, and seeds that compare would not choose."""
    seeds = results.seeds
    if missing := results.missing:
        first, count = missing[0], len(missing)
        total = len(results.tasks) * len(results.strategies) * len(seeds)
        raise PublicationError(
            f"{count} of {total} runs {'is' if count == 1 else 'are'} missing or failed, first "
            f"{first.task}, {first.strategy}, seed {first.seed} ({first.reason.rstrip('.')}); run "
            "falbench compare, or publish fewer with -s, --task or --seeds."
        )
    low, high = seeds[0], seeds[-1]
    if seeds != tuple(range(low, high + 1)):
        raise PublicationError(
            f"The stored seeds are {_listed(seeds)}, and some between them are left out; run "
            f"falbench compare --seeds {low}-{high}, and publish again."
        )


def _find_again(results: Results) -> None:
    """Check that a task is found by its name alone."""
    (task,) = results.tasks["spec"]
    try:
        found = find_task(task.name)
    except UnknownNameError:
        found = None
    if found is None or found.hash != task.hash:
        raise PublicationError(
            f"The task {task.name!r} is of no suite of the package; name its suite with --suite."
        )


def _describe(store: Store, found: Publishable, question: Question) -> Record:
    """Return the record, still without checksums."""
    results = found.results
    ended = results.runs["finished"]
    seconds = results.curves[["train_seconds", "select_seconds"]].to_numpy().sum()
    return Record(
        falbench=__version__,
        command=f"{found.command} {question.options()}",
        published=_iso(datetime.now(UTC)),
        first_finished=_iso(ended.min()),
        last_finished=_iso(ended.max()),
        compute_seconds=round(float(seconds), 1),
        sessions=_sessions(store),
        suite=results.title,
        targets=tuple(one.plain for one in question.targets),
        accounting=question.accounting,
        baseline=question.baseline,
        numerics=numerics_of(str(results.runs["device"].iloc[0])),
        device=str(results.runs["device"].iloc[0]),
        seeds=results.seeds,
        tasks=_tasks(results),
        strategies=_strategies(results),
        environments=tuple(
            PublishedEnvironment(runs=one.runs, facts=dict(one.facts))
            for one in results.environments
        ),
        metrics=_metrics(results),
        drawn=page_version(),
        files={},
    )


def _metrics(results: Results) -> dict[str, bool]:
    return {name: results.higher_is_better(name) for name in results.metrics}


def _tasks(results: Results) -> tuple[PublishedTask, ...]:
    plugins = results.runs.drop_duplicates("task_hash").set_index("task_hash")
    return tuple(
        PublishedTask(
            name=row["name"],
            hash=row["hash"],
            canonical=row["spec"].canonical,
            pool=int(row["pool"]),
            data=plugins["data"][row["hash"]] or None,
            model=plugins["model"][row["hash"]] or None,
            aggregation=plugins["aggregation"][row["hash"]] or None,
        )
        for row in records(results.tasks)
    )


def _strategies(results: Results) -> tuple[PublishedStrategy, ...]:
    first = results.here.sort_values("strategy", kind="stable").drop_duplicates("strategy")
    # The column of that name holds what tables call it here.
    named = results.runs.set_index("key")["strategy"]
    return tuple(
        PublishedStrategy(
            strategy=str(strategy_selector({**run, "strategy": named[run["key"]]})),
            fingerprint=run["fingerprint"],
            trainer=str(trainer_selector(run)),
            trainer_fingerprint=run["trainer_fingerprint"],
            trainer_named=bool(run["trainer_named"]),
            reference=bool(run["reference"]),
        )
        for run in records(first)
    )


def _sessions(store: Store) -> Sessions | None:
    sessions = read_sessions(store)
    if not sessions:
        return None
    return Sessions(
        count=len(sessions),
        runs=sum(one.finished for one in sessions),
        wall_seconds=round(sum(one.seconds for one in sessions), 1),
        jobs=tuple(sorted({one.jobs for one in sessions})),
    )


def _check_keys(record: Record, results: Results) -> None:
    """Check that the record, once written and read, leads to exactly the stored runs."""
    rebuilt = run_keys(parse_record(record.text))
    for run in records(results.here):
        name = (run["task"], run["strategy"], run["seed"])
        if rebuilt.pop(name, None) != run["key"]:
            raise PublicationError(
                f"The run of {name[0]}, {name[1]}, seed {name[2]} cannot be rebuilt "
                f"from what {FILE} would say of it; it was computed by another falbench, so run "
                "falbench compare again."
            )


def _iso(time: datetime) -> str:
    return time.isoformat(timespec="seconds")


def _listed(values: Iterable[object]) -> str:
    return ", ".join(map(str, values))
