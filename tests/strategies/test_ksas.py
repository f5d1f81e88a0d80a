"""KSAS: its divergence against hand values and SciPy, and what it does with missing classes."""

import numpy as np
import pytest
from scipy.special import rel_entr, softmax

from fal_bench.strategies.ksas import KSAS, specialised_divergence


def test_by_hand():
    # With equal counts the prior cancels. Client (1/2, 1/2), federation (1/4, 3/4):
    # half of sum (p - q) (log p - log q) = half of (1/4 log 2 + 1/4 log 3/2) = log(3) / 8.
    ours, theirs = np.zeros((1, 2)), np.log([[1.0, 3.0]])
    np.testing.assert_allclose(
        specialised_divergence(ours, theirs, np.array([5, 5])), np.log(3) / 8, rtol=1e-12
    )
    # Three labelled samples of class 0 and one of class 1 turn them into (3/4, 1/4), (1/2, 1/2).
    np.testing.assert_allclose(
        specialised_divergence(ours, theirs, np.array([3, 1])), np.log(3) / 8, rtol=1e-12
    )


@pytest.mark.parametrize("counts", [[3, 1, 7, 2], [0, 1, 7, 0], [400, 0, 0, 1]])
def test_against_scipy_on_the_classes_that_are_there(counts):
    rng = np.random.default_rng(0)
    ours, theirs = rng.normal(scale=4, size=(2, 30, 4))
    counts = np.array(counts)
    there = counts > 0
    p = softmax(ours[:, there], axis=1) * counts[there]
    q = softmax(theirs[:, there], axis=1) * counts[there]
    p, q = p / p.sum(axis=1, keepdims=True), q / q.sum(axis=1, keepdims=True)
    expected = (rel_entr(p, q).sum(axis=1) + rel_entr(q, p).sum(axis=1)) / 2
    np.testing.assert_allclose(specialised_divergence(ours, theirs, counts), expected, rtol=1e-6)


def test_the_selection_weighs_with_the_labelled_counts(table_client):
    logits = {"global": np.zeros((3, 3)), "previous": [[2, 0, 0], [0, 0, 3], [0, 1, 0]]}
    # With all classes known the third class's disagreement, of 3, is the largest.
    assert KSAS().select(table_client(logits, labels=[0, 1, 2]), 3).tolist() == [1, 0, 2]
    # Where the third class has no label, sample 1 does not differ at all.
    assert KSAS().select(table_client(logits, labels=[0, 1]), 3).tolist() == [0, 2, 1]


def test_a_client_of_one_class_takes_the_smallest_ids(table_client):
    rng = np.random.default_rng(1)
    logits = {"global": rng.normal(size=(6, 4)), "previous": rng.normal(size=(6, 4))}
    assert KSAS().select(table_client(logits, labels=[2, 2]), 4).tolist() == [0, 1, 2, 3]
