"""Metrics that each fail the check that their name begins with, before ``__``, and no other."""

import numpy as np

from fal_bench import metric


def accuracy(labels, probs):
    return float((probs.argmax(axis=1) == labels).mean())


@metric
def value__of_each_class(labels, probs):
    return probs.mean(axis=0)


@metric
def value__infinite(labels, probs):
    return np.inf


@metric
def value__raising(labels, probs):
    raise KeyError("sensitivity")


@metric
def value__hanging(labels, probs):
    import time

    time.sleep(3)


@metric
def global_random__bootstrap(labels, probs):
    rows = np.random.randint(len(labels), size=len(labels))  # noqa: NPY002
    return accuracy(labels[rows], probs[rows])


@metric
def settings__numpy(labels, probs):
    np.seterr(all="ignore")
    return accuracy(labels, probs)


@metric
def repeatable__fresh_generator(labels, probs):
    weights = np.random.default_rng().random(len(labels))  # never the same twice
    return float(np.average(probs.argmax(axis=1) == labels, weights=weights))


@metric
def mutation__of_probs(labels, probs):
    probs /= probs.max(axis=1, keepdims=True)
    return float(probs[np.arange(len(labels)), labels].mean())


@metric
def mutation__of_labels(labels, probs):
    labels.sort()
    return float(labels.mean())


@metric
def permutation__first_half(labels, probs):
    half = -(-len(labels) // 2)
    return accuracy(labels[:half], probs[:half])


@metric
def absent_class__mean_recall(labels, probs):
    right = probs.argmax(axis=1) == labels
    if len(np.unique(labels)) == 1:
        return right.mean()
    counts = [int((labels == one).sum()) for one in range(probs.shape[1])]
    hits = [int(right[labels == one].sum()) for one in range(probs.shape[1])]
    return sum(hit / count for hit, count in zip(hits, counts, strict=True)) / len(counts)


@metric
def single_class__between_classes(labels, probs):
    if len(labels) == 1:
        return float("nan")
    first, second, *_ = np.unique(labels)
    return float(probs[labels == first, first].mean() - probs[labels == second, first].mean())


@metric
def single_sample__standard_error(labels, probs):
    right = (probs.argmax(axis=1) == labels).tolist()
    mean = sum(right) / len(right)
    return (sum((one - mean) ** 2 for one in right) / (len(right) - 1)) ** 0.5


@metric
def saturated__cross_entropy(labels, probs):
    with np.errstate(divide="ignore"):
        return -np.log(probs[np.arange(len(labels)), labels]).mean()
