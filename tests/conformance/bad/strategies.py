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

    def deed(self, client):
        pass

    def select(self, client, budget):
        self.deed(client)
        return np.arange(budget)


def margins(client):
    return top_two_margin(client.probs(client.global_model))


def distance(samples, other):
    return ((samples - other) ** 2).sum(axis=(1, 2, 3))


# What the class says, and what it returns.


class Spaced(First):
    name = "declaration--has a space"


class Bracketed(First):
    name = "declaration--mine[a=1]"


class NotAFlag(Strategy):
    name = "declaration--not-a-flag"
    deterministic = 0

    def select(self, client, budget):
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


class Sleeping(First):
    name = "returns--sleeping"

    def deed(self, client):
        time.sleep(3600)


class Looping(Strategy):
    name = "returns--looping"

    def select_all(self, federation):
        while federation.clients:
            time.sleep(0.01)


class FallingBack(Strategy):
    name = "needs--falling-back"

    def select(self, client, budget):
        try:
            model = client.local_model
        except UndeclaredNeedError:
            model = client.global_model
        return smallest(top_two_margin(client.probs(model)), budget)


class Undeclared(Strategy):
    name = "needs--undeclared"

    def select(self, client, budget):
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


class Floats(Strategy):
    name = "positions--floats"

    def select(self, client, budget):
        return np.arange(budget) / 1


class Repeated(Strategy):
    name = "positions--repeated"

    def select(self, client, budget):
        return np.zeros(budget, dtype=int)


class Ids(Strategy):
    name = "positions--ids"

    def select(self, client, budget):
        return client.unlabelled[-budget:]


class AlreadyLabelled(Strategy):
    name = "positions--already-labelled"

    def select(self, client, budget):
        return client.labelled[:budget] + len(client.unlabelled)


class TooFew(Strategy):
    name = "positions--too-few"

    def select(self, client, budget):
        return np.arange(budget - 1)


class TooMany(Strategy):
    name = "positions--too-many"
    adaptive = True

    def select(self, client, budget):
        return np.arange(budget + (client.cycle == 2))


class RaisingLater(Strategy):
    name = "positions--raising-later"

    def select(self, client, budget):
        return np.arange(budget) // (2 - client.cycle)


# What it depends on, and what it leaves behind.


class FreshGenerator(Strategy):
    name = "repeatable--fresh-generator"

    def select(self, client, budget):
        return np.random.default_rng().permutation(len(client.unlabelled))[:budget]


class Clock(Strategy):
    name = "repeatable--clock"

    def select(self, client, budget):
        return (np.arange(budget) + time.perf_counter_ns()) % len(client.unlabelled)


class CountingCalls(Strategy):
    name = "repeatable--counting-calls"
    calls = 0

    def select(self, client, budget):
        CountingCalls.calls += 1
        return (np.arange(budget) + CountingCalls.calls) % len(client.unlabelled)


class NumpyRandom(Strategy):
    name = "global-random--numpy"

    def select(self, client, budget):
        return np.random.permutation(len(client.unlabelled))[:budget]  # noqa: NPY002


class PythonRandom(Strategy):
    name = "global-random--python"

    def select(self, client, budget):
        return random.sample(range(len(client.unlabelled)), budget)


class TorchRandom(Strategy):
    name = "global-random--torch"

    def select(self, client, budget):
        return torch.randperm(len(client.unlabelled)).numpy()[:budget]


class Seeding(First):
    name = "global-random--seeding"

    def deed(self, client):
        np.random.seed(0)  # noqa: NPY002


class Restoring(Strategy):
    name = "global-random--reading-and-restoring"

    def select(self, client, budget):
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


class RememberingASet(First):
    name = "memory--a-set"

    def deed(self, client):
        client.memory["seen"] = {1, 2}


class ChangingTheFolder(First):
    name = "settings--working-directory"

    def deed(self, client):
        os.chdir("/")


class SilencingNumpy(First):
    name = "settings--numpy"

    def deed(self, client):
        np.seterr(all="ignore")


class SettingTheEnvironment(First):
    name = "settings--environment"

    def deed(self, client):
        os.environ["MY_IDEA"] = "1"


class SlowingTorchDown(First):
    name = "settings--torch"

    def deed(self, client):
        torch.use_deterministic_algorithms(True)


class ChangingTheModel(First):
    name = "mutation--global-model"

    def deed(self, client):
        client.global_model.weights["head.bias"].zero_()


class ChangingThePreviousModel(First):
    name = "mutation--previous-model"

    def deed(self, client):
        client.previous_model.weights["head.bias"] += 1


class AskingForGradients(First):
    name = "mutation--gradients"

    def deed(self, client):
        client.global_model.weights["head.bias"].requires_grad_()


class ReorderingThePool(First):
    name = "mutation--pool"

    def deed(self, client):
        client.unlabelled = client.unlabelled[::-1]


class RewritingLabels(First):
    name = "mutation--labels"

    def deed(self, client):
        client.labels.setflags(write=True)
        client.labels[:] = 0


class AugmentingInPlace(First):
    name = "mutation--samples"

    def deed(self, client):
        client._features[client.unlabelled] = 0


class DiggingThroughAClosure(Strategy):
    name = "hidden-labels--digging-through-a-closure"

    def select(self, client, budget):
        contents = [cell.cell_contents for cell in client._buy.__closure__]
        [ledger] = [one for one in contents if hasattr(one, "charges")]
        return smallest(ledger._Ledger__labels[client.unlabelled], budget)


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


class LookingAtTheTestSet(Strategy):
    name = "hidden-labels--looking-at-the-test-set"

    def select(self, client, budget):
        test = dataset_of_the_caller().test_features.numpy()
        return smallest(distance(client.inputs(), test.mean(axis=0)), budget)


class Trespassing(Strategy):
    """Asks for a label of another client, is refused, and goes on."""

    name = "hidden-labels--trespassing"

    def select(self, client, budget):
        own = [*client.unlabelled, *client.labelled]
        try:
            client.buy(np.setdiff1d(np.arange(300), own)[:1], "reward")
        except LabelAccessError:
            return np.arange(budget)
        return largest(client.unlabelled, budget)


class Shoplifting(Strategy):
    name = "hidden-labels--shoplifting"

    def select(self, client, budget):
        return smallest(client.buy(client.unlabelled, "pool"), budget)


class LoadingTheDataSet(Strategy):
    """Knows where the labels of a built-in data set come from."""

    name = "hidden-labels--loading-the-data-set"

    def select(self, client, budget):
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


class LookingAtAllSamples(Strategy):
    name = "isolation--looking-at-all-samples"

    def select(self, client, budget):
        return smallest(distance(client.inputs(), client._features.numpy().mean(axis=0)), budget)


class FirstCome(First):
    name = "pool-order--first-come"
    deterministic = True


class NoisyScores(Strategy):
    name = "pool-order--noisy-scores"
    deterministic = True

    def select(self, client, budget):
        return smallest(client.rng.normal(size=len(client.unlabelled)), budget)


# Unusual federations.


class SendingTheLeastMargin(Strategy):
    """Sends the least margin of every client, also of one that has none."""

    name = "empty-client--sending-the-least-margin"

    def select_all(self, federation):
        federation.gather(lambda client: margins(client).min(keepdims=True))
        return federation.each(lambda client, budget: smallest(margins(client), budget))


class SecondBest(Strategy):
    name = "one-left--second-best"

    def select(self, client, budget):
        return np.argpartition(margins(client), 1)[:budget]


class Standardised(Strategy):
    name = "one-left--standardised"

    def select(self, client, budget):
        distances = client.inputs().sum(axis=(1, 2, 3))
        spread = distances.std(ddof=1) or 1.0
        return smallest(distances / spread, budget)


class HalfThePool(Strategy):
    name = "whole-pool--half-the-pool"

    def select(self, client, budget):
        candidates = smallest(margins(client), -(-len(client.unlabelled) // 2))
        return client.rng.choice(candidates, budget, replace=False)


class TwoNearestClasses(Strategy):
    """Hesitates between the two nearest class means of the labelled samples."""

    name = "single-class--two-nearest-classes"

    def select(self, client, budget):
        labelled, pool = client.inputs(client.labelled), client.inputs()
        means = np.stack(
            [labelled[client.labels == label].mean(axis=0) for label in np.unique(client.labels)]
        )
        distances = ((pool[:, None] - means[None]) ** 2).sum(axis=(2, 3, 4))
        nearest, second = np.partition(distances, 1, axis=1)[:, :2].T
        return smallest(second - nearest, budget)


class InverseFrequencies(Strategy):
    """Prefers classes with few labels, but cannot count to 0."""

    name = "absent-class--inverse-frequencies"

    def select(self, client, budget):
        if len(np.unique(client.labels)) == 1:
            return np.arange(budget)
        counts = np.bincount(client.labels, minlength=client.n_classes)
        predicted = client.probs(client.global_model).argmax(axis=1)
        return largest((1 / counts)[predicted], budget)


class DistanceSampling(Strategy):
    """Draws samples with a probability that grows with their distance to those drawn before."""

    name = "duplicates--distance-sampling"

    def select(self, client, budget):
        samples = client.inputs().reshape(len(client.unlabelled), -1).astype(float)
        chosen = [0]
        while len(chosen) < budget:
            nearest = ((samples[:, None] - samples[chosen][None]) ** 2).sum(axis=2).min(axis=1)
            chosen.append(int(client.rng.choice(len(samples), p=nearest / nearest.sum())))
        return np.array(chosen)


class PlainEntropy(Strategy):
    name = "finite-scores--plain-entropy"

    def select(self, client, budget):
        probs = client.probs(client.global_model)
        return np.argsort((probs * np.log(probs)).sum(axis=1))[:budget]


class NormalisedLogits(Strategy):
    name = "finite-scores--normalised-logits"

    def select(self, client, budget):
        two = np.sort(client.logits(client.global_model), axis=1)[:, [-1, -2, 0]]
        return np.argsort((two[:, 0] - two[:, 1]) / (two[:, 0] - two[:, 2]))[:budget]
