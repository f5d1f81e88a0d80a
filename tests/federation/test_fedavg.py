import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from fal_bench.plugins.aggregation import average


def test_by_hand():
    weights = [
        {"w": torch.tensor([1.0, 2.0]), "running_mean": torch.tensor(4.0), "n": torch.tensor(3)},
        {"w": torch.tensor([5.0, 6.0]), "running_mean": torch.tensor(8.0), "n": torch.tensor(9)},
    ]
    averaged = average(weights, np.array([1, 3]))
    torch.testing.assert_close(averaged["w"], torch.tensor([4.0, 5.0]))
    torch.testing.assert_close(averaged["running_mean"], torch.tensor(7.0))
    assert averaged["n"] == 3


@given(st.integers(0, 3), st.integers(1, 9), st.integers(0, 99))
def test_rows_of_one_tensor_are_averaged_to_the_same_bits_where_they_are(first, clients, seed):
    whole = torch.randn(first + clients, 8, 6, generator=torch.Generator().manual_seed(seed))
    rows = [{"w": row} for row in whole[first:]]
    counts = np.arange(1, clients + 1)
    mine = average(rows, counts)["w"]
    assert torch.equal(mine, average([{"w": one["w"].clone()} for one in rows], counts)["w"])
    # Another order, and rows of which some are left out, are no rows that lie side by side.
    for some in (rows[::-1], rows[::2]):
        shares = counts[: len(some)]
        copied = average([{"w": one["w"].clone()} for one in some], shares)["w"]
        assert torch.equal(average(some, shares)["w"], copied)


def test_rows_of_one_tensor_are_not_copied(monkeypatch):
    whole = torch.randn(5, 16)
    monkeypatch.delattr(torch, "stack")
    average([{"w": row} for row in whole], np.ones(5))


@given(st.lists(st.integers(0, 50), min_size=2, max_size=6).filter(any), st.integers(0, 99))
def test_the_average_lies_between_and_ignores_clients_without_labels(counts, seed):
    generator = torch.Generator().manual_seed(seed)
    weights = [{"w": torch.randn(3, 2, generator=generator)} for _ in counts]
    averaged = average(weights, np.array(counts))["w"]
    taking_part = torch.stack([w["w"] for w, n in zip(weights, counts, strict=True) if n])
    assert (averaged <= taking_part.amax(0) + 1e-6).all()
    assert (averaged >= taking_part.amin(0) - 1e-6).all()
