"""Features of one scale."""

import numpy as np

from fal_bench.data.scaling import standardised


def test_each_number_is_standard_over_the_training_samples():
    rng = np.random.default_rng(0)
    train = rng.normal(3, 2, (50, 4)).astype(np.float32)
    train[:, 2] = 0.1
    test = rng.normal(3, 2, (9, 4)).astype(np.float32)
    ours, others = standardised(train, test)
    moving = [0, 1, 3]
    np.testing.assert_allclose(ours[:, moving].mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(ours[:, moving].std(0), 1, atol=1e-6)
    np.testing.assert_allclose(ours[:, 2], 0, atol=1e-6)
    assert np.abs(others).max() < 10
    expected = (test - train.mean(0)) / train.std(0)
    np.testing.assert_allclose(others[:, moving], expected[:, moving], rtol=1e-4)


def test_tiny_differences_stay_finite():
    values = np.array([[1e-200], [3e-200]])
    assert np.isfinite(standardised(values, values)[0]).all()
