"""Labels divided over clients by hand."""

import numpy as np
import pytest

from fal_bench.errors import InvalidSpecError
from fal_bench.federation.view import LiveFederationView
from fal_bench.strategies.allotted_margin import AllottedMargin
from fal_bench.task import Task


@pytest.fixture
def federation(pools, toy_pool, toy_model):
    """Three clients whose pools have mean uncertainty .2, .6 and .8; then one without a pool."""

    def make(budgets, limits):
        clients = [
            pools(np.column_stack([0.5 + np.array(margins) / 2, 0.5 - np.array(margins) / 2]))
            for margins in ([0.7, 0.9, 0.8, 0.8], [0.4] * 6, [0.5, 0.1, 0.0, 0.2])
        ]
        clients.append(toy_pool([0], toy_model([[1, 0]], np.eye(2))))
        for number, client in enumerate(clients):
            client.index = number
        rng = np.random.default_rng(0)
        return LiveFederationView(clients, budgets, rng, {}, beat=lambda: None, limits=limits)

    return make


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        # Waits: .5/.2, 1.5/.2 = 7.5; .5/.6, 1.5/.6, 2.5/.6 = 4.2; .5/.8, 1.5/.8, 2.5/.8 = 3.1, 4.4.
        ((4, 6, 4, 0), [1, 3, 4, 0]),
        ((4, 2, 3, 0), [3, 2, 3, 0]),
        ((0, 6, 2, 0), [0, 6, 2, 0]),
    ],
)
def test_labels_go_where_pools_are_uncertain(federation, limits, expected):
    view = federation((2, 3, 3, 0), limits)
    chosen = AllottedMargin().select_all(view)
    assert [len(own) for own in chosen] == expected
    assert sorted(chosen[2].tolist()) == [1, 2, 3, 0][: expected[2]] or expected[2] == 4
    assert (view.bytes_up, view.bytes_down) == (4 * 8, 4 * 8)


def test_limits_that_are_the_budgets_leave_no_choice(federation):
    chosen = AllottedMargin().select_all(federation((2, 3, 3, 0), (2, 3, 3, 0)))
    assert [len(own) for own in chosen] == [2, 3, 3, 0]
    assert sorted(chosen[0].tolist()) in ([0, 2], [0, 3])
    assert sorted(chosen[2].tolist()) == [1, 2, 3]


def test_a_task_that_divides_the_labels_itself_is_refused():
    with pytest.raises(InvalidSpecError, match="allotment"):
        AllottedMargin().check_task(Task())
    AllottedMargin().check_task(Task(allotment={"kind": "server"}))
