import io

import numpy as np
import pytest

from fal_bench.data import images as module
from fal_bench.data.images import normalisation_of, write_features


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(module, "CONVERTED_AT_ONCE", 7)


def pictures(channels=3, count=20):
    return np.random.default_rng(0).integers(0, 256, (count, 4, 5, channels), dtype=np.uint8)


def written(*arguments):
    file = io.BytesIO()
    write_features(file, *arguments)
    return np.load(io.BytesIO(file.getvalue()))


def test_training_images_become_standard_in_each_channel():
    how = normalisation_of(pictures())
    features = written(pictures(), how)
    assert features.shape == (20, 3, 4, 5)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features.mean((0, 2, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(features.std((0, 2, 3)), 1, atol=1e-6)


def test_they_follow_from_the_pixels():
    pixels = pictures() / 255
    how = normalisation_of(pictures())
    np.testing.assert_allclose(how.mean, pixels.mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(how.deviation, pixels.std((0, 1, 2)), rtol=1e-12)
    other = pictures()[::2] // 2
    expected = (other / 255 - how.mean) / how.deviation
    np.testing.assert_allclose(written(other, how), expected.transpose(0, 3, 1, 2), rtol=1e-6)


def test_a_constant_channel_is_only_centred():
    flat = pictures()
    flat[..., 1] = 51
    how = normalisation_of(flat)
    assert how.deviation[1] == 1
    assert how.mean[1] == pytest.approx(0.2)
    np.testing.assert_allclose(written(flat, how)[:, 1], 0, atol=1e-7)


def test_features_are_written_as_they_are():
    features = np.random.default_rng(0).normal(size=(20, 2, 1, 1)).astype(np.float32)
    np.testing.assert_array_equal(written(features, None), features)
    np.testing.assert_array_equal(written(features[::-1], None), features[::-1])
