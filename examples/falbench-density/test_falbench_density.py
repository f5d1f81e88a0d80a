"""The package's own tests: falbench's contract, and what is particular to this strategy."""

import numpy as np
import pytest

from fal_bench import check_strategy
from falbench_density import DensityEntropy, mean_similarity

# Two samples side by side, one across, and one the other way round.
EMBEDDINGS = np.array([[3.0, 0.0], [1.0, 0.0], [0.0, 2.0], [-1.0, 0.0]])


class EvenClient:
    """A client whose model is equally uncertain of all samples."""

    global_model = None

    def probs(self, model):
        return np.full((len(EMBEDDINGS), 2), 0.5)

    def embeddings(self, model):
        return EMBEDDINGS


def test_it_keeps_the_contract():
    check_strategy(DensityEntropy)


def test_similarity_is_the_mean_over_all_pairs():
    unit = EMBEDDINGS / np.linalg.norm(EMBEDDINGS, axis=1, keepdims=True)
    expected = [(1 + np.mean([a @ b for b in unit])) / 2 for a in unit]
    np.testing.assert_allclose(mean_similarity(EMBEDDINGS), expected)
    assert mean_similarity(np.zeros((3, 2))) == pytest.approx([0.5] * 3)


def test_equally_uncertain_samples_go_by_density():
    assert DensityEntropy().select(EvenClient(), 3).tolist() == [0, 1, 2]
    # Without density only the order of the pool parts them.
    assert DensityEntropy({"beta": 0}).select(EvenClient(), 4).tolist() == [0, 1, 2, 3]
