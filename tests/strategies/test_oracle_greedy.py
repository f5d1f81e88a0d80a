"""The oracle's head against refitting by scikit-learn for every candidate."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn.linear_model import Ridge

from fal_bench.strategies.oracle_greedy import GrowingHead, OracleGreedy, Samples

PENALTY, SHARE = 0.1, 0.3


def start(x, labels, probs, known):
    """Return the errors to correct: of a ridge head on the known samples and the global model."""
    targets = np.eye(probs.shape[1])[labels]
    head = ridge(x, labels, known).fit(x[:known], targets[:known]).predict(x)
    return targets - (1 - SHARE) * head - SHARE * probs


def ridge(x, labels, known):
    strength = PENALTY * np.square(x).sum() / len(x)
    return Ridge(alpha=strength, fit_intercept=False)


def refitted_error(x, labels, probs, known, added):
    """Return the squared error on all samples after a refit.

    The correction is fitted on the added samples' errors; to the known samples nothing is added.
    """
    errors = start(x, labels, probs, known)
    members = [*range(known), *added]
    wanted = np.where(np.array(members)[:, None] < known, 0.0, errors[members])
    correction = ridge(x, labels, known).fit(x[members], wanted).predict(x)
    return np.square(errors - correction).sum()


def world(seed, known, pool, d, n_classes=3):
    rng = np.random.default_rng(seed)
    x = np.column_stack([rng.normal(size=(known + pool, d)), np.ones(known + pool)])
    probs = rng.dirichlet(np.ones(n_classes), size=known + pool)
    return x, rng.integers(n_classes, size=known + pool), probs


def growing_head(x, labels, probs, known):
    targets = np.eye(probs.shape[1])[labels]
    parts = [
        Samples(x[part], targets[part], probs[part])
        for part in (slice(None, known), slice(known, None))
    ]
    return GrowingHead(*parts, PENALTY, SHARE)


@pytest.mark.parametrize(("known", "pool", "d"), [(4, 15, 3), (2, 12, 20), (30, 10, 5)])
def test_every_gain_equals_refitting_with_the_candidate(known, pool, d):
    x, labels, probs = world(0, known, pool, d)
    head = growing_head(x, labels, probs, known)
    added = []
    for _ in range(4):
        before = refitted_error(x, labels, probs, known, added)
        left = [i for i in range(pool) if known + i not in added]
        expected = [
            before - refitted_error(x, labels, probs, known, [*added, known + i]) for i in left
        ]
        np.testing.assert_allclose(head.gains()[left], expected, rtol=1e-6, atol=1e-8)
        best = left[int(np.argmax(expected))]
        head.add(best)
        added.append(known + best)


def test_without_the_global_model_it_is_ridge_regression_refitted_from_scratch():
    x, labels, probs = world(5, 6, 10, 4)
    targets = np.eye(3)[labels]
    known = Samples(x[:6], targets[:6], probs[:6])
    head = GrowingHead(known, Samples(x[6:], targets[6:], probs[6:]), PENALTY, 0.0)
    head.add(7)

    def error(members):
        fitted = ridge(x, labels, 6).fit(x[members], targets[members])
        return np.square(targets - fitted.predict(x)).sum()

    before = error([*range(6), 13])
    expected = [before - error([*range(6), 13, 6 + i]) for i in range(10) if i != 7]
    np.testing.assert_allclose(np.delete(head.gains(), 7), expected, rtol=1e-6, atol=1e-8)


def test_the_selection_is_the_greedy_one(table_client):
    x, labels, _ = world(3, 5, 14, 4)
    logits = np.random.default_rng(8).normal(size=(19, 3))
    known = {"global": (logits[:5], x[:5, :-1])}
    client = table_client({"global": logits[5:]}, labels[:5], {"global": x[5:, :-1]}, known)
    client.hindsight = lambda: labels[5:]
    x[:, :-1] = x[:, :-1].astype(np.float32)
    probs = softmax(logits.astype(np.float32), axis=1)
    added = []
    for _ in range(6):
        left = [i for i in range(14) if 5 + i not in added]
        errors = [refitted_error(x, labels, probs, 5, [*added, 5 + i]) for i in left]
        added.append(5 + left[int(np.argmin(errors))])
    chosen = OracleGreedy({"penalty": PENALTY, "share": SHARE}).select(client, 6)
    assert (chosen + 5).tolist() == added


@given(st.integers(1, 8), st.integers(1, 5), st.booleans(), st.integers(0, 50), st.data())
def test_always_the_exact_count_also_without_any_information(pool, known, constant, seed, data):
    x, labels, probs = world(seed, known, pool, 3)
    if constant:
        x = np.zeros_like(x)
        x[:, -1] = 1
    budget = data.draw(st.integers(1, pool))
    head = growing_head(x, labels, probs, known)
    chosen = head.grow(budget)
    assert len(set(chosen.tolist())) == budget
    assert np.isfinite(head.gains()).all()


def test_memory_is_linear_in_the_pool():
    x, labels, probs = world(0, 20, 20_000, 16)
    tracemalloc.start()
    growing_head(x, labels, probs, 20).grow(3)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10 * x.nbytes


def test_in_a_federation_it_sees_true_labels_without_buying_them(tiny, blobs, run):
    assert OracleGreedy.reference
    journal = run(tiny, OracleGreedy, blobs)
    assert {purpose for _, _, purpose, _ in journal.charges} == {"initial", "pool"}
    assert [row.labels for row in journal.rows] == [row.labels_strict for row in journal.rows]
    assert [row.labels for row in journal.rows] == [12, 18, 24, 30]
