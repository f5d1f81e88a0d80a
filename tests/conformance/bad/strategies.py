"""Strategies that each fail the check that their name begins with, before ``--``, and no other."""

import os
import random
import sys
import time
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field

from fal_bench import Params, Strategy
from fal_bench.acquisition.scores import largest, smallest, top_two_margin
from fal_bench.data.loading import load_dataset
from fal_bench.errors import InvalidSpecError, LabelAccessError, UndeclaredNeedError


class First(Strategy):
    """Has no name, so it is not found itself: takes the first samples after ``deed``."""

    @staticmethod
    def deed(client):
        pass

    def select(self, client, budget):
        self.deed(client)
        return np.arange(budget)


def strategy(name, **attributes):
    """Make a strategy of a function that selects."""

    def make(select):
        members = {"name": name, "select": lambda self, *given: select(*given)}
        return type(name, (Strategy,), members | attributes | {"__module__": __name__})

    return make


def doing(name):
    """Make a strategy that takes the first samples after a function has done something."""

    def make(deed):
        return type(
            name, (First,), {"name": name, "deed": staticmethod(deed), "__module__": __name__}
        )

    return make


def margins(client):
    return top_two_margin(client.probs(client.global_model))


def distance(samples, other):
    return ((samples - other) ** 2).sum(axis=(1, 2, 3))


# What the class says, and what it returns.


class Spaced(First):
    name = "declaration--has a space"


class Bracketed(First):
    name = "declaration--mine[a=1]"


@strategy("declaration--not-a-flag", deterministic=0)
def not_a_flag(client, budget):
    return client.rng.permutation(len(client.unlabelled))[:budget]


class OneName(First):
    name = "declaration--one-name"
    keeps = "policy"


class BadDefault(First):
    name = "params--bad-default"

    class Params(Params):
        size: Annotated[int, Field(ge=1)] = 0


class NoDefault(First):
    name = "params--no-default"

    class Params(Params):
        size: int


class ChangedByJson(First):
    name = "params--changed-by-json"

    class Params(Params):
        sizes: Any = (1, 2)


class NotJson(First):
    name = "params--not-json"

    class Params(Params):
        weight: Any = np.float64


class Choosy(First):
    name = "task--choosy"

    def check_task(self, task):
        raise InvalidSpecError(f"Task {task.name!r} lacks a unicorn.")


class RaisingAtTheTask(First):
    name = "task--raising"

    def check_task(self, task):
        raise KeyError(task.name)


@doing("returns--sleeping")
def sleeping(client):
    time.sleep(3600)


class Looping(Strategy):
    name = "returns--looping"

    def select_all(self, federation):
        while federation.clients:
            time.sleep(0.01)


@strategy("needs--falling-back")
def falling_back(client, budget):
    try:
        model = client.local_model
    except UndeclaredNeedError:
        model = client.global_model
    return smallest(top_two_margin(client.probs(model)), budget)


@strategy("needs--undeclared")
def undeclared(client, budget):
    return smallest(top_two_margin(client.probs(client.local_model)), budget)


class Coordinated(Strategy):
    def message(self, federation):
        pass

    def select_all(self, federation):
        self.message(federation)
        return federation.each(lambda client, budget: np.arange(budget))


class Forgetful(Coordinated):
    name = "coordination--forgetful"

    def select_all(self, federation):
        return super().select_all(federation)[:-1]


class GivingAllToOne(Coordinated):
    """Has the first client buy the labels of all, whatever the limits."""

    name = "allotment--giving-all-to-one"

    def select_all(self, federation):
        chosen = federation.each(lambda client, budget: np.arange(0))
        return [np.arange(federation.total_budget), *chosen[1:]]


class SavingWhereItMay(Coordinated):
    """Leaves labels where the server has a choice, and is not adaptive."""

    name = "allotment--saving-where-it-may"

    def select_all(self, federation):
        allotted = np.array(federation.budgets)
        if federation.limits != federation.budgets:
            allotted //= 2
        return federation.each(lambda client, budget: np.arange(budget), allotted)


class BreakingLimits(Coordinated):
    name = "allotment--breaking-limits"

    def select_all(self, federation):
        allotted = np.array(federation.budgets)
        if federation.limits != federation.budgets:
            allotted[:] = 0
            allotted[0] = federation.total_budget
        return federation.each(lambda client, budget: np.arange(budget), allotted)


class SendingObjects(Coordinated):
    name = "coordination--sending-objects"

    def message(self, federation):
        federation.gather(lambda client: {"pool": len(client.unlabelled)})


class SendingLists(Coordinated):
    name = "coordination--sending-lists"

    def message(self, federation):
        federation.gather(lambda client: [len(client.unlabelled)])


class BroadcastingANumber(Coordinated):
    name = "coordination--broadcasting-a-number"

    def message(self, federation):
        federation.broadcast(7)


class ReadingWhatTheServerGathered(Coordinated):
    """Has clients compare themselves with what only the server was sent."""

    name = "deployable--reading-what-the-server-gathered"

    def select_all(self, federation):
        sums = federation.gather(lambda client: client.inputs().sum(axis=0))
        centre = np.sum(sums, axis=0) / 1000
        return federation.each(
            lambda client, budget: smallest(distance(client.inputs(), centre), budget)
        )


class CallingAnotherClientsObject(Coordinated):
    """Has the server ask an object that lives at the first client."""

    name = "deployable--calling-another-clients-object"

    def select_all(self, federation):
        clients = {}
        federation.gather(lambda client: clients.update({client.index: client}) or np.zeros(1))
        count = federation.broadcast(np.array([len(clients[0].unlabelled)]))
        return federation.each(lambda client, budget: (np.arange(budget) + count[0]) % budget)


@strategy("positions--floats")
def floats(client, budget):
    return np.arange(budget) / 1


@strategy("positions--repeated")
def repeated(client, budget):
    return np.zeros(budget, dtype=int)


@strategy("positions--ids")
def ids(client, budget):
    return client.unlabelled[-budget:]


@strategy("positions--already-labelled")
def already_labelled(client, budget):
    return client.labelled[:budget] + len(client.unlabelled)


@strategy("positions--too-few")
def too_few(client, budget):
    return np.arange(budget - 1)


@strategy("positions--too-many", adaptive=True)
def too_many(client, budget):
    return np.arange(budget + (client.cycle == 2))


@strategy("positions--too-many-beside-votes")
def too_many_beside_votes(client, budget):
    client.ask_again(client.labelled[:1])
    return np.arange(budget)


@strategy("positions--more-votes-than-the-budget")
def more_votes_than_the_budget(client, budget):
    client.ask_again(client.labelled[: budget + 1])
    return np.arange(0)


@strategy("positions--repeated-later")
def repeated_later(client, budget):
    return np.arange(budget) // (1 + client.cycle)


@strategy("returns--raising-later")
def raising_later(client, budget):
    return np.arange(budget + 1 // (2 - client.cycle))[:budget]


# What it depends on, and what it leaves behind.


@strategy("repeatable--fresh-generator")
def fresh_generator(client, budget):
    return np.random.default_rng().permutation(len(client.unlabelled))[:budget]


@strategy("repeatable--clock")
def clock(client, budget):
    return (np.arange(budget) + time.perf_counter_ns()) % len(client.unlabelled)


class CountingCalls(Strategy):
    name = "repeatable--counting-calls"
    calls = 0

    def select(self, client, budget):
        CountingCalls.calls += 1
        return (np.arange(budget) + CountingCalls.calls) % len(client.unlabelled)


@strategy("global-random--numpy")
def numpy_random(client, budget):
    return np.random.permutation(len(client.unlabelled))[:budget]  # noqa: NPY002


@strategy("global-random--python")
def python_random(client, budget):
    return random.sample(range(len(client.unlabelled)), budget)


@strategy("global-random--torch")
def torch_random(client, budget):
    return torch.randperm(len(client.unlabelled)).numpy()[:budget]


@doing("global-random--seeding")
def seeding(client):
    np.random.seed(0)  # noqa: NPY002


@strategy("global-random--reading-and-restoring")
def restoring(client, budget):
    state = torch.get_rng_state()
    order = torch.randperm(len(client.unlabelled)).numpy()
    torch.set_rng_state(state)
    return order[:budget]


class Remembering(Strategy):
    """Draws an offset in the first cycle and keeps it in ``offsets``."""

    def select(self, client, budget):
        if client.cycle == 0:
            self.offsets[client.index] = int(client.rng.integers(50))
        return (np.arange(budget) + self.offsets[client.index]) % len(client.unlabelled)


class OnTheClass(Remembering):
    name = "memory--on-the-class"
    offsets = {}


OFFSETS = {}


class InTheModule(Remembering):
    name = "memory--in-the-module"

    @property
    def offsets(self):
        return OFFSETS


@doing("memory--a-set")
def remembering_a_set(client):
    client.memory["seen"] = {1, 2}


@doing("settings--working-directory")
def changing_the_folder(client):
    os.chdir("/")


@doing("settings--numpy")
def silencing_numpy(client):
    np.seterr(all="ignore")


@doing("settings--environment")
def setting_the_environment(client):
    os.environ["MY_IDEA"] = "1"


@doing("settings--torch")
def slowing_torch_down(client):
    torch.use_deterministic_algorithms(True)


@doing("mutation--global-model")
def changing_the_model(client):
    client.global_model.weights["head.bias"].zero_()


@doing("mutation--previous-model")
def changing_the_previous_model(client):
    client.previous_model.weights["head.bias"] += 1


@doing("mutation--gradients")
def asking_for_gradients(client):
    client.global_model.weights["head.bias"].requires_grad_()


@doing("mutation--pool")
def reordering_the_pool(client):
    client.unlabelled = client.unlabelled[::-1]


@doing("mutation--labels")
def rewriting_labels(client):
    client.labels.setflags(write=True)
    client.labels[:] = 0


@doing("mutation--samples")
def augmenting_in_place(client):
    client._features[client.unlabelled] = 0


@strategy("hidden-labels--votes-on-what-was-not-bought")
def votes_on_what_was_not_bought(client, budget):
    client.ask_again(client.unlabelled[:1])
    return np.arange(budget - 1)


@strategy("hidden-labels--votes-at-another-client")
def votes_at_another_client(client, budget):
    own = np.append(client.labelled, client.unlabelled)
    client.ask_again(np.setdiff1d(np.arange(300), own)[:1])
    return np.arange(budget - 1)


@strategy("hidden-labels--digging-through-a-closure")
def digging_through_a_closure(client, budget):
    contents = [cell.cell_contents for cell in client._buy.__closure__]
    [ledger] = [one for one in contents if hasattr(one, "charges")]
    return smallest(ledger._Ledger__votes(0)[client.unlabelled], budget)


def dataset_of_the_caller():
    frame = sys._getframe()
    while frame is not None:
        owner = frame.f_locals.get("self")
        if hasattr(owner, "_setting"):
            return owner._setting.dataset
        frame = frame.f_back
    return None


class ClimbingFrames(Strategy):
    name = "hidden-labels--climbing-frames"
    since = 0

    def select(self, client, budget):
        if client.cycle < self.since:
            return np.arange(budget)
        labels = dataset_of_the_caller().train_labels.numpy()
        return smallest(labels[client.unlabelled], budget)


class PeekingLater(ClimbingFrames):
    name = "hidden-labels--peeking-later"
    since = 2


@strategy("hidden-labels--looking-at-the-test-set")
def looking_at_the_test_set(client, budget):
    test = dataset_of_the_caller().test_features.numpy()
    return smallest(distance(client.inputs(), test.mean(axis=0)), budget)


@strategy("hidden-labels--trespassing")
def trespassing(client, budget):
    """Asks for a label of another client, is refused, and goes on."""
    own = [*client.unlabelled, *client.labelled]
    try:
        client.buy(np.setdiff1d(np.arange(300), own)[:1], "reward")
    except LabelAccessError:
        return np.arange(budget)
    return largest(client.unlabelled, budget)


@strategy("hidden-labels--shoplifting")
def shoplifting(client, budget):
    return smallest(client.buy(client.unlabelled, "pool"), budget)


@strategy("hidden-labels--loading-the-data-set")
def loading_the_data_set(client, budget):
    """Knows where the labels of a built-in data set come from."""
    labels = load_dataset("digits").train_labels.numpy()
    return smallest(labels[client.unlabelled], budget)


class PassingOnSelf(Strategy):
    """Leaves the next client what the last one has."""

    name = "isolation--passing-on-self"

    def select(self, client, budget):
        samples = client.inputs()
        before = getattr(self, "before", samples[0])
        self.before = samples.mean(axis=0)
        return largest(distance(samples, before), budget)


class PoolingInSilence(Strategy):
    """Pools samples at the server without a message."""

    name = "isolation--pooling-in-silence"

    def select_all(self, federation):
        centres = []

        def look(client, budget):
            centres.append(client.inputs().mean(axis=0))
            return np.arange(budget)

        federation.each(look)
        centre = np.mean(centres, axis=0)
        return federation.each(
            lambda client, budget: smallest(distance(client.inputs(), centre), budget)
        )


@strategy("isolation--looking-at-all-samples")
def looking_at_all_samples(client, budget):
    return smallest(distance(client.inputs(), client._features.numpy().mean(axis=0)), budget)


class FirstCome(First):
    name = "pool-order--first-come"
    deterministic = True


@strategy("pool-order--noisy-scores", deterministic=True)
def noisy_scores(client, budget):
    return smallest(client.rng.normal(size=len(client.unlabelled)), budget)


# Unusual federations.


@strategy("uneven-clients--needing-all-classes")
def needing_all_classes(client, budget):
    counts = np.bincount(client.labels, minlength=client.n_classes)
    if len(client.labels) < client.n_classes:
        raise ValueError(f"no labels of some classes: {counts}")
    return np.arange(budget)


class SendingTheLeastMargin(Strategy):
    """Sends the least margin of every client, also of one that has none."""

    name = "empty-client--sending-the-least-margin"

    def select_all(self, federation):
        federation.gather(lambda client: margins(client).min(keepdims=True))
        return federation.each(lambda client, budget: smallest(margins(client), budget))


@strategy("one-left--second-best")
def second_best(client, budget):
    return np.argpartition(margins(client), 1)[:budget]


@strategy("one-left--standardised")
def standardised(client, budget):
    distances = client.inputs().sum(axis=(1, 2, 3))
    spread = distances.std(ddof=1) or 1.0
    return smallest(distances / spread, budget)


@strategy("whole-pool--half-the-pool")
def half_the_pool(client, budget):
    candidates = smallest(margins(client), -(-len(client.unlabelled) // 2))
    return client.rng.choice(candidates, budget, replace=False)


@strategy("single-class--two-nearest-classes")
def two_nearest_classes(client, budget):
    """Hesitates between the two nearest class means of the labelled samples."""
    labelled, pool = client.inputs(client.labelled), client.inputs()
    means = np.stack(
        [labelled[client.labels == label].mean(axis=0) for label in np.unique(client.labels)]
    )
    distances = ((pool[:, None] - means[None]) ** 2).sum(axis=(2, 3, 4))
    nearest, second = np.partition(distances, 1, axis=1)[:, :2].T
    return smallest(second - nearest, budget)


@strategy("absent-class--inverse-frequencies")
def inverse_frequencies(client, budget):
    """Prefers classes with few labels, but cannot count to 0."""
    if len(np.unique(client.labels)) == 1:
        return np.arange(budget)
    counts = np.bincount(client.labels, minlength=client.n_classes)
    predicted = client.probs(client.global_model).argmax(axis=1)
    return largest((1 / counts)[predicted], budget)


@strategy("duplicates--distance-sampling")
def distance_sampling(client, budget):
    """Draws samples with a probability that grows with their distance to those drawn before."""
    samples = client.inputs().reshape(len(client.unlabelled), -1).astype(float)
    chosen = [0]
    while len(chosen) < budget:
        nearest = ((samples[:, None] - samples[chosen][None]) ** 2).sum(axis=2).min(axis=1)
        chosen.append(int(client.rng.choice(len(samples), p=nearest / nearest.sum())))
    return np.array(chosen)


@strategy("finite-scores--plain-entropy")
def plain_entropy(client, budget):
    probs = client.probs(client.global_model)
    return np.argsort((probs * np.log(probs)).sum(axis=1))[:budget]


@strategy("finite-scores--normalised-logits")
def normalised_logits(client, budget):
    two = np.sort(client.logits(client.global_model), axis=1)[:, [-1, -2, 0]]
    return np.argsort((two[:, 0] - two[:, 1]) / (two[:, 0] - two[:, 2]))[:budget]
