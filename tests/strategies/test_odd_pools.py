"""What strategies must survive: few samples, duplicates, absent classes, no signal."""

from collections.abc import Generator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fal_bench.inputs.selector import Selector
from fal_bench.plugins.registry import Registry

STRATEGIES = [
    "fal-least-confidence",
    "sal-entropy",
    "ens-entropy",
    "ens-rank-entropy",
    "ens-rank-entropy[truncated=true]",
    "ft-entropy",
    "badge",
    "badge[first=largest-norm]",
    "sal-badge",
    "ens-badge",
    "probcover",
    "bald",
    "bait",
    "clasp-pe",
    "tm-fal",
    "coreset",
    "sal-coreset",
    "typiclust",
    "typiclust[as_released=true]",
    "alfa-mix",
    "alfa-mix[as_released=true]",
    "logo",
    "feal",
    "ksas",
    "ifal",
]
TOGETHER = ["fairfal", "fed-typiclust", "fed-probcover"]  # clients choose with the others
STRATEGIES += TOGETHER


def drawn(rng, n):
    return rng.normal(size=(n, 3))


def constant(rng, n):
    return np.full((n, 3), 0.5)


def zero(rng, n):
    return np.zeros((n, 3))


def duplicates(rng, n):
    return rng.integers(2, size=(n, 3)) * 3.0


def huge(rng, n):  # predictions are sure to the last digit
    return rng.normal(size=(n, 3)) * 1e4


def tiny(rng, n):
    return rng.normal(size=(n, 3)) * 1e-18


POOLS = [drawn, constant, zero, duplicates, huge, tiny]


@pytest.fixture(scope="session")
def client(toy_model, toy_pool):
    def make(points, n, labels, seed, index=0):
        rng = np.random.default_rng(seed)
        models = {
            f"{name}_model": toy_model(points(rng, n + len(labels)), rng.normal(size=(5, 3)))
            for name in ("global", "local", "previous", "distilled")
        }
        models["snapshots"] = models["global_model"], models["local_model"]
        return toy_pool(labels, seed=seed, index=index, **models)

    return make


@pytest.fixture(scope="module")
def registry():
    return Registry.discover()


@pytest.fixture(scope="session")
def select(federated):
    def make(strategy, *clients, budgets):
        """Run a strategy; a training that it asks for gives the client's local model."""
        positions = []
        for own, selection in zip(
            clients, strategy.select_all(federated(*clients, budgets=budgets)), strict=True
        ):
            if isinstance(selection, Generator):
                next(selection)
                with pytest.raises(StopIteration) as stop:
                    selection.send(own.local_model)
                selection = stop.value.value
            positions.append(selection)
        return positions

    return make


@pytest.mark.parametrize("text", STRATEGIES)
@pytest.mark.parametrize("points", POOLS)
@settings(max_examples=12)
@given(
    n=st.integers(1, 12), labels=st.lists(st.integers(0, 4), min_size=1, max_size=6), data=st.data()
)
def test_exactly_the_budget_of_distinct_samples_and_the_same_again(
    registry, text, points, n, labels, data, client, select
):
    strategy = registry.make(Selector.parse(text))
    budget = data.draw(st.integers(1, n))
    seed = data.draw(st.integers(0, 99))
    [chosen] = select(strategy, client(points, n, labels, seed), budgets=(budget,))
    assert chosen.dtype.kind == "i"
    assert len(set(chosen.tolist())) == budget == len(chosen)
    assert 0 <= chosen.min() <= chosen.max() < n
    [again] = select(strategy, client(points, n, labels, seed), budgets=(budget,))
    np.testing.assert_array_equal(chosen, again)


@pytest.mark.parametrize("text", STRATEGIES)
def test_clients_with_one_class_each_and_different_budgets(registry, text, client, select):
    clients = [
        client(drawn, n, [label] * 3, seed=label, index=label) for label, n in enumerate((9, 1, 6))
    ]
    chosen = select(registry.make(Selector.parse(text)), *clients, budgets=(4, 1, 6))
    assert [len(set(positions.tolist())) for positions in chosen] == [4, 1, 6]


@pytest.mark.parametrize("text", TOGETHER)
@given(
    drawn=st.lists(
        st.tuples(st.sampled_from(POOLS), st.integers(1, 9), st.integers(0, 9), st.integers(0, 99)),
        min_size=1,
        max_size=3,
    )
)
def test_clients_together_spend_every_budget_exactly_and_repeat(
    registry, text, drawn, client, select
):
    budgets = [min(n, budget) for _, n, budget, _ in drawn]

    def once():
        clients = [
            client(points, n, [0, 1], seed, index)
            for index, (points, n, _, seed) in enumerate(drawn)
        ]
        chosen = select(registry.make(Selector.parse(text)), *clients, budgets=budgets)
        return [positions.tolist() for positions in chosen]

    first = once()
    assert [len(set(positions)) for positions in first] == budgets == list(map(len, first))
    assert first == once()
