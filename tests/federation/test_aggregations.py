"""Aggregations against the same algorithms in NumPy, on a linear classifier and unequal clients."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fal_bench.federation.attendance import Attendance
from fal_bench.federation.journal import MemoryJournal
from fal_bench.federation.loop import simulate
from fal_bench.federation.rounds import gradients_of
from fal_bench.federation.setting import Setting
from fal_bench.learning.request import batches
from fal_bench.plugins.registry import Registry
from fal_bench.strategies.random import Random
from fal_bench.sweep.scheduler import run_together
from fal_bench.task import Task

LR, RHO, SIZES = 0.2, 0.6, (4, 9, 17)


def drawn(blobs, seed=3, sizes=SIZES, **fields):
    """A setting whose clients have unequal numbers of labels."""
    task = Task.model_validate(
        {
            "clients": len(sizes), "model": {"kind": "mlp", "hidden": []}, "rounds": 4,
            "local_epochs": 2, "batch_size": 3, "initial_labels": 4, "query_size": 2,
            "budget_cap": 48, "reset": "continue", "partition": {"kind": "dirichlet", "alpha": 0.3},
            "optimiser": {"lr": LR}, **fields,
        }
    )  # fmt: skip
    setting = Setting.draw(task, seed, blobs)
    initial = tuple(own.pool[:count] for own, count in zip(setting.shares, sizes, strict=True))
    return replace(setting, initial=initial)


def to_the_end(**runs):
    run_together(runs, on_failure=lambda *failed: pytest.fail(str(failed)))


def trained(setting):
    """The global model of a run after its first cycle, as one matrix with the bias last."""
    journal = MemoryJournal()
    to_the_end(run=simulate(setting, Random, journal, metrics=()))
    return matrix(journal.states[0].weights)


def matrix(weights):
    found = [weights[name].numpy() for name in ("head.weight", "head.bias")]
    return np.column_stack(found).astype(np.float64)


class Numpy:
    """A federation that follows the pseudo-code of the papers, with its own gradients."""

    def __init__(self, setting):
        self.setting, self.task = setting, setting.task
        features = setting.dataset.train_features.flatten(1).numpy().astype(np.float64)
        self.features = np.column_stack([features, np.ones(len(features))])
        self.truth = np.eye(4)[setting.dataset.train_labels.numpy()]
        fresh = setting.architecture.fresh(setting.streams.torch("init", 0))
        self.x = matrix(fresh.weights)
        self.counts = np.array([len(ids) for ids in setting.initial])

    def local(self, client, number, mu=0.0, extra=0.0, rho=0.0):
        """Return a client's weights after a round, and its steps."""
        y, velocity, steps = self.x.copy(), 0.0, 0
        rng = self.setting.streams.numpy("batches", 0, number, client)
        ids = self.setting.initial[client]
        for _ in range(self.task.local_epochs):
            for chosen in batches(len(ids), self.task.batch_size, rng):
                inputs, truth = self.features[ids[chosen]], self.truth[ids[chosen]]
                scores = np.exp(inputs @ y.T)
                error = scores / scores.sum(1, keepdims=True) - truth
                gradient = error.T @ inputs / len(chosen) + mu * (y - self.x) + extra
                velocity = rho * velocity + gradient
                y -= LR * velocity
                steps += 1
        return y, steps

    def present(self, number):
        return Attendance.draw(self.task, self.setting.streams, 0, number).present

    def run(self, round_of):
        for number in range(self.task.rounds):
            round_of(number, self.present(number))
        return self.x

    def fedavg(self, mu=0.0):
        def one(number, present):
            shares = self.counts[list(present)] / self.counts[list(present)].sum()
            models = [self.local(client, number, mu)[0] for client in present]
            self.x = np.tensordot(shares, models, 1)

        return self.run(one)

    def scaffold(self, lr=1.0, rho=0.0):
        clients = len(self.counts)
        server, own = np.zeros_like(self.x), [np.zeros_like(self.x) for _ in range(clients)]

        def one(number, present):
            nonlocal server
            moves, drifts = [], []
            for client in present:
                y, steps = self.local(client, number, extra=server - own[client], rho=rho)
                if rho:
                    steps = (steps - rho * (1 - rho**steps) / (1 - rho)) / (1 - rho)
                renewed = own[client] - server + (self.x - y) / (steps * LR)
                moves.append(y - self.x)
                drifts.append(renewed - own[client])
                own[client] = renewed
            self.x = self.x + lr * np.mean(moves, 0)
            server = server + len(present) / clients * np.mean(drifts, 0)

        return self.run(one)

    def fednova(self, rho=0.0):
        def one(number, present):
            shares = self.counts[list(present)] / self.counts[list(present)].sum()
            found = [self.local(client, number, rho=rho) for client in present]
            models, steps = (np.array(values) for values in zip(*found, strict=True))
            norms = (steps - rho * (1 - rho**steps) / (1 - rho)) / (1 - rho)
            directions = (self.x - models) / (LR * norms[:, None, None])
            length = shares @ norms
            self.x = self.x - length * LR * np.tensordot(shares, directions, 1)

        return self.run(one)

    def change(self, number, present):
        shares = self.counts[list(present)] / self.counts[list(present)].sum()
        changes = [self.local(client, number)[0] - self.x for client in present]
        return np.tensordot(shares, changes, 1)

    def fedavgm(self, lr, beta):
        velocity = 0.0

        def one(number, present):
            nonlocal velocity
            velocity = beta * velocity + self.change(number, present)
            self.x = self.x + lr * velocity

        return self.run(one)

    def fedopt(self, yogi, lr, beta1, beta2, tau):
        mean, square = 0.0, tau**2

        def one(number, present):
            nonlocal mean, square
            change = self.change(number, present)
            mean = beta1 * mean + (1 - beta1) * change
            if yogi:
                square = square - (1 - beta2) * change**2 * np.sign(square - change**2)
            else:
                square = beta2 * square + (1 - beta2) * change**2
            self.x = self.x + lr * mean / (np.sqrt(square) + tau)

        return self.run(one)


ADAPTIVE = {"lr": 0.05, "beta1": 0.7, "beta2": 0.8, "tau": 0.01}
CASES = {
    "fedavg": ({}, lambda toy: toy.fedavg()),
    "fedprox": ({"mu": 0.9}, lambda toy: toy.fedavg(mu=0.9)),
    "scaffold": ({"lr": 0.8}, lambda toy: toy.scaffold(lr=0.8)),
    "fednova": ({}, lambda toy: toy.fednova()),
    "fedavgm": ({"lr": 0.8, "momentum": 0.5}, lambda toy: toy.fedavgm(0.8, 0.5)),
    "fedadam": (ADAPTIVE, lambda toy: toy.fedopt(False, **ADAPTIVE)),
    "fedyogi": (ADAPTIVE, lambda toy: toy.fedopt(True, **ADAPTIVE)),
}


@pytest.mark.parametrize("participation", [1.0, 0.6])
@pytest.mark.parametrize("kind", CASES)
def test_it_is_the_algorithm_of_its_paper(blobs, kind, participation):
    params, golden = CASES[kind]
    setting = drawn(blobs, aggregation={"kind": kind, **params}, participation=participation)
    expected = golden(Numpy(setting))
    np.testing.assert_allclose(trained(setting), expected, rtol=0, atol=2e-5)
    plain = Numpy(setting).fedavg()
    assert (np.abs(expected - plain).max() > 1e-3) == (kind != "fedavg")


@pytest.mark.parametrize("kind", ["scaffold", "fednova"])
def test_momentum_counts_as_more_gradients(blobs, kind):
    setting = drawn(blobs, aggregation={"kind": kind}, optimiser={"lr": LR, "momentum": RHO})
    expected = getattr(Numpy(setting), kind)(rho=RHO)
    np.testing.assert_allclose(trained(setting), expected, rtol=0, atol=5e-5)


def test_gradients_of_a_change_have_closed_forms():
    steps, rho, lr, mu = 7, 0.8, 0.1, 0.5
    momentum = (steps - rho * (1 - rho**steps) / (1 - rho)) / (1 - rho)
    assert gradients_of(steps, lr, rho, 0.0) == pytest.approx(momentum)
    assert gradients_of(steps, lr, 0.0, mu) == pytest.approx(
        (1 - (1 - lr * mu) ** steps) / (lr * mu)
    )
    assert gradients_of(steps, lr, 0.0, 0.0) == steps


def test_every_built_in_aggregation_is_among_them():
    assert set(Registry.discover().aggregations.names()) == set(CASES)


@pytest.mark.parametrize(
    "model", [{"kind": "mlp", "hidden": [7]}, {"kind": "cnn", "channels": [3]}]
)
def test_runs_have_the_same_bits_together_and_alone(blobs, model):
    named = [("fedavg", "sgd"), ("fedprox", "adamw"), ("fedprox", "sgd"), ("scaffold", "sgd")]
    settings = {
        f"{kind} {optimiser} {seed}": drawn(
            blobs, seed, (4, 9, 5), aggregation={"kind": kind}, model=model, rounds=2,
            optimiser={"kind": optimiser, "lr": LR}, budget_cap=24,
        )
        for kind, optimiser in named
        for seed in (0, 1)
    }  # fmt: skip

    def journals(*groups):
        found = {}
        for group in groups:
            found |= {name: MemoryJournal() for name in group}
            runs = {
                name: simulate(settings[name], Random, found[name], metrics=()) for name in group
            }
            to_the_end(**runs)
        return found

    together, alone = journals(settings), journals(*([name] for name in settings))
    for name, journal in together.items():
        assert len(journal.states) == 2
        for ours, theirs in zip(journal.states, alone[name].states, strict=True):
            for key, tensor in ours.weights.items():
                assert torch.equal(tensor, theirs.weights[key]), name


@pytest.mark.parametrize("kind", CASES)
def test_a_resumed_run_goes_on_with_what_is_remembered(blobs, kind):
    setting = drawn(blobs, aggregation={"kind": kind}, participation=0.6)

    class Later(MemoryJournal):
        forgets = False

        def resume(self):
            [first, *_] = whole.states
            return replace(first, aggregation=()) if self.forgets else first

    whole, rest, other = MemoryJournal(), Later(), Later()
    other.forgets = True
    to_the_end(run=simulate(setting, Random, whole, metrics=()))
    to_the_end(run=simulate(setting, Random, rest, metrics=()))
    to_the_end(run=simulate(setting, Random, other, metrics=()))
    remembers = kind not in ("fedavg", "fedprox", "fednova")
    apart = matrix(other.states[0].weights) != matrix(rest.states[0].weights)
    assert apart.any() == remembers
    for ours, theirs in zip(rest.states, whole.states[1:], strict=True):
        np.testing.assert_array_equal(matrix(ours.weights), matrix(theirs.weights))
