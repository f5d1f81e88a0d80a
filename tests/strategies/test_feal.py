"""FEAL: uncertainties against SciPy and sampling, the relaxation against a plain reading of it."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import digamma
from scipy.stats import dirichlet, entropy
from sklearn.metrics.pairwise import cosine_similarity

from fal_bench.strategies.feal import (
    FEAL,
    calibrated_uncertainty,
    differential_entropy,
    evidence,
    expected_entropy,
    relaxed,
)

ALPHA = np.random.default_rng(0).gamma(2.0, 4.0, size=(20, 5)) + 1


def test_evidence_is_what_is_positive_in_the_logits():
    assert evidence(np.array([[-3.0, 0.0, 2.5]])).tolist() == [[1, 1, 3.5]]


def test_differential_entropy_is_scipys():
    expected = [dirichlet(alpha).entropy() for alpha in ALPHA]
    np.testing.assert_allclose(differential_entropy(ALPHA), expected, rtol=1e-9)


def test_expected_entropy_is_the_mean_over_draws():
    rng = np.random.default_rng(1)
    for alpha in ALPHA[:4]:
        drawn = entropy(rng.dirichlet(alpha, 20_000), axis=1)
        error = drawn.std() / np.sqrt(len(drawn))
        assert expected_entropy(alpha[None])[0] == pytest.approx(drawn.mean(), abs=5 * error)
    # Two classes without evidence: the mean entropy of a uniform coin is 1/2.
    np.testing.assert_allclose(expected_entropy(np.ones((1, 2))), 0.5)


def by_digamma(alpha):
    """The mean entropy of class probabilities, written out."""
    strength = alpha.sum(axis=1, keepdims=True)
    return (alpha / strength * (digamma(strength + 1) - digamma(alpha + 1))).sum(axis=1)


def test_the_score_by_its_parts():
    client = np.random.default_rng(2).gamma(2.0, 4.0, size=(20, 5)) + 1
    entropies = np.array([dirichlet(alpha).entropy() for alpha in ALPHA])
    scaled = (entropies - entropies.min()) / (entropies.max() - entropies.min())
    expected = scaled * (by_digamma(ALPHA) + by_digamma(client))
    np.testing.assert_allclose(calibrated_uncertainty(client, ALPHA), expected, atol=1e-9)


def test_equal_epistemic_uncertainty_leaves_the_aleatoric_part():
    federation = np.ones((3, 2))
    client = np.array([[9.0, 1], [1, 1], [5, 5]])
    expected = 0.5 + by_digamma(client)
    np.testing.assert_allclose(calibrated_uncertainty(client, federation), expected)


def test_entropies_that_differ_by_rounding_alone_are_equal():
    logits = np.array([0.1, 2.7, 1.3, 0.9])
    orders = ([0, 1, 2, 3], [3, 0, 1, 2], [2, 3, 0, 1])
    federation = np.stack([logits[order] for order in orders]) + 1
    found = calibrated_uncertainty(federation, federation)
    np.testing.assert_allclose(found, 2 * by_digamma(federation))


def test_the_epistemic_part_is_the_global_models(table_client):
    # The client's model is equally unsure of both samples, the global one of the first alone.
    def first(federation, own):
        logits = {"global": federation, "previous": own}
        client = table_client(logits, embeddings={"previous": [[1, 0], [0, 1]]})
        return FEAL().select(client, 1).tolist()

    unsure, sure, other = [[0.0, 0], [0, 0]], [[0.0, 0], [30, 0]], [[30.0, 0], [0, 0]]
    assert first(sure, unsure) == [0]
    assert first(unsure, other) == [1]
    # The scaled entropy of the global model is 1 and 0: it decides, whatever the client's says.
    assert first(sure, other) == [0]


def read_plainly(order, embeddings, count, neighbours, similarity):
    """The relaxation step by step, with all similarities at once."""
    similarities = cosine_similarity(embeddings)
    chosen, skipped = [], []
    for position in order:
        others = [i for i in range(len(order)) if i != position]
        others.sort(key=lambda i: (-round(similarities[position, i], 9), i))
        near = [i for i in others if similarities[position, i] > similarity][:neighbours]
        if len(near) < neighbours or not set(near) & set(chosen):
            chosen.append(position)
        else:
            skipped.append(position)
        if len(chosen) == count:
            return chosen
    return (chosen + skipped)[:count]


@given(
    st.integers(0, 10_000),
    st.integers(1, 25),
    st.integers(1, 6),
    st.sampled_from([0.0, 0.5, 0.85, 0.95]),
    st.booleans(),
    st.data(),
)
def test_relaxation_against_a_plain_reading(seed, n, neighbours, similarity, repeated, data):
    rng = np.random.default_rng(seed)
    embeddings = rng.normal(size=(n, 2)) + 0.5
    if repeated:
        embeddings = embeddings[rng.integers(max(n // 3, 1), size=n)]
    order, count = rng.permutation(n), data.draw(st.integers(1, n))
    expected = read_plainly(order.tolist(), embeddings, count, neighbours, similarity)
    found = relaxed(order, embeddings, count, neighbours, similarity)
    assert found.tolist() == expected


def test_relaxation_in_blocks_is_the_same(monkeypatch):
    rng = np.random.default_rng(4)
    embeddings, order = rng.normal(size=(40, 2)), rng.permutation(40)
    whole = relaxed(order, embeddings, 30, 3, 0.8)
    monkeypatch.setattr("fal_bench.strategies.feal.BLOCK", 100)
    assert relaxed(order, embeddings, 30, 3, 0.8).tolist() == whole.tolist()


def test_the_selection_by_hand(table_client):
    # Scores fall with evidence. Samples 0, 1 and 2 look alike and have two neighbours each; 3 has
    # none. 0 is taken, 1 and 2 are passed over, then 3; 1 follows if three labels are wanted.
    logits = [[0.0, 0], [1, 0], [2, 0], [30, 0]]
    client = table_client(
        {"global": logits, "previous": logits},
        embeddings={"previous": [[1, 0], [1, 0.1], [1, 0.2], [0, 1]]},
    )
    assert FEAL({"neighbours": 2}).select(client, 2).tolist() == [0, 3]
    assert FEAL({"neighbours": 2}).select(client, 3).tolist() == [0, 3, 1]
    # With the published five neighbours no sample has enough of them to be passed over.
    assert FEAL().select(client, 3).tolist() == [0, 1, 2]


def test_memory_is_linear_in_the_pool():
    embeddings = np.random.default_rng(0).normal(size=(8000, 4))
    tracemalloc.start()
    relaxed(np.arange(8000), embeddings, 300, 5, 0.85)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 120e6  # all distances would take 512 MB


def test_its_trainer_is_evidential(tiny, blobs, run):
    from fal_bench.trainers.evidential import Evidential

    assert FEAL.trainer == "evidential"
    journal = run(tiny, FEAL, blobs, trainer=Evidential())
    assert [row.labels for row in journal.rows] == [12, 18, 24, 30]
