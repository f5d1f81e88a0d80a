"""Two handwritten digits side by side: 100 classes, a problem that takes hundreds of labels.

In the manner of MultiMNIST (Sabour et al., "Dynamic Routing Between Capsules", 2017). The pairs are
the same in every run, whatever its seed.

Pixels are scaled to [0, 1] and not standardised. With standardised pixels accuracy 0.5 is reached
at about 250 labels, where strategies do not differ yet; at [0, 1] it takes 300 to 400 labels, in
the middle of the default suite's label grid.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fal_bench.arrays import IntArray
from fal_bench.data.apportionment import equal_sizes
from fal_bench.data.base import Dataset
from fal_bench.datasets._digits import digits_dataset, read_digits, split_digits, whereabouts
from fal_bench.errors import InvalidSpecError
from fal_bench.plugins.functions import dataset

# Fixed for good: another value would be another data set under the same name.
_PAIRS_SEED = 100
_TEST_FRACTION = 0.2


@dataset(whereabouts=whereabouts)
def load_digit_pairs(train: int = 10000, test: int = 2000) -> Dataset:
    """Load pairs of digits side by side: 1 x 8 x 16 images of 100 classes.

    The class is ten times the left digit plus the right one. Training pairs are made of training
    digits only and test pairs of held-out digits only. All pairs of a part differ, and its class
    counts differ by at most one.

    Args:
        train: number of training pairs, at least 100.
        test: number of test pairs, at least 100.

    Raises:
        InvalidSpecError: a number is below 100, or there are not as many different pairs.
    """
    images, labels = read_digits()
    train_digits, test_digits = split_digits(labels, _TEST_FRACTION)
    rng = np.random.default_rng(_PAIRS_SEED)
    parts: list[npt.NDArray[np.generic]] = []
    for name, size, digits in (("train", train, train_digits), ("test", test, test_digits)):
        left, right = _pairs(name, size, labels, digits, rng)
        parts.append(np.concatenate([images[left], images[right]], axis=3))
        parts.append(10 * labels[left] + labels[right])
    return digits_dataset("digit-pairs", 100, *parts)


def _pairs(
    part: str, size: int, labels: IntArray, digits: IntArray, rng: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """Draw different (left, right) pairs of the given digits, classes balanced, in random order."""
    members = [digits[labels[digits] == digit] for digit in range(10)]
    most = 100 * min(len(own) for own in members) ** 2
    if not 100 <= size <= most:
        raise InvalidSpecError(
            f"Data set 'digit-pairs' can have 100 to {most} balanced {part} pairs, not {size}; "
            f"change {part}."
        )
    quotas = rng.permutation(equal_sizes(size, 100))
    left: list[IntArray] = []
    right: list[IntArray] = []
    for kind, quota in enumerate(quotas):
        first, second = members[kind // 10], members[kind % 10]
        drawn = rng.choice(len(first) * len(second), size=quota, replace=False)
        left.append(first[drawn // len(second)])
        right.append(second[drawn % len(second)])
    order = rng.permutation(size)
    return np.concatenate(left)[order], np.concatenate(right)[order]
