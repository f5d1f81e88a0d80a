"""The task: one problem instance, as a frozen, validated, hashable description.

A task says everything that two strategies must share to be compared: data, partition, model,
federated protocol, initial labels, query size and budget cap. It never says how fast or where it
runs.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from fal_bench.errors import InvalidSpecError
from fal_bench.inputs.limits import (
    MOST_CLIENTS,
    MOST_CYCLES,
    MOST_PRICE,
    BatchSize,
    Epochs,
    Rounds,
    Samples,
)
from fal_bench.inputs.selector import Selector
from fal_bench.inputs.validation import explained, sentence
from fal_bench.task.annotators import Annotators, RightAnnotators
from fal_bench.task.optimisers import Optimiser, Sgd
from fal_bench.task.partitions import Given, Iid, Partition, SizeShares, described
from fal_bench.task.spec import AggregationSpec, ModelSpec, Spec, as_json, non_defaults

Augmentation = Literal["none", "flip", "flip-crop"]
"""What happens to training images."""

RECIPE = frozenset(
    {
        "rounds", "local_epochs", "batch_size", "optimiser", "augmentation", "evaluation_rounds",
        "twin_of", "aggregation", "participation", "dropouts",
    }
)  # fmt: skip
"""The fields of a task that say how models are trained and measured, and not what is learned."""


class Shares(Spec):
    """How each client's data split into parts, as fractions that add up to one.

    Attributes:
        state: unlabelled data that describe the state of an agent; their labels are never read.
        warm_start: data for warm-start episodes.
        agent: data on which an agent is trained.
        pool: the query pool, from which initial labels and queries come.
    """

    state: float = Field(default=0.0, ge=0, le=1)
    warm_start: float = Field(default=0.0, ge=0, le=1)
    agent: float = Field(default=0.0, ge=0, le=1)
    pool: float = Field(default=1.0, gt=0, le=1)

    @model_validator(mode="after")
    def _whole(self) -> Shares:
        total = self.state + self.warm_start + self.agent + self.pool
        if abs(total - 1) > 1e-9:
            raise ValueError(f"the shares must add up to 1, not {total:g}")
        return self


class FixedAllotment(Spec):
    """The task says how many labels each client may buy."""

    kind: Literal["fixed"] = "fixed"


class ServerAllotment(Spec):
    """A coordinated strategy divides the labels of a query over the clients.

    Attributes:
        at_most: labels that one client may buy a cycle, because its annotators can do no more;
            None if its query pool is the only limit.
    """

    kind: Literal["server"] = "server"
    at_most: Samples | None = None


Allotment = Annotated[FixedAllotment | ServerAllotment, Field(discriminator="kind")]


class Task(Spec):
    """One problem instance of federated active learning.

    Counts of labels are per client where the field says so, and over the whole federation
    otherwise.

    Attributes:
        name: what the task is called; not part of its identity.
        dataset: data set, as a selector: ``"digits"`` or ``"digit-pairs[train=2000]"``.
        partition: how training samples are spread over the clients.
        long_tail: size ratio of the most to the least frequent class (1: as in the data set).
        clients: number of clients. Where the partition is given, it
            may be left out: it follows from the data, and is 0 until they have been seen.
        model: the classifier.
        rounds: rounds of local training and aggregation a cycle.
        local_epochs: epochs of local training a round.
        batch_size: most samples of a local batch; the batches of an epoch are of even size.
        optimiser: optimiser of local training.
        initial_labels: labels a client holds at the start, drawn at random from its query pool;
            the mean over clients where their numbers differ.
        query_size: labels a client may buy a cycle; likewise.
        budget_cap: limit on paper labels over all clients; the last query may be a shorter one.
        budget: whether initial labels and queries are ``"equal"`` for all clients,
            ``"proportional"`` to the samples they hold, or of ``"equal-cost"``: each client
            spends the same, so that one with dear labels buys fewer. Each client gets one initial
            label at least, and what is more than a client's query pool goes to the others.
        allotment: who says how many labels each client buys: the task, or a strategy's server.
        annotators: how often the labels that clients buy are wrong. A sample's first vote is the
            same for all who buy it, and so is each further one; test labels are always right.
        label_cost: what a label costs at clients where that is not 1, by the client's name, or by
            its number from 0 where clients are drawn. Budgets stay numbers of labels; curves have
            what all labels that were read have cost, and results can be ranked by it.
        max_cycles: trainings after which an under-spending strategy is stopped; by default twice
            what a fixed-size strategy needs.
        reset: ``"scratch"`` re-initialises the model every cycle, ``"continue"`` keeps it.
        shares: parts of each client's data.
        evaluation_rounds: a cycle's figures are the mean over this many last rounds.
        augmentation: what happens to training images: ``"flip"`` mirrors every other one,
            ``"flip-crop"`` also moves it by up to an eighth of its size.
        aggregation: the federated algorithm: what clients add to their steps, and what the server
            makes of their updates.
        participation: share of the clients that take part in a round, drawn for each round.
        dropouts: how likely it is that a client that takes part gives up, so that its update
            never arrives.
        twin_of: hash of the task that this one is inspected beside; empty if it stands for itself.
            Twins are left out of results that are read without a suite.
    """

    name: str = Field(default="task", min_length=1, pattern=r"^[A-Za-z0-9._+-]+$")
    dataset: str = "digits"
    partition: Partition = Iid()
    long_tail: float = Field(default=1.0, ge=1)
    clients: Annotated[int, Field(le=MOST_CLIENTS)] = 5
    model: ModelSpec = ModelSpec(kind="mlp")
    rounds: Rounds = 20
    local_epochs: Epochs = 5
    batch_size: BatchSize = 10
    optimiser: Optimiser = Sgd()
    initial_labels: Samples = 10
    query_size: Samples = 10
    budget_cap: Samples = 200
    budget: Literal["equal", "proportional", "equal-cost"] = "equal"
    allotment: Allotment = FixedAllotment()
    annotators: Annotators = RightAnnotators()
    label_cost: tuple[tuple[str, float], ...] = ()
    max_cycles: Samples | None = None
    reset: Literal["scratch", "continue"] = "scratch"
    shares: Shares = Shares()
    evaluation_rounds: Rounds = 1
    augmentation: Augmentation = "none"
    aggregation: AggregationSpec = AggregationSpec(kind="fedavg")
    participation: float = Field(default=1.0, gt=0, le=1)
    dropouts: float = Field(default=0.0, ge=0, lt=1)
    twin_of: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")

    @field_validator("dataset")
    @classmethod
    def _canonical_selector(cls, text: str) -> str:
        return str(Selector.parse(text))

    @field_validator("label_cost", mode="before")
    @classmethod
    def _prices(cls, table: Any) -> Any:
        """Return prices other than 1, in the order of the names, so that equal tasks are equal."""
        try:
            prices = dict(table)
        except (TypeError, ValueError):
            raise ValueError("it must be a table of clients and prices") from None
        for client, price in prices.items():
            if not isinstance(client, str):
                raise ValueError(f"client {client!r} is no text; write its name in quotes")
            number = isinstance(price, int | float) and not isinstance(price, bool)
            if not number or not 0 < price <= MOST_PRICE:
                raise ValueError(
                    f"the price of client {client!r} must be a number above 0, up to "
                    f"{MOST_PRICE:g}, not {price!r}"
                )
        if len(prices) > MOST_CLIENTS:
            raise ValueError(f"it lists {len(prices)} clients; list at most {MOST_CLIENTS}")
        return tuple((name, float(prices[name])) for name in sorted(prices) if prices[name] != 1)

    @field_validator("clients")
    @classmethod
    def _counted(cls, count: int, info: ValidationInfo) -> int:
        open_until_seen = count == 0 and isinstance(info.data.get("partition"), Given)
        if count < 1 and not open_until_seen:
            raise ValueError(f"it must be at least 1, not {count}")
        return count

    @model_validator(mode="before")
    @classmethod
    def _clients_of_the_data(cls, table: Any) -> Any:
        if not isinstance(table, Mapping) or "clients" in table:
            return table
        partition = table.get("partition")
        kind = partition.get("kind") if isinstance(partition, Mapping) else None
        given = kind == "given" or isinstance(partition, Given)
        return {**table, "clients": 0} if given else table

    @model_validator(mode="after")
    def _consistent(self) -> Task:
        if self.evaluation_rounds > self.rounds:
            raise ValueError(f"evaluation_rounds must be at most rounds ({self.rounds})")
        self._check_clients()
        if self.clients:  # else the data say what follows
            self._check_budget()
            self._check_participation()
        return self

    def _check_clients(self) -> None:
        if isinstance(self.partition, Given):
            return
        sizes = self.partition.sizes
        if isinstance(sizes, SizeShares) and len(sizes.shares) != self.clients:
            raise ValueError(
                f"partition.sizes lists {len(sizes.shares)} shares for {self.clients} clients; "
                "list one a client"
            )

    def _check_budget(self) -> None:
        if self.budget == "equal-cost" and not self.label_cost:
            raise ValueError(
                'budget = "equal-cost" needs label_cost, a table of what a label costs at each '
                "client; add it, or use equal"
            )
        if self.budget_cap <= self.label_grid_start:
            raise ValueError(
                f"budget_cap {self.budget_cap} leaves no room for a query after the "
                f"{self.label_grid_start} initial labels of {self.clients} clients; raise it to at "
                f"least {self.label_grid_start + self.query_labels}"
            )
        if self.fixed_cycles - 1 > MOST_CYCLES:
            raise ValueError(
                f"budget_cap {self.budget_cap} takes {self.fixed_cycles - 1} cycles of "
                f"{self.query_labels} labels, and a run has at most {MOST_CYCLES}; lower it, or "
                "raise query_size"
            )
        if self.max_cycles is not None and self.max_cycles < self.fixed_cycles:
            raise ValueError(
                f"max_cycles {self.max_cycles} stops a fixed-size strategy before the cap; "
                f"use at least {self.fixed_cycles}"
            )
        at_most = getattr(self.allotment, "at_most", None)
        if at_most is not None and at_most < self.query_size:
            raise ValueError(
                f"allotment.at_most {at_most} keeps clients from buying the {self.query_labels} "
                f"labels of a query; raise it to at least query_size ({self.query_size})"
            )

    def _check_participation(self) -> None:
        if self.participants < 1:
            raise ValueError(
                f"participation {self.participation:g} of {self.clients} clients leaves no client "
                f"in a round; use at least {math.ceil(500 / self.clients) / 1000:g}"
            )

    @property
    def participants(self) -> int:
        """Clients that take part in a round: the share of all of them, rounded."""
        return math.floor(self.participation * self.clients + 0.5)

    @property
    def label_grid_start(self) -> int:
        """Initial labels over all clients: b_0 of the label grid."""
        return self.clients * self.initial_labels

    @property
    def query_labels(self) -> int:
        """Labels that one full query buys over all clients: the step of the label grid."""
        return self.clients * self.query_size

    @property
    def label_grid(self) -> tuple[int, ...]:
        """The common points b_0 < b_1 < ... <= cap at which curves are read.

        Until given clients are counted, only the cap is known.
        """
        if not self.clients:
            return (self.budget_cap,)
        return (
            *range(self.label_grid_start, self.budget_cap, self.query_labels),
            self.budget_cap,
        )

    @property
    def looks(self) -> tuple[int, ...]:
        """The label grid, and where the query ends that only confirms."""
        return (*self.label_grid, self.budget_cap + max(self.query_labels, 1))

    @property
    def fixed_cycles(self) -> int:
        """Trainings of a strategy that always spends its budget, one confirming query included."""
        step = self.query_labels or self.budget_cap
        return -(-(self.budget_cap - self.label_grid_start) // step) + 2

    @property
    def cycle_limit(self) -> int:
        """Trainings after which a run ends whatever has been spent."""
        return self.max_cycles if self.max_cycles is not None else 2 * self.fixed_cycles

    @property
    def summary(self) -> str:
        """The task in one line, for people."""
        tail = "" if self.long_tail == 1 else f", long tail {self.long_tail:g}"
        rate = getattr(self.annotators, "rate", None)
        kind = self.annotators.kind if rate is None else f"{100 * rate:g} % noisy"
        who = kind if kind == "raters" else f"{kind} annotators"
        wrong = "" if kind == "right" else f", {who}"
        learned = "" if self.aggregation.kind == "fedavg" else f", {self.aggregation.kind}"
        if self.participation < 1:
            learned += f", {100 * self.participation:g} % of them a round"
        return (
            f"{self.dataset}, {self.clients or 'its own'} clients{learned}, "
            f"{described(self.partition)}{tail}{wrong}, {self.model.kind}, "
            f"{self.query_size} queries a client and cycle"
        )

    @cached_property
    def canonical(self) -> dict[str, Any]:
        """The task's identity: every field that is not at its default, without the name."""
        identity = non_defaults(self)
        identity.pop("name", None)
        if isinstance(self.partition, Given):
            identity["clients"] = self.clients  # even if it is as many as by default
        return identity

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the canonical JSON, in hexadecimal.

        Given clients are not counted: how many there are, the data say, which have their own hash.
        """
        return self._hash_without(frozenset())

    @cached_property
    def problem(self) -> str:
        """SHA-256 of the canonical JSON without recipe, annotators and prices, in hexadecimal.

        It names what is drawn: with the same seed, tasks that differ in how they train, how often
        labels are wrong and what they cost alone have the same clients, initial samples and first
        weights, so that recipes, and right and wrong labels, are compared in pairs.
        """
        return self._hash_without(RECIPE | {"annotators", "label_cost"})

    def _hash_without(self, names: frozenset[str]) -> str:
        if isinstance(self.partition, Given):
            names |= {"clients"}
        stated = {name: value for name, value in self.canonical.items() if name not in names}
        return hashlib.sha256(as_json(stated).encode()).hexdigest()

    def with_clients(self, count: int) -> Task:
        """Return the task with as many clients as its data have.

        Raises:
            InvalidSpecError: it states another number, or its budget does not suit this one.
        """
        if self.clients == count:
            return self
        if self.clients:
            raise InvalidSpecError(
                f"Task {self.name!r}: clients is {self.clients}, but data set {self.dataset!r} has "
                f"{count}; leave clients out."
            )
        try:
            return Task.model_validate({**self.model_dump(), "clients": count})
        except ValidationError as error:
            key, what = explained(error, Task)
            where = f"key {key!r} is wrong: " if key else ""
            raise InvalidSpecError(f"Task {self.name!r}: {where}{sentence(what)}") from None

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Task:
        """Return a copy with other values; its identity is found again."""
        copy = super().model_copy(update=update, deep=deep)
        for name in ("canonical", "hash", "problem"):
            copy.__dict__.pop(name, None)  # pydantic copies what cached_property keeps there
        return copy
