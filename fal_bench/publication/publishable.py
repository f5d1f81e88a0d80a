"""What can be published: one complete comparison that others can repeat and compute anew."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from fal_bench.errors import PublicationError, UnknownNameError
from fal_bench.learning.numerics import NUMERICS_VERSION
from fal_bench.report.command import compare_command
from fal_bench.report.selection import Selection
from fal_bench.report.stored import Filter, select_runs
from fal_bench.sweep.inventory import StoredRun
from fal_bench.results.store import Store
from fal_bench.task.suite import find_task

_VERSION = re.compile(r"version (\d+)")


@dataclass(frozen=True)
class Publishable:
    """A complete comparison among the runs of a results folder.

    Attributes:
        selection: its runs, under the names of their strategies.
        command: the command line that leads to them, without the question.
        device: class of the device.
        notes: what the user should know: runs that cannot be read, versions that are left out.
    """

    selection: Selection
    command: str
    device: str
    notes: tuple[str, ...]


def select_publishable(store: Store, chosen: Filter) -> Publishable:
    """Choose the runs to publish.

    Args:
        store: the results folder.
        chosen: which runs take part. Without suite and task, all tasks of the smallest suite that
            the stored tasks belong to.

    Raises:
        PublicationError: they are no complete comparison, of one numerics version and device, that
            ``falbench compare`` can repeat.
        FalbenchError: the folder holds no such run, or a name is unknown.
    """
    selection = select_runs(store, chosen)
    if chosen.task is None:
        if chosen.suite is None and selection.source is None:
            raise PublicationError(
                "The stored tasks are not all of one suite; name one with --suite, or a task with "
                "--task."
            )
        if chosen.suite is None and selection.source is not None:
            chosen = replace(chosen, suite=selection.source.name)
            selection = select_runs(store, chosen)
    device = _same_everywhere(selection)
    selection, notes = _under_plain_names(selection)
    _refuse_gaps(selection)
    command = _command(selection, chosen, device)
    return Publishable(selection, command, device, (*selection.problems, *notes))


def _same_everywhere(selection: Selection) -> str:
    """Check that all runs have one numerics version and one device; return the device."""
    numerics = sorted({int(run.stored.description["numerics"]) for run in selection.runs})
    if len(numerics) > 1:
        raise PublicationError(
            f"The runs are of the numerics versions {_listed(numerics)}, which do not compare; "
            "compute all of them in a new results folder."
        )
    if numerics != [NUMERICS_VERSION]:
        raise PublicationError(
            f"The runs are of numerics version {numerics[0]}, and this falbench computes version "
            f"{NUMERICS_VERSION}; publish them with the falbench that computed them."
        )
    devices = sorted({str(run.stored.description["device"]) for run in selection.runs})
    if len(devices) > 1:
        raise PublicationError(
            f"The runs were computed on several devices ({_listed(devices)}); compute all of them "
            "on one."
        )
    data = defaultdict(set)
    for run in selection.runs:
        task = run.stored.task
        data[task.hash].add(run.stored.data)
        if len(data[task.hash]) > 1:
            raise PublicationError(
                f"The runs of task {run.task!r} and of others of that name were computed on "
                "different data; compute all of them on the same, in a new results folder."
            )
    return devices[0]


def _under_plain_names(selection: Selection) -> tuple[Selection, list[str]]:
    """Return the runs without hashes behind their strategies' names.

    Where a folder still holds runs of older versions of a built-in strategy, the newest take
    part, and a sentence says so.
    """
    variants: dict[str, dict[str, StoredRun]] = defaultdict(dict)
    for run in selection.runs:
        variants[run.stored.label][run.strategy] = run.stored
    notes, left_out = [], set()
    for label, shown in variants.items():
        if len(shown) > 1:
            newest = _newest(label, shown)
            left_out |= shown.keys() - {newest}
            strategy, trainer = _fingerprints(shown[newest])
            notes.append(
                f"The runs of older versions of {label!r} are left out; those that take part are "
                f"of strategy {strategy}, trainer {trainer}."
            )
    runs = tuple(
        replace(run, strategy=run.stored.label)
        for run in selection.runs
        if run.strategy not in left_out
    )
    return replace(selection, runs=runs), notes


def _newest(label: str, shown: Mapping[str, StoredRun]) -> str:
    """Return the variant of the highest versions, if versions are all that tells them apart."""
    versions = {name: _versions(run) for name, run in shown.items()}
    known = [one for one in versions.values() if one is not None]
    if len(known) == len(versions):
        highest = tuple(map(max, zip(*known, strict=True)))
        for name, version in versions.items():
            if version == highest:
                return name
    raise PublicationError(
        f"The strategy {label!r} is stored in {len(shown)} variants ({_listed(sorted(shown))}); "
        "choose one of them with -s."
    )


def _versions(run: StoredRun) -> tuple[int, ...] | None:
    """Return the versions of the strategy and the trainer; None if they declare none."""
    matches = [_VERSION.fullmatch(text) for text in _fingerprints(run)]
    return tuple(int(match[1]) for match in matches if match) if all(matches) else None


def _fingerprints(run: StoredRun) -> tuple[str, str]:
    description = run.description
    return description["strategy"]["fingerprint"], description["trainer"]["fingerprint"]


def _refuse_gaps(selection: Selection) -> None:
    """Refuse missing and failed runs, and seeds that compare would not choose."""
    if missing := selection.missing:
        first, count = missing[0], len(missing)
        total = len(selection.tasks) * len(selection.strategies) * len(selection.seeds)
        raise PublicationError(
            f"{count} of {total} runs {'is' if count == 1 else 'are'} missing or failed, first "
            f"{first.task}, {first.strategy}, seed {first.seed} ({first.reason.rstrip('.')}); run "
            "falbench compare, or publish fewer with -s, --task or --seeds."
        )
    count = len(selection.seeds)
    if selection.seeds != tuple(range(count)):
        raise PublicationError(
            f"The stored seeds are {_listed(selection.seeds)}, and falbench compare --seeds "
            f"{count} runs 0 to {count - 1}; run it, and publish again with --seeds {count}."
        )


def _command(selection: Selection, chosen: Filter, device: str) -> str:
    """Return the command line of ``falbench compare`` that leads to these runs."""
    suite = chosen.suite or (selection.source.name if selection.source else None)
    if suite is None:
        _find_again(selection)
    return compare_command(
        suite=suite,
        task=chosen.task,
        device=device,
        strategies=selection.strategies,
        seeds=len(selection.seeds),
    )


def _find_again(selection: Selection) -> None:
    """Check that a task is found by its name alone."""
    (task,) = selection.tasks
    try:
        found = find_task(task.name)
    except UnknownNameError:
        found = None
    if found is None or found.hash != task.hash:
        raise PublicationError(
            f"The task {task.name!r} is of no suite of the package; name its suite with --suite."
        )


def _listed(values: Iterable[object]) -> str:
    return ", ".join(map(str, values))
