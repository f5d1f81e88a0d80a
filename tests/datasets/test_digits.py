import hashlib

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits as read_digits

from fal_bench.datasets.digit_pairs import load_digit_pairs
from fal_bench.datasets.digits import load_digits
from fal_bench.errors import InvalidSpecError
from fal_bench.plugins.registry import current_registry

PARTS = ("train", "test")


@pytest.fixture(scope="module")
def digits():
    return load_digits()


@pytest.fixture(scope="module")
def pairs():
    return load_digit_pairs()


def images(features):
    return [row.numpy().tobytes() for row in features.contiguous()]


def digest(dataset):
    """Hash labels and pixels in the source's whole numbers, free of rounding."""
    data = hashlib.sha256()
    for part in PARTS:
        features = getattr(dataset, f"{part}_features")
        data.update((features * 16).round().to(torch.uint8).numpy().tobytes())
        data.update(getattr(dataset, f"{part}_labels").numpy().tobytes())
    return data.hexdigest()[:16]


def test_split_and_pairs_are_those_of_published_results(digits, pairs):
    # A change here is another data set: stored results would no longer be comparable.
    assert digest(digits) == digest(load_digits()) == "d811ce04d399da75"
    assert digest(pairs) == digest(load_digit_pairs()) == "fcf1a67d72c59a28"
    assert "in scikit-learn" in current_registry().datasets.describe("digits")


def test_every_digit_is_in_one_part_with_its_label(digits):
    assert digits.input_shape == (1, 8, 8)
    assert (digits.n_train, digits.n_test, digits.n_classes) == (1438, 359, 10)
    assert (digits.train_features.min(), digits.train_features.max()) == (0, 1)
    source = read_digits()
    raw = source.images.reshape(len(source.images), -1)
    features = torch.cat([digits.train_features, digits.test_features]).flatten(1).double().numpy()
    labels = torch.cat([digits.train_labels, digits.test_labels]).tolist()
    found = sorted(zip(map(tuple, np.rint(features * 16)), labels, strict=True))
    assert found == sorted(zip(map(tuple, raw), source.target.tolist(), strict=True))


def test_ids_say_nothing_of_the_class(digits, pairs):
    # The source repeats 0 1 2 ... 9, and pairs are made class by class.
    for labels, n_classes in ((digits.train_labels, 10), (pairs.train_labels, 100)):
        steps = torch.diff(labels) % n_classes
        by_chance = 2 / n_classes
        assert (steps <= 1).double().mean() < 1.5 * by_chance
        ranks = torch.arange(len(labels)).double()
        assert abs(float(torch.corrcoef(torch.stack([ranks, labels.double()]))[0, 1])) < 0.1


@pytest.mark.parametrize("fraction", [0.01, 0.2, 0.5, 0.99])
def test_the_split_is_stratified_at_any_test_fraction(fraction):
    dataset = load_digits(test_fraction=fraction)
    assert dataset.n_test == round(1797 * fraction)
    assert torch.bincount(dataset.train_labels, minlength=10).min() >= 1
    held_out = torch.bincount(dataset.test_labels, minlength=10).numpy()
    assert held_out.min() >= 1
    assert np.abs(held_out - fraction * np.bincount(read_digits().target)).max() < 1


@pytest.mark.parametrize("sizes", [(10000, 2000), (1234, 150)])
def test_pair_classes_differ_by_at_most_one(sizes):
    dataset = load_digit_pairs(*sizes)
    assert dataset.input_shape == (1, 8, 16)
    assert (dataset.n_train, dataset.n_test, dataset.n_classes) == (*sizes, 100)
    for part, size in zip(PARTS, sizes, strict=True):
        counts = torch.bincount(getattr(dataset, f"{part}_labels"), minlength=100)
        assert counts.max() - counts.min() == (size % 100 > 0)


def test_halves_of_a_part_are_digits_of_that_part_with_the_right_labels(digits, pairs):
    for part in PARTS:
        features, labels = getattr(pairs, f"{part}_features"), getattr(pairs, f"{part}_labels")
        own = getattr(digits, f"{part}_labels").tolist()
        known = dict(zip(images(getattr(digits, f"{part}_features")), own, strict=True))
        left = [known[image] for image in images(features[..., :8])]
        right = [known[image] for image in images(features[..., 8:])]
        assert labels.tolist() == [10 * a + b for a, b in zip(left, right, strict=True)]
        assert len(set(images(features))) == len(labels)  # no pair twice
    assert not set(images(digits.train_features)) & set(images(digits.test_features))


def test_pairs_are_distinct_even_when_all_of_a_class_are_used():
    rarest = min(np.bincount(load_digits().test_labels))
    most = 100 * rarest**2
    full = load_digit_pairs(train=100, test=most)
    assert len(set(images(full.test_features))) == full.n_test == most
    with pytest.raises(InvalidSpecError, match=f"{most} .*test"):
        load_digit_pairs(train=100, test=most + 1)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -1.0, float("nan")])
def test_impossible_test_fractions_are_refused(fraction):
    with pytest.raises(InvalidSpecError, match="test_fraction"):
        load_digits(test_fraction=fraction)


@pytest.mark.parametrize("sizes", [{"train": 99}, {"test": 0}, {"train": 10**8}])
def test_impossible_numbers_of_pairs_are_refused(sizes):
    [(part, size)] = sizes.items()
    with pytest.raises(InvalidSpecError, match=f"not {size}; change {part}"):
        load_digit_pairs(**sizes)
