"""BAIT against traces of matrices that are written out and inverted."""

from contextlib import nullcontext

import numpy as np
import pytest

from fal_bench.errors import InvalidSpecError
from fal_bench.strategies.bait import BAIT, FisherSamples


def fisher(model, sample):
    """Return the information of the head's weights as the mean outer product of gradients."""
    probs = model.probs[sample].astype(float)
    probs /= probs.sum()
    inputs = model.embeddings[sample].astype(float)
    total = 0
    for label, chance in enumerate(probs):
        gradient = np.outer(probs - np.eye(len(probs))[label], inputs).ravel()
        total = total + chance * np.outer(gradient, gradient)
    return total


def by_traces(model, pool, budget, ridge, oversampling):
    """Choose by the objective itself, for every candidate."""
    information = [fisher(model, sample) for sample in range(len(model.embeddings))]
    wanted = np.mean(information, axis=0)
    weight = 1 / (len(information) - pool + budget)
    labelled = np.sum(information[pool:], axis=0) * weight + ridge * np.eye(len(wanted))

    def trace(chosen):
        own = np.sum([information[one] for one in chosen], axis=0) * weight * budget
        return np.trace(np.linalg.inv(labelled + own) @ wanted)

    chosen = []
    while len(chosen) < min(pool, int(oversampling * budget)):
        left = [one for one in range(pool) if one not in chosen]
        chosen.append(min(left, key=lambda one: trace([*chosen, one])))
    while len(chosen) > budget:
        chosen.remove(min(chosen, key=lambda one: trace([x for x in chosen if x != one])))
    return chosen


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("ridge", "oversampling"), [(1.0, 2.0), (0.01, 3.0), (0.1, 1.0)])
def test_it_makes_the_trace_smallest(toy_pool, toy_model, seed, ridge, oversampling):
    model = toy_model.drawn(np.random.default_rng(seed), 16, d=3)
    strategy = BAIT({"ridge": ridge, "oversampling": oversampling})
    chosen = strategy.select(toy_pool([0, 1, 2], model), 4)
    assert chosen.tolist() == by_traces(model, 13, 4, ridge, oversampling)


def test_embeddings_larger_than_the_data_are_rotated_without_a_loss(toy_pool, toy_model):
    model = toy_model.drawn(np.random.default_rng(7), 9, d=20)
    assert FisherSamples(model.embeddings, model.probs).inputs.shape == (9, 9)
    chosen = BAIT().select(toy_pool([0, 1], model), 3)
    assert chosen.tolist() == by_traces(model, 7, 3, 1.0, 2.0)


@pytest.mark.parametrize(
    ("sizes", "refused"),
    [
        ({"pool": 400, "classes": 100, "embedding": 128}, True),
        ({"pool": 50, "classes": 100, "embedding": 128}, False),  # rotated into 50 dimensions
        ({"pool": 400, "classes": 10, "embedding": 128}, False),
        ({"pool": 400}, False),  # a real federation finds out in its first query
    ],
)
def test_tasks_with_heads_that_are_too_large_are_refused(tiny, sizes, refused):
    with pytest.raises(InvalidSpecError, match="6,000") if refused else nullcontext():
        BAIT().check_shares(tiny, sizes)


def test_heads_that_are_too_large_are_refused_at_once():
    with pytest.raises(InvalidSpecError, match=r"100 classes x 90 .* 9,000"):
        FisherSamples(np.ones((200, 90)), np.full((200, 100), 0.01))
