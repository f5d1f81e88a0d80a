import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fal_bench.data.apportionment import equal_sizes
from fal_bench.data.partition import balanced_quotas, exact_quotas, log_dirichlet, partition
from fal_bench.errors import InvalidSpecError
from fal_bench.task import Dirichlet, Iid, LogNormalSizes, Shards, Task


def rng(seed=0):
    return np.random.default_rng(seed)


def balanced(n_classes, per_class, seed=0):
    return rng(seed).permutation(np.repeat(np.arange(n_classes), per_class))


def proportions(labels, parts):
    """Class proportions of each client."""
    n_classes = labels.max() + 1
    return np.array([np.bincount(labels[p], minlength=n_classes) / len(p) for p in parts])


@st.composite
def problems(draw):
    """Labels (with gaps and rare classes), a spec they allow, and a number of clients."""
    n_classes = draw(st.integers(1, 12))
    clients = draw(st.integers(1, 12))
    per_client = draw(st.integers(1, 4))
    samples = draw(st.integers(clients * per_client, 300))
    labels = rng(draw(st.integers(0, 99))).zipf(1.5, samples).clip(max=n_classes) * 3
    kinds = [
        st.just(Iid()),
        st.floats(-3, 6).map(lambda power: Dirichlet(alpha=max(10.0**power, 1e-3))),
    ]
    present = len(np.unique(labels))
    if per_client <= present <= clients * per_client:
        kinds.append(st.just(Shards(classes_per_client=per_client)))
    return labels, draw(st.one_of(kinds)), clients


@given(problems(), st.integers(0, 2**32))
@settings(max_examples=100)
def test_every_sample_is_at_one_client_and_sizes_are_equal(problem, seed):
    labels, spec, clients = problem
    parts = partition(labels, spec, clients, rng(seed))
    assert len(parts) == clients
    assert sorted(np.concatenate(parts)) == list(range(len(labels)))
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1
    assert sizes == sorted(sizes, reverse=True)
    for part in parts:
        assert part.dtype == np.int64
        assert (np.diff(part) > 0).all()
    again = partition(labels, spec, clients, rng(seed))
    assert all(np.array_equal(a, b) for a, b in zip(parts, again, strict=True))


@pytest.mark.parametrize("spec", [Iid(), Dirichlet(alpha=1), Shards(classes_per_client=2)])
def test_another_stream_gives_another_partition(spec):
    labels = balanced(10, 20)
    first, other = (partition(labels, spec, 5, rng(seed)) for seed in (0, 1))
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize("alpha", [1e-3, 1e-2, 0.1, 100])
def test_dirichlet_is_exact_for_a_hundred_classes_and_clients(alpha):
    labels = rng(3).integers(0, 100, 4321)
    parts = partition(labels, Dirichlet(alpha=alpha), 100, rng())
    assert sorted(np.concatenate(parts)) == list(range(4321))
    assert {len(part) for part in parts} == {43, 44}


@pytest.mark.parametrize("kind", ["iid", "dirichlet", "shards"])
def test_sizes_follow_a_list(kind):
    labels = balanced(5, 40)
    more = {"dirichlet": {"alpha": 0.3}, "shards": {"classes_per_client": 2}}.get(kind, {})
    spec = {"kind": kind, "sizes": {"kind": "shares", "shares": (5, 1, 3, 1e-6)}, **more}
    parts = partition(labels, Task(partition=spec, clients=4).partition, 4, rng())
    assert sorted(np.concatenate(parts)) == list(range(200))
    assert [len(part) for part in parts] == pytest.approx([110, 22, 67, 1], abs=1)
    assert len(parts[3]) == 1


@given(st.integers(1, 40), st.integers(0, 60), st.floats(0.01, 5), st.integers(0, 99))
def test_log_normal_sizes_leave_no_client_empty(clients, more, sigma, seed):
    spec = Iid(sizes=LogNormalSizes(sigma=sigma))
    parts = partition(np.zeros(clients + more, int), spec, clients, rng(seed))
    assert sorted(np.concatenate(parts)) == list(range(clients + more))
    assert min(map(len, parts)) >= 1


def test_log_normal_sizes_have_the_spread_that_is_asked_for():
    spec = Iid(sizes=LogNormalSizes(sigma=0.8))
    sizes = [len(part) for part in partition(np.zeros(200_000, int), spec, 400, rng())]
    assert np.std(np.log(sizes)) == pytest.approx(0.8, abs=0.08)


def skew(labels, spec, draws=150):
    """Mean number of effective classes (exponential of the entropy), and mean largest share."""
    own = [proportions(labels, partition(labels, spec, 10, rng(seed))) for seed in range(draws)]
    shares = np.concatenate(own)
    entropy = -(shares * np.log(np.where(shares > 0, shares, 1))).sum(axis=1)
    return np.exp(entropy).mean(), shares.max(axis=1).mean()


def test_balanced_dirichlet_is_as_skewed_as_the_code_of_logo():
    """Its own rule gives, over 300 federations at alpha 0.1, 10 classes and 10 clients, 2.90
    effective classes a client and a largest share of .583 where all classes have 600 samples, and
    2.63 and .655 where they fall from 600 to 30 (standard errors .02 and .003)."""
    even = balanced(10, 600)
    tail = np.repeat(np.arange(10), np.rint(600 * 20 ** -np.linspace(0, 1, 10)).astype(int))
    spec = Dirichlet(alpha=0.1, balanced=True)
    assert skew(even, spec) == pytest.approx((2.90, 0.583), abs=0.06)
    assert skew(tail, spec) == pytest.approx((2.63, 0.655), abs=0.06)
    assert skew(tail, Dirichlet(alpha=0.1))[0] < 2.54


@given(
    st.integers(1, 8),
    st.lists(st.integers(1, 30), min_size=1, max_size=8),
    st.floats(-3, 2),
    st.integers(0, 99),
)
def test_balanced_quotas_add_up(clients, counts, power, seed):
    counts = np.array(counts) + clients
    sizes = equal_sizes(counts.sum(), clients)
    quotas = balanced_quotas(
        log_dirichlet(10**power, clients, len(counts), rng(seed)), sizes, counts
    )
    assert quotas.min() >= 0
    assert quotas.sum(axis=0).tolist() == counts.tolist()
    assert quotas.sum(axis=1).tolist() == sizes.tolist()


def test_dirichlet_heterogeneity_grows_as_alpha_falls():
    labels = balanced(10, 100)

    def heterogeneity(alpha, seed):
        """Mean total variation distance between a client's proportions and the overall ones."""
        own = proportions(labels, partition(labels, Dirichlet(alpha=alpha), 10, rng(seed)))
        return np.abs(own - 0.1).sum(axis=1).mean() / 2

    one, two, three, four = (
        np.mean([heterogeneity(alpha, seed) for seed in range(10)]) for alpha in (1e-3, 0.1, 1, 100)
    )
    assert one > two + 0.1 > three + 0.2 > four + 0.3
    assert four < 0.1
    assert one > 0.8  # one class per client would be 0.9


def test_dirichlet_proportions_have_the_variance_of_the_law():
    # With many classes and clients the rescaling changes little. A component of a symmetric
    # Dirichlet law on C classes has variance (1/C)(1 - 1/C) / (C alpha + 1): 0.00566 here.
    labels = balanced(10, 2000)
    own = proportions(labels, partition(labels, Dirichlet(alpha=1.5), 100, rng()))
    assert own.var() == pytest.approx(0.09 / 16, rel=0.15)


def test_log_dirichlet_rows_are_proportions_and_never_underflow():
    log_p = log_dirichlet(1e-3, 200, 50, rng())
    assert np.isfinite(log_p).all()
    assert np.exp(log_p).sum(axis=1) == pytest.approx(1)
    assert log_p.min() < -1000  # far below the smallest float
    moderate = np.exp(log_dirichlet(2.0, 5000, 4, rng()))
    assert moderate.mean(axis=0) == pytest.approx(0.25, abs=0.01)
    assert moderate.var(axis=0) == pytest.approx(0.25 * 0.75 / 9, rel=0.1)


@pytest.mark.parametrize(
    ("log_weights", "sizes", "counts", "expected"),
    [
        # A plan that adds up already is kept.
        (np.log([[6, 2, 2], [1, 5, 4]]), [10, 10], [7, 7, 6], [[6, 2, 2], [1, 5, 4]]),
        # Every column rounds in favour of the first client, which then has one too many; the
        # second client wants class 0 (.4 to .6) rather than class 2 (.2 to .8).
        (np.log([[0.6, 0.6, 0.8], [0.4, 0.4, 0.2]]), [2, 1], [1, 1, 1], [[0, 1, 1], [1, 0, 0]]),
        # Both want class 0 only; Sinkhorn's fixed point is the even split.
        (np.array([[0.0, -900.0], [0.0, -900.0]]), [5, 5], [6, 4], [[3, 2], [3, 2]]),
    ],
)
def test_hand_computed_quotas(log_weights, sizes, counts, expected):
    assert exact_quotas(log_weights, np.array(sizes), np.array(counts)).tolist() == expected


@given(
    st.integers(1, 8),
    st.integers(1, 8),
    st.lists(st.floats(-1e4, 0), min_size=64, max_size=64),
    st.lists(st.integers(1, 30), min_size=8, max_size=8),
)
@settings(max_examples=60)
def test_quotas_are_exact_for_any_weights(clients, n_classes, weights, counts):
    counts = np.array(counts[:n_classes]) * clients
    sizes = np.full(clients, counts.sum() // clients)
    log_weights = np.array(weights[: clients * n_classes]).reshape(clients, n_classes)
    quotas = exact_quotas(log_weights, sizes, counts)
    assert (quotas >= 0).all()
    assert quotas.sum(axis=0).tolist() == counts.tolist()
    assert quotas.sum(axis=1).tolist() == sizes.tolist()


@given(
    st.integers(1, 5), st.integers(1, 6), st.integers(1, 4), st.integers(0, 19), st.integers(0, 99)
)
def test_shards_keep_the_class_limit_when_shards_divide_among_classes(
    per_client, n_classes, multiple, extra, seed
):
    per_client = min(per_client, n_classes)
    clients = n_classes * multiple  # so clients * per_client is a multiple of the classes
    labels = balanced(n_classes, multiple * per_client + extra, seed)
    parts = partition(labels, Shards(classes_per_client=per_client), clients, rng(seed))
    assert all(len(np.unique(labels[part])) <= per_client for part in parts)


def test_shards_of_uneven_classes_cross_borders_only():
    # Ten shards of 10 over classes of 33, 33 and 34: two of them cross a border.
    labels = np.repeat([0, 1, 2], [33, 33, 34])
    parts = partition(labels, Shards(classes_per_client=1), 10, rng())
    assert sorted(len(np.unique(labels[part])) for part in parts) == [1] * 8 + [2] * 2


@pytest.mark.parametrize(
    ("spec", "clients", "message"),
    [
        (Iid(), 21, "20 .*21 clients"),
        (Shards(classes_per_client=3), 2, "lower classes_per_client"),
        (Shards(classes_per_client=1), 1, "raise classes_per_client to at least 2"),
        (Shards(classes_per_client=2), 11, "22 shards"),
    ],
)
def test_impossible_partitions_are_refused(spec, clients, message):
    with pytest.raises(InvalidSpecError, match=message):
        partition(balanced(2, 10), spec, clients, rng())


@pytest.mark.parametrize(
    "changes",
    [
        {"clients": 0},
        {"long_tail": 0.5},
        {"long_tail": float("nan")},
        {"partition": {"kind": "dirichlet", "alpha": 9e-4}},
    ],
)
def test_tasks_ask_only_for_what_can_be_drawn(changes):
    [name] = changes
    with pytest.raises(ValueError, match=name):
        Task(**changes)
