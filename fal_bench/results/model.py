"""The one model of results: tidy frames, whatever folder or file they come from."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from typing import Any, Literal, cast

import pandas as pd

from fal_bench.errors import InvalidSpecError, StoreError
from fal_bench.federation.journal import LABELS_COST
from fal_bench.inputs.arguments import as_names, as_seeds, as_whole
from fal_bench.plugins.registry import current_registry
from fal_bench.results.identity import (
    SHOWN,
    chosen_runs,
    chosen_tasks,
    records,
    strategy_labels,
    task_labels,
)
from fal_bench.task import Task
from fal_bench.task.suite import Suite, unknown_task
from fal_bench.task.target import DEFAULT_TARGETS, Target

RUNS = [
    "key", "task", "task_hash", "own", "data", "model", "aggregation", "strategy", "parameters",
    "fingerprint", "trainer", "trainer_parameters", "trainer_fingerprint", "trainer_named",
    "variant", "seed", "origin", "reference", "device", "numerics", "state", "reason", "details",
    "environment", "finished", "ledger", "path", "unrecorded",
]  # fmt: skip
"""Columns of ``Results.runs``."""

CHARGES = ["key", "cycle", "purpose", "client", "labels"]
"""Columns of ``Results.charges``."""

TASKS = ["name", "hash", "own", "suite", "dataset", "clients", "cap", "pool", "spec"]
"""Columns of ``Results.tasks``."""

KEYS = ["cycle", "labels", "labels_strict"]
COSTS = ["bytes_up", "bytes_down", "train_seconds", "select_seconds"]
BY_CLIENT = ["labels_by_client", "labels_strict_by_client"]
TIMINGS = ("train_seconds", "select_seconds")
"""Columns of a curve that differ each time a run is computed."""

NOT_METRICS = frozenset(
    ["key", *SHOWN, *KEYS, LABELS_COST, *COSTS, *BY_CLIENT, "task_hash", "reference", "source"]
)
"""Columns of curves that are no metrics; all others are."""


_NOT_KNOWN = "it was not known or not asked for when the run was computed"
"""Why a run has no values of a metric, if nothing else is noted."""


@dataclass(frozen=True)
class Environment:
    """Where runs were computed.

    Attributes:
        runs: number of runs computed there.
        facts: versions, processor and device by name, sorted by name.
    """

    runs: int
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class MissingRun:
    """A run of a comparison without a finished curve, and why.

    Attributes:
        task: the task, as tables call it.
        strategy: the strategy, likewise.
        seed: the seed.
        reason: why, in a sentence.
        traceback: of the error that it failed with, if there is one; shown in no report.
    """

    task: str
    strategy: str
    seed: int
    reason: str
    traceback: str = ""


@dataclass(frozen=True)
class ImportOrigin:
    """Where imported curves come from.

    Attributes:
        name: what the import is called; the ``origin`` of its runs.
        file: name of the file they came from.
        sha256: digest of that file.
        imported: date of the import (UTC), as in 2026-01-31.
    """

    name: str
    file: str
    sha256: str
    imported: str


@dataclass(frozen=True)
class Provenance:
    """Where results come from.

    Attributes:
        command: the command line that leads to these runs, without the question.
        suites: the suites that the tasks belong to, by name.
        asked: the one task that was asked for; empty if none was.
        imports: where imported curves come from.
        environments: where the runs measured here were computed, if it is not known run by run.
        higher_is_better: by metric, as far as it was recorded.
        computed: the days on which the first and the last run were finished, likewise.
        problems: sentences on what is damaged, or not covered by digests, and so may be.
    """

    command: str = ""
    suites: Mapping[str, Suite] = field(default_factory=dict)
    asked: str = ""
    imports: tuple[ImportOrigin, ...] = ()
    environments: tuple[Environment, ...] = ()
    higher_is_better: Mapping[str, bool] = field(default_factory=dict)
    computed: tuple[date, date] | None = None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Results:
    """Results as tidy frames. Identity stands in columns; nothing holds a name made for a table.

    Attributes:
        runs: one row a run: ``key``; its identity (``task``, ``task_hash``, ``strategy``,
            ``parameters`` and ``trainer_parameters`` as JSON, ``fingerprint`` and
            ``trainer_fingerprint``: version or source hash, ``trainer``, ``seed``, ``device``,
            ``numerics``, ``data``, ``model`` and ``aggregation``: what identifies the user's
            own, and any aggregation but FedAvg; ``own``: a digest of these three); ``origin``:
            empty if measured here, else the import's name; ``reference``: a yardstick that is
            never ranked; ``state``: new, partial, done, failed or corrupted, with the ``reason``;
            ``environment``: what it was computed with; ``finished``: when (UTC); ``unrecorded``:
            why metrics could not be measured, by name.
        curves: one row a finished run and cycle: ``key``, ``cycle``, labels, bytes, seconds, and
            every metric that some run recorded; NaN where a run did not.
        charges: labels read: one row a finished run, cycle, purpose and client; no client where it
            is not known.
        tasks: one row a task that is compared; ``spec`` is the task itself.
        provenance: where the results come from.
    """

    runs: pd.DataFrame
    curves: pd.DataFrame
    charges: pd.DataFrame
    tasks: pd.DataFrame
    provenance: Provenance = field(default_factory=Provenance)

    def narrow(
        self,
        *,
        tasks: str | Sequence[str] | None = None,
        strategies: str | Sequence[str] | None = None,
        seeds: int | str | Collection[int] | None = None,
        external: bool = True,
    ) -> Results:
        """Return a part of the results.

        Args:
            tasks: names of tasks.
            strategies: selectors, as for ``fal_bench.compare``, of strategies measured here.
            seeds: the first so many of the seeds measured here; or these ones, several or a range
                as in ``"100-109"``.
            external: whether imported runs stay; which of them compare depends on the question.

        Raises:
            UnknownNameError: a name stands for nothing here.
            InvalidSpecError: an argument is of another type.
        """
        as_names("tasks", tasks)
        as_names("strategies", strategies)
        wanted = None if seeds is None else _wanted_seeds(seeds)
        kept, runs, provenance = self.tasks, self.runs, self.provenance
        if tasks is not None:
            texts = [tasks] if isinstance(tasks, str) else list(tasks)
            provenance = replace(provenance, asked=texts[0] if len(texts) == 1 else "")
            kept = kept[_any(_chosen_task(kept, text) for text in texts)]
        here = runs["origin"] == ""
        compared = set(zip(kept["hash"], kept["own"], strict=True))
        pairs = zip(runs["task_hash"], runs["own"], strict=True)
        runs = runs[pd.Series([pair in compared for pair in pairs], index=runs.index) | ~here]
        if strategies:
            texts = [strategies] if isinstance(strategies, str) else list(strategies)
            runs = runs[chosen_runs(runs, texts)]
        if wanted is not None:
            there = sorted(set(runs.loc[runs["origin"] == "", "seed"]))
            chosen = there[:wanted] if isinstance(wanted, int) else wanted
            if absent := sorted(set(chosen) - set(there)):
                raise InvalidSpecError(
                    f"seeds: no run here has seed {absent[0]}; there are {_spans(there)}."
                )
            runs = runs[runs["seed"].isin(chosen) | (runs["origin"] != "")]
        if not external:
            runs = runs[runs["origin"] == ""]
            provenance = replace(provenance, imports=())
        return self._with(runs, kept, provenance)

    def only(self, chosen: pd.Series) -> Results:
        """Return certain runs.

        Args:
            chosen: one truth value for each row of ``runs``.
        """
        return self._with(self.runs[chosen], self.tasks, self.provenance)

    def merge(self, other: Results, keep: Literal["first", "last"] | None = None) -> Results:
        """Return the runs of both; finished ones stand before others of the same key.

        Args:
            other: more results.
            keep: which of two differing runs with one key to take; None refuses them.

        Raises:
            StoreError: runs conflict and ``keep`` is None.
        """
        conflicts = self.conflicts(other)
        if conflicts and keep is None:
            raise StoreError(refusal(conflicts, self))
        done = set(self._done["key"])
        late = set(conflicts) if keep == "last" else set()
        late |= set(other._done["key"]) - done
        late |= set(other.runs["key"]) - set(self.runs["key"])
        first = self._with(self.runs[~self.runs["key"].isin(late)], self.tasks, self.provenance)
        last = other._with(other.runs[other.runs["key"].isin(late)], other.tasks, other.provenance)
        tasks = pd.concat([self.tasks, other.tasks]).drop_duplicates(["hash", "own"])
        apart = self.provenance.environments or other.provenance.environments
        days = [day for one in (self, other) for day in one.computed or ()]
        return Results(
            stacked(first.runs, last.runs),
            stacked(first.curves, last.curves),
            stacked(first.charges, last.charges),
            tasks.reset_index(drop=True),
            replace(
                self.provenance,
                suites={**other.provenance.suites, **self.provenance.suites},
                imports=tuple(dict.fromkeys((*self.provenance.imports, *other.provenance.imports))),
                higher_is_better={
                    **other.provenance.higher_is_better,
                    **self.provenance.higher_is_better,
                },
                environments=(*first.environments, *last.environments) if apart else (),
                computed=(min(days), max(days)) if apart and days else None,
                problems=(*self.provenance.problems, *other.provenance.problems),
            ),
        )

    def conflicts(self, other: Results) -> list[str]:
        """Return the keys of runs that are finished in both and differ.

        They are equal if their curves agree in all but the timings and metrics that only one of
        them has, and if the same labels were charged.
        """
        shared = sorted(set(self._done["key"]) & set(other._done["key"]))
        names = ({*map(str, self.curves)} & {*map(str, other.curves)}) - {"key", *TIMINGS}
        mine, theirs = self._rows(names), other._rows(names)
        return [
            key
            for key in shared
            if not _same_rows(mine.get(key, []), theirs.get(key, []))
            or not self._same_charges(other, key)
        ]

    def _rows(self, names: Collection[str]) -> dict[str, list[tuple[Any, ...]]]:
        """Return the rows of every curve, with certain columns, by key."""
        rows: dict[str, list[tuple[Any, ...]]] = {}
        ordered = self.curves.sort_values(["key", "cycle"])
        values = zip(*(ordered[name] for name in sorted(names)), strict=True)
        for key, row in zip(ordered["key"], values, strict=True):
            rows.setdefault(key, []).append(row)
        return rows

    def _same_charges(self, other: Results, key: str) -> bool:
        """Whether the same labels were charged; without a ledger, whether as many were."""
        mine, its = (str(one.runs.set_index("key").at[key, "ledger"]) for one in (self, other))
        if mine and its:
            return mine == its
        counts = [
            one.charges[one.charges["key"] == key].groupby(["cycle", "purpose"])["labels"].sum()
            for one in (self, other)
        ]
        return counts[0].to_dict() == counts[1].to_dict()

    @cached_property
    def here(self) -> pd.DataFrame:
        """The runs measured here, with ``task`` and ``strategy`` as tables call them.

        Further columns are those of ``runs``.
        """
        return self._shown(self.runs[self.runs["origin"] == ""])

    @property
    def imported(self) -> pd.DataFrame:
        """The imported runs; their strategies are called what the file calls them."""
        return self.runs[self.runs["origin"] != ""]

    @property
    def _done(self) -> pd.DataFrame:
        return self.runs[self.runs["state"] == "done"]

    @property
    def suite(self) -> Suite | None:
        """The suite that all tasks belong to; None if there is none."""
        names = set(self.tasks["suite"])
        return self.provenance.suites.get(names.pop()) if len(names) == 1 else None

    @property
    def title(self) -> str:
        """What is compared: a suite, a part of one, or a task."""
        if self.provenance.asked:
            return self.provenance.asked
        suite = self.suite
        if suite is None:
            return "all stored tasks"
        there = len(set(self.tasks["hash"]))
        part = f" ({there} of {len(suite.tasks)} tasks)" if there < len(suite.tasks) else ""
        return f"{suite.name}{part}"

    @property
    def targets(self) -> tuple[Target, ...]:
        """The targets of a report for which the user names none."""
        return (self.suite and self.suite.targets) or DEFAULT_TARGETS

    @property
    def strategies(self) -> tuple[str, ...]:
        """What the strategies measured here are called, in the order of the runs."""
        return tuple(dict.fromkeys(self.here["strategy"]))

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds measured here, sorted."""
        return tuple(sorted({int(seed) for seed in self.here["seed"]}))

    @property
    def missing(self) -> tuple[MissingRun, ...]:
        """The runs of every task, strategy and seed here that have no finished curve."""
        runs = {tuple(run[name] for name in SHOWN): run for run in records(self.here)}
        missing = []
        for key in itertools.product(task_labels(self.tasks), self.strategies, self.seeds):
            run = runs.get(key)
            if run is None:
                missing.append(MissingRun(*key, "not among the stored runs"))
            elif run["state"] != "done":
                missing.append(MissingRun(*key, run["reason"], run["details"]))
        return tuple(missing)

    @cached_property
    def metrics(self) -> list[str]:
        """The metrics that some run recorded, in the order of the columns."""
        return [
            name
            for name in self.curves.columns
            if name not in NOT_METRICS and bool(self.curves[name].notna().any())
        ]

    def why_unrecorded(self, metric: str) -> dict[tuple[str, str, int], str]:
        """Return why each finished run measured here has no values of a metric, or not all.

        Args:
            metric: the metric's name.

        Returns:
            A reason by task, strategy (as tables call them) and seed; those of runs that recorded
            the metric mean nothing.
        """
        return {
            (run["task"], run["strategy"], run["seed"]): run["unrecorded"].get(metric, _NOT_KNOWN)
            for run in records(self.here)
        }

    def higher_is_better(self, metric: str) -> bool:
        """Whether a metric is better when higher, as was recorded, or as this falbench has it.

        Raises:
            InvalidSpecError: that is not known, since only imported curves have the metric.
        """
        if metric in self.provenance.higher_is_better:
            return self.provenance.higher_is_better[metric]
        known = current_registry().metrics.known(metric)
        if known is None:
            raise InvalidSpecError(
                f"Whether a higher {metric!r} is better is not known, since no run of falbench "
                "recorded it; name a metric that runs recorded."
            )
        return known.higher_is_better

    @property
    def environments(self) -> tuple[Environment, ...]:
        """Where the finished runs measured here were computed, the most frequent one first."""
        done = self._done[self._done["origin"] == ""]
        if self.provenance.environments:
            return self.provenance.environments
        counts = Counter(tuple(sorted(facts.items())) for facts in done["environment"])
        ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        return tuple(Environment(count, facts) for facts, count in ordered)

    @property
    def computed(self) -> tuple[date, date] | None:
        """The days on which the first and the last run measured here were finished, in UTC."""
        done = self._done.loc[self._done["origin"] == "", "finished"]
        found = (done.min().date(), done.max().date()) if len(done) else None
        return self.provenance.computed or found

    def shown_curves(self) -> pd.DataFrame:
        """Return the curves measured here as ``curves.csv`` has them.

        Returns:
            Columns ``task``, ``strategy`` and ``seed`` as tables call them, those of the curves,
            ``task_hash`` and ``reference``; sorted by run and cycle.
        """
        names = [name for name in self.curves.columns if name != "key"]
        here = self.here[["key", *SHOWN, "task_hash", "reference"]]
        frame = self.curves.merge(here, on="key")[[*SHOWN, *names, "task_hash", "reference"]]
        recorded = [name for name in frame if name in NOT_METRICS or name in self.metrics]
        return frame[recorded].sort_values([*SHOWN, "cycle"], ignore_index=True)

    def shown_charges(self) -> pd.DataFrame:
        """Return the charges of runs measured here as ``charges.csv`` has them.

        Returns:
            Columns ``task``, ``strategy`` and ``seed`` as tables call them, ``purpose``, ``cycle``
            (of the query; the model of the next cycle is the first to be trained with it) and
            ``labels`` of all clients; sorted by the first five.
        """
        names = [*SHOWN, "purpose", "cycle"]
        frame = self.charges.merge(self.here[["key", *SHOWN]], on="key")
        return frame.groupby(names)["labels"].sum().reset_index()

    def _shown(self, runs: pd.DataFrame) -> pd.DataFrame:
        pairs = zip(self.tasks["hash"], self.tasks["own"], strict=True)
        names = dict(zip(pairs, task_labels(self.tasks), strict=True))
        found = zip(runs["task_hash"], runs["own"], strict=True)
        return runs.assign(strategy=strategy_labels(runs), task=[names[pair] for pair in found])

    def _with(self, runs: pd.DataFrame, tasks: pd.DataFrame, provenance: Provenance) -> Results:
        keys = set(runs["key"])
        return Results(
            runs.reset_index(drop=True),
            self.curves[self.curves["key"].isin(keys)].reset_index(drop=True),
            self.charges[self.charges["key"].isin(keys)].reset_index(drop=True),
            tasks.reset_index(drop=True),
            provenance,
        )


def of_suite(results: Results, suite: Suite) -> Results:
    """Return the results as those of a suite: its tasks under its names, whether stored or not."""
    rows = []
    for task in suite.tasks:
        stored = results.tasks[results.tasks["hash"] == task.hash]
        rows += [
            # Its own, since given clients are counted in the data that were there.
            task_row(spec.model_copy(update={"name": task.name}), suite.name, own, pool)
            for spec, own, pool in zip(stored["spec"], stored["own"], stored["pool"], strict=True)
        ] or [task_row(task, suite.name)]
    rows.sort(key=lambda row: (row["name"], row["own"]))
    tasks = pd.DataFrame(rows, columns=TASKS)
    provenance = replace(results.provenance, suites={suite.name: suite})
    whole = Results(results.runs, results.curves, results.charges, tasks, provenance)
    return _named(whole).narrow()


def empty_run() -> dict[str, Any]:
    """Return a row of ``Results.runs`` that says nothing yet."""
    return {**dict.fromkeys(RUNS, ""), "environment": {}, "unrecorded": {}, "finished": pd.NaT}


def task_row(task: Task, suite: str, own: str = "", pool: int = 0) -> dict[str, Any]:
    """Return a row of ``Results.tasks``.

    Args:
        task: the task, under its name.
        suite: name of its suite; empty if it is of none.
        own: digest of its data and model if they are the user's, and of its aggregation.
        pool: samples in the query pool over all clients, initial labels included; 0 if unknown.
    """
    return {
        "name": task.name,
        "hash": task.hash,
        "own": own,
        "suite": suite,
        "dataset": task.dataset,
        "clients": task.clients,
        "cap": task.budget_cap,
        "pool": pool,
        "spec": task,
    }


def refusal(conflicts: Collection[str], results: Results) -> str:
    """Say that runs conflict, and what to do."""
    count, key = len(conflicts), min(conflicts)
    shown = results.runs.assign(label=strategy_labels(results.runs))
    run = shown[shown["key"] == key].iloc[0]
    return (
        f"{count} run{' has' if count == 1 else 's have'} different results in different "
        f"folders, for example {key[:12]} ({run['label']}, seed {run['seed']}); nothing was "
        "merged, add --keep first or --keep last to choose."
    )


def mixtures(environments: Sequence[Mapping[str, str]]) -> list[str]:
    """Say in which respects runs were not computed alike: device, processor, versions."""
    sentences = []
    for name in sorted({name for facts in environments for name in facts}):
        values = sorted({facts.get(name, "unknown") for facts in environments})
        if len(values) > 1:
            sentences.append(f"Runs were computed with different {name}: {', '.join(values)}.")
    return sentences


def _wanted_seeds(seeds: object) -> int | Collection[int]:
    """Return how many seeds are wanted, or which.

    Raises:
        InvalidSpecError: they are something else.
    """
    if isinstance(seeds, str):
        given = as_seeds(seeds, 1)
        return given if "-" in seeds else len(given)
    if not isinstance(seeds, Collection):
        return cast("int", as_whole("seeds", seeds, 1))
    return [cast("int", as_whole("a seed", seed, 0)) for seed in seeds]


def _spans(seeds: Sequence[int]) -> str:
    """Write seeds in few words: "100 to 109", or "0, 2, 5"."""
    if len(seeds) > 2 and seeds[-1] - seeds[0] == len(seeds) - 1:
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(map(str, seeds)) or "none"


def _chosen_task(tasks: pd.DataFrame, text: str) -> pd.Series:
    found = chosen_tasks(tasks, text)
    if not found.any():
        raise unknown_task(text, task_labels(tasks), "not among what is reported")
    return found


def _named(results: Results) -> Results:
    """Return the results with the tasks' names in the rows of the runs measured here."""
    names = dict(zip(results.tasks["hash"], results.tasks["name"], strict=True))
    runs = results.runs
    named = [
        task if origin else names.get(digest, task)
        for task, digest, origin in zip(
            runs["task"], runs["task_hash"], runs["origin"], strict=True
        )
    ]
    return replace(results, runs=runs.assign(task=named))


def _same_rows(mine: Sequence[tuple[Any, ...]], theirs: Sequence[tuple[Any, ...]]) -> bool:
    """Whether curves agree in all values that both have; NaN is none."""
    return len(mine) == len(theirs) and all(
        pd.isna(one) or pd.isna(two) or one == two
        for here, there in zip(mine, theirs, strict=True)
        for one, two in zip(here, there, strict=True)
    )


def _any(masks: Iterable[pd.Series]) -> pd.Series:
    first, *others = masks
    for mask in others:
        first = first | mask
    return first


def stacked(first: pd.DataFrame, last: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of both frames; an empty one says nothing of the columns' types."""
    return pd.concat([part for part in (first, last) if len(part)] or [first], ignore_index=True)
