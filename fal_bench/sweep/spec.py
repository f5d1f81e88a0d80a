"""The description of a run, and the key that follows from it."""

from __future__ import annotations

import inspect
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from fal_bench.data.loading import dataset_digest
from fal_bench.errors import InvalidSpecError, PluginError, UnknownNameError
from fal_bench.federation.declared import check_suits
from fal_bench.inputs.limits import MOST_RUNS
from fal_bench.inputs.selector import Selector
from fal_bench.learning.device import CPU
from fal_bench.learning.numerics import numerics_of
from fal_bench.plugins.built_in import AGGREGATION, DATASET, MODEL, STRATEGY, Kind
from fal_bench.plugins.built_in import TRAINER as TRAINER_KIND
from fal_bench.plugins.functions import canonical
from fal_bench.plugins.given import Source
from fal_bench.plugins.needs import LOCAL_TRAINING, LOCAL_TRAINING_VERSION, LocalModel
from fal_bench.plugins.registry import Registry, use_registry
from fal_bench.plugins.strategy import Strategy
from fal_bench.plugins.tables import ClassTable, Foreign, blamed_on
from fal_bench.results.identity import (
    DEFAULT_AGGREGATION,
    DEFAULT_TRAINER,
    TRAINER,
    describe,
    description_key,
    run_label,
)
from fal_bench.task import AggregationSpec, ModelSpec, Task

if TYPE_CHECKING:
    from fal_bench.plugins.trainer import Trainer


Spec = TypeVar("Spec", ModelSpec, AggregationSpec)


@dataclass(frozen=True)
class RunSpec:
    """One (task, strategy with parameters, seed): all that decides a learning curve.

    Attributes:
        task: the task.
        strategy: the strategy with the parameters that differ from their defaults.
        fingerprint: what identifies the strategy's behaviour (``Registry.fingerprint``).
        seed: the seed.
        device: class of the device; bits differ between classes.
        trainer: what clients minimise, with the parameters that differ from their defaults.
        trainer_fingerprint: what identifies the trainer's behaviour.
        own_trainer: the trainer that the strategy is published with; only for the label.
        reference: whether the strategy is a yardstick and never ranked.
        data: what identifies the data, where the task's selector does not.
        model: what identifies the model's code; empty for built-in models.
        aggregation: what identifies the aggregation's behaviour; empty for FedAvg.
        foreign: the plugins that are not falbench's own, by the kind's word: a strategy, trainer,
            aggregation, data set or model.
    """

    task: Task
    strategy: Selector
    fingerprint: str
    seed: int
    device: str = CPU
    trainer: Selector = DEFAULT_TRAINER
    trainer_fingerprint: str = "version 1"
    own_trainer: Selector = DEFAULT_TRAINER
    reference: bool = False
    data: str = ""
    model: str = ""
    aggregation: str = ""
    foreign: tuple[tuple[str, Foreign], ...] = ()

    @cached_property
    def description(self) -> dict[str, Any]:
        """The canonical description, as JSON values."""
        return describe(
            self.task.canonical,
            self.strategy,
            self.fingerprint,
            self.trainer,
            self.trainer_fingerprint,
            seed=self.seed,
            device=self.device,
            numerics=numerics_of(self.device),
            data=self.data,
            model=self.model,
            aggregation=self.aggregation,
        )

    @cached_property
    def key(self) -> str:
        """SHA-256 of the canonical description, in hexadecimal."""
        return description_key(self.description)

    @property
    def trainer_named(self) -> bool:
        """Whether the trainer belongs to what the strategy is called.

        It does not where it is cross-entropy and the strategy asks for nothing else.
        """
        return not self.trainer == self.own_trainer == DEFAULT_TRAINER

    @property
    def company(self) -> frozenset[str]:
        """The foreign code that it runs: only runs with the same may share its process."""
        return frozenset(one.place for _, one in self.foreign)

    def is_ours(self, kind: Kind) -> bool:
        """Whether its plugin of a kind is falbench's own."""
        return kind.word not in dict(self.foreign)

    @property
    def label(self) -> str:
        """The strategy as it is shown: its name, the parameters that were set, its trainer."""
        return run_label(self.strategy, self.trainer, trainer_named=self.trainer_named)

    @property
    def facts(self) -> dict[str, Any]:
        """What is stored of the run when it begins."""
        return {
            "description": self.description,
            "reference": self.reference,
            "trainer_named": self.trainer_named,
            "task_name": self.task.name,
        }

    def __str__(self) -> str:
        return f"{self.task.name}, {self.label}, seed {self.seed}"


def plugins_of(runs: Sequence[RunSpec]) -> tuple[Source, ...]:
    """Return the plugin files, and plugins given in Python, that runs need."""
    found = [one.given for run in runs for _, one in run.foreign]
    return tuple(dict.fromkeys(one for one in found if one is not None))


def with_known_plugins(task: Task, registry: Registry) -> Task:
    """Return a task whose model and aggregation are checked, without what is at its default.

    Raises:
        UnknownNameError: there is no such plugin.
        PluginError: it cannot be imported.
        InvalidSpecError: a parameter is unknown or has a value it cannot take, or the aggregation
            cannot serve the task.
    """
    model = registry.models.load(task.model.kind)
    aggregation = registry.aggregations.load(task.aggregation.kind)
    with blamed_on(task.aggregation.kind):
        known = task.model_copy(
            update={
                "model": _known(task.model, model),
                "aggregation": _known(task.aggregation, aggregation),
            }
        )
        aggregation(known.aggregation.params).check_task(known)
    return known


def _known(spec: Spec, plugin: Any) -> Spec:
    return type(spec)(kind=spec.kind, **canonical(plugin, spec.params))


def aggregation_fingerprint(task: Task, registry: Registry) -> str:
    """Return what identifies the behaviour of a task's aggregation; empty for FedAvg."""
    name = task.aggregation.kind
    return "" if name == DEFAULT_AGGREGATION else registry.aggregations.fingerprint(name)


def fingerprint_of(selector: Selector, registry: Registry) -> str:
    """Return what identifies a strategy's behaviour besides its name and parameters."""
    strategy = registry.make(selector)
    with blamed_on(selector.name):
        more = [f"{name} {value}" for name, value in sorted(strategy.identity.items())]
    if strategy.version is None and _trains_locally(strategy):
        more.append(f"{LOCAL_TRAINING} {LOCAL_TRAINING_VERSION}")
    return ", ".join([registry.fingerprint(selector.name), *more])


def _trains_locally(strategy: Strategy) -> bool:
    """Whether a strategy has models trained on a client's labels alone."""
    needs: object = strategy.needs  # one that is no set is refused where it is read
    declared = isinstance(needs, Set) and any(isinstance(one, LocalModel) for one in needs)
    return declared or inspect.isgeneratorfunction(strategy.select)


def plan_runs(
    tasks: Sequence[Task],
    strategies: Sequence[Selector],
    seeds: Sequence[int],
    registry: Registry,
    device: str = CPU,
) -> list[RunSpec]:
    """Return the runs of a comparison, seed by seed, so that early results show everyone.

    Args:
        tasks: the tasks.
        strategies: selectors; the parameter ``trainer`` chooses the trainer.
        seeds: the seeds.
        registry: finds the plugins.
        device: class of the device to compute them on.

    Raises:
        FalbenchError: there are too many runs; a plugin is unknown, cannot be loaded, or gets a
            parameter it cannot take; or the user's own data cannot be read.
    """
    count = len(tasks) * len(strategies) * len(seeds)
    if count > MOST_RUNS:
        raise InvalidSpecError(
            f"{len(seeds)} seeds of {len(strategies)} strategies on {len(tasks)} tasks are {count} "
            f"runs, and a comparison has at most {MOST_RUNS}; lower seeds, or name fewer "
            "strategies or one task."
        )
    resolved: dict[str, RunSpec] = {}
    for selector in strategies:
        spec = _resolve(tasks, selector, registry)
        resolved[spec.label] = spec
    with use_registry(registry):
        data = {name: dataset_digest(name) for name in {task.dataset for task in tasks}}
    models = {name: registry.models.fingerprint(name) for name in {one.model.kind for one in tasks}}
    return [
        replace(
            spec,
            task=task,
            seed=seed,
            device=device,
            data=data[task.dataset],
            model=models[task.model.kind],
            aggregation=aggregation_fingerprint(task, registry),
            foreign=_foreign(spec, task, registry),
        )
        for seed in seeds
        for task in tasks
        for spec in resolved.values()
    ]


def _resolve(tasks: Sequence[Task], selector: Selector, registry: Registry) -> RunSpec:
    """Check a selector, and return a run of it that the others are copies of."""
    params = dict(selector.params)
    chosen = params.pop(TRAINER, None)
    strategy = registry.make(Selector(selector.name, params))
    with blamed_on(selector.name):
        if TRAINER in strategy.Params.model_fields:
            raise PluginError(
                f"Strategy {selector.name!r} has a parameter {TRAINER!r}, which names the "
                "trainer; rename it."
            )
        for task in tasks:
            check_suits(strategy, task)
        params = strategy.params.model_dump(mode="json", exclude_defaults=True)
    canonical = Selector(selector.name, params)
    try:
        own = _canonical(Selector.parse(strategy.trainer), registry.trainers)
    except (UnknownNameError, InvalidSpecError) as error:
        raise PluginError(
            f"Strategy {selector.name!r} names a trainer that cannot be used: {error}"
        ) from None
    trainer = own
    if chosen is not None:
        trainer = _canonical(Selector.parse(str(chosen)), registry.trainers)
    return RunSpec(
        tasks[0],
        canonical,
        fingerprint_of(canonical, registry),
        seed=0,
        trainer=trainer,
        trainer_fingerprint=registry.trainers.fingerprint(trainer.name),
        own_trainer=own,
        reference=strategy.reference,
    )


def _foreign(spec: RunSpec, task: Task, registry: Registry) -> tuple[tuple[str, Foreign], ...]:
    """Return the plugins of a run that are not falbench's own."""
    used = (
        (STRATEGY, registry.strategies, spec.strategy.name),
        (TRAINER_KIND, registry.trainers, spec.trainer.name),
        (AGGREGATION, registry.aggregations, task.aggregation.kind),
        (DATASET, registry.datasets, Selector.parse(task.dataset).name),
        (MODEL, registry.models, task.model.kind),
    )
    found = ((kind.word, table.foreign(name)) for kind, table, name in used)
    return tuple((word, one) for word, one in found if one is not None)


def _canonical(selector: Selector, trainers: ClassTable[Trainer]) -> Selector:
    """Return a trainer's selector with the parameters that differ from their defaults."""
    trainer = trainers.make(selector)
    return Selector(selector.name, trainer.params.model_dump(mode="json", exclude_defaults=True))
