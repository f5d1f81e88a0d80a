import hashlib

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits as read_digits

from fal_bench.datasets.digit_pairs import load_digit_pairs
from fal_bench.datasets.digits import load_digits
from fal_bench.errors import InvalidSpecError


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
    for features, labels in (
        (dataset.train_features, dataset.train_labels),
        (dataset.test_features, dataset.test_labels),
    ):
        data.update((features * 16).round().to(torch.uint8).numpy().tobytes())
        data.update(labels.numpy().tobytes())
    return data.hexdigest()[:16]


def test_digits_have_their_shapes_and_pixels_from_0_to_1(digits):
    assert digits.input_shape == (1, 8, 8)
    assert (digits.n_train, digits.n_test, digits.n_classes) == (1438, 359, 10)
    for features in (digits.train_features, digits.test_features):
        assert (float(features.min()), float(features.max())) == (0, 1)


def test_every_digit_is_in_one_part_with_its_label(digits):
    source = read_digits()
    raw = source.images.reshape(len(source.images), -1)
    features = torch.cat([digits.train_features, digits.test_features]).flatten(1).double().numpy()
    labels = torch.cat([digits.train_labels, digits.test_labels]).tolist()
    restored = np.rint(features * 16)
    found = sorted(zip(map(tuple, restored), labels, strict=True))
    assert found == sorted(zip(map(tuple, raw), source.target.tolist(), strict=True))


def test_digits_split_is_stratified(digits):
    counts = np.bincount(read_digits().target)
    held_out = torch.bincount(digits.test_labels).numpy()
    assert np.abs(held_out - 0.2 * counts).max() < 1


def test_ids_say_nothing_of_the_class(digits, pairs):
    # The source repeats 0 1 2 ... 9, and pairs are made class by class.
    for labels, n_classes in ((digits.train_labels, 10), (pairs.train_labels, 100)):
        steps = torch.diff(labels) % n_classes
        by_chance = 2 / n_classes
        assert (steps <= 1).double().mean() < 1.5 * by_chance
        ranks = torch.arange(len(labels)).double()
        assert abs(float(torch.corrcoef(torch.stack([ranks, labels.double()]))[0, 1])) < 0.1


def test_pairs_have_their_shapes_and_balanced_classes(pairs):
    assert pairs.input_shape == (1, 8, 16)
    assert (pairs.n_train, pairs.n_test, pairs.n_classes) == (10000, 2000, 100)
    assert torch.bincount(pairs.train_labels).tolist() == [100] * 100
    assert torch.bincount(pairs.test_labels).tolist() == [20] * 100


def test_pair_classes_differ_by_at_most_one_when_sizes_do_not_divide():
    uneven = load_digit_pairs(train=1234, test=150)
    for labels, size in ((uneven.train_labels, 1234), (uneven.test_labels, 150)):
        counts = torch.bincount(labels, minlength=100)
        assert counts.sum() == size
        assert counts.max() - counts.min() == 1


def test_halves_of_a_part_are_digits_of_that_part_with_the_right_labels(digits, pairs):
    for part in ("train", "test"):
        features, labels = getattr(pairs, f"{part}_features"), getattr(pairs, f"{part}_labels")
        own = getattr(digits, f"{part}_labels").tolist()
        known = dict(zip(images(getattr(digits, f"{part}_features")), own, strict=True))
        left = [known[image] for image in images(features[..., :8])]
        right = [known[image] for image in images(features[..., 8:])]
        assert labels.tolist() == [10 * a + b for a, b in zip(left, right, strict=True)]
    assert not set(images(digits.train_features)) & set(images(digits.test_features))


def test_no_pair_occurs_twice(pairs):
    assert len(set(images(pairs.train_features))) == pairs.n_train
    assert len(set(images(pairs.test_features))) == pairs.n_test


def test_pairs_are_distinct_even_when_all_of_a_class_are_used():
    # The limit is a hundred times the pairs of the rarest held-out digit with itself.
    with pytest.raises(InvalidSpecError, match=r"100 to \d+ balanced test pairs") as caught:
        load_digit_pairs(train=100, test=10**9)
    most = int(str(caught.value).split(" balanced")[0].split()[-1])
    full = load_digit_pairs(train=100, test=most)
    assert len(set(images(full.test_features))) == full.n_test == most
    with pytest.raises(InvalidSpecError, match="change test"):
        load_digit_pairs(train=100, test=most + 1)


def test_loading_again_gives_the_same_tensors(digits, pairs):
    for first, again in ((digits, load_digits()), (pairs, load_digit_pairs())):
        assert torch.equal(first.train_features, again.train_features)
        assert torch.equal(first.train_labels, again.train_labels)
        assert torch.equal(first.test_features, again.test_features)
        assert torch.equal(first.test_labels, again.test_labels)


def test_split_and_pairs_are_those_of_published_results(digits, pairs):
    # A change here is another data set: stored results would no longer be comparable.
    assert digest(digits) == "d811ce04d399da75"
    assert digest(pairs) == "fcf1a67d72c59a28"


@pytest.mark.parametrize("fraction", [0.01, 0.5, 0.99])
def test_every_class_is_in_both_parts_at_any_test_fraction(fraction):
    dataset = load_digits(test_fraction=fraction)
    assert dataset.n_test == round(1797 * fraction)
    assert torch.bincount(dataset.train_labels, minlength=10).min() >= 1
    assert torch.bincount(dataset.test_labels, minlength=10).min() >= 1


@pytest.mark.parametrize("fraction", [0.0, 1.0, -1.0, float("nan")])
def test_impossible_test_fractions_are_refused(fraction):
    with pytest.raises(InvalidSpecError, match=r"from 0\.01 to 0\.99"):
        load_digits(test_fraction=fraction)


@pytest.mark.parametrize("sizes", [{"train": 99}, {"test": 0}, {"train": 10**8}])
def test_impossible_numbers_of_pairs_are_refused(sizes):
    (part,) = sizes
    with pytest.raises(InvalidSpecError, match=f"balanced {part} pairs, not {sizes[part]}"):
        load_digit_pairs(**sizes)
