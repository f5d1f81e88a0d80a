import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fal_bench.data.shares import ClientShares
from fal_bench.errors import LabelAccessError
from fal_bench.federation.ledger import PURPOSES, Ledger
from fal_bench.results.formats import count_charges, ledger_csv

LABELS = np.arange(20) * 10


def said(number):
    """Vote ``number`` on each sample."""
    return LABELS


def ids(*samples):
    return np.array(samples, dtype=np.int64)


@pytest.fixture
def ledger():
    own = ClientShares(state=ids(0, 1), warm_start=ids(2, 3), agent=ids(4, 5), pool=ids(6, 7, 8, 9))
    other = ClientShares(state=ids(10), warm_start=ids(11), agent=ids(12), pool=ids(13, 14, 15))
    return Ledger(said, [own, other])


def test_buying_returns_the_labels_in_order_and_charges_them(ledger):
    assert ledger.buy(0, ids(8, 6), "initial", 0).tolist() == [80, 60]
    assert ledger.buy(0, ids(2), "warm-start", 1).tolist() == [20]
    assert ledger.charges() == [
        (0, 8, "initial", 0),
        (0, 6, "initial", 0),
        (0, 2, "warm-start", 1),
    ]
    assert ledger.labelled(0).tolist() == [6, 8]
    assert ledger.unlabelled(0).tolist() == [7, 9]


def test_paper_counts_training_labels_and_strict_counts_all(ledger):
    ledger.buy(0, ids(6), "initial", 0)
    ledger.buy(0, ids(7), "pool", 1)
    ledger.buy(0, ids(4, 5), "reward", 1)
    assert ledger.paper().tolist() == [2, 0]
    assert ledger.strict().tolist() == [4, 0]


def test_reading_twice_costs_once_under_any_purpose(ledger):
    ledger.buy(0, ids(7), "validation", 0)
    ledger.buy(0, ids(7, 7), "validation", 3)
    ledger.buy(0, ids(7), "pool", 4)
    assert ledger.strict().tolist() == [1, 0]
    assert ledger.paper().tolist() == [1, 0]
    assert ledger.charges() == [(0, 7, "validation", 0), (0, 7, "pool", 4)]


@pytest.mark.parametrize(
    ("client", "sample", "purpose"),
    [
        (0, 0, "reward"),  # state share
        (0, 0, "pool"),
        (0, 4, "pool"),  # agent share is not the pool
        (0, 2, "initial"),
        (0, 13, "reward"),  # another client's
        (0, 19, "reward"),  # of no client
        (0, 20, "reward"),  # no training sample: there are no test labels in here
        (0, -1, "reward"),
        (1, 6, "pool"),
        (0, 6, "curiosity"),
    ],
)
def test_forbidden_labels_are_refused_and_nothing_is_charged(ledger, client, sample, purpose):
    with pytest.raises(LabelAccessError):
        ledger.buy(client, ids(7 if client == 0 else 13, sample), purpose, 0)
    assert ledger.charges() == []


def test_labels_that_were_not_bought_stay_hidden(ledger):
    ledger.buy(0, ids(6), "pool", 0)
    assert ledger.labels(0, ids(6)).tolist() == [60]
    with pytest.raises(LabelAccessError, match="sample 7 "):
        ledger.labels(0, ids(6, 7))
    with pytest.raises(LabelAccessError):
        ledger.labels(1, ids(6))


@given(
    st.lists(
        st.tuples(
            st.integers(0, 1), st.integers(0, 20), st.sampled_from(PURPOSES), st.integers(0, 5)
        )
    )
)
def test_totals_follow_from_the_charges_and_survive_a_restart(purchases):
    ledger = Ledger(
        said,
        [
            ClientShares(ids(0, 1), ids(2, 3), ids(4, 5), ids(6, 7, 8, 9)),
            ClientShares(ids(10), ids(11), ids(12), ids(13, 14, 15)),
        ],
    )
    again = Ledger(said, ledger._shares)
    for client, sample, purpose, cycle in purchases:
        try:
            ledger.buy(client, ids(sample), purpose, cycle)
        except LabelAccessError:
            continue
    again.restore(ledger.charges())
    for book in (ledger, again):
        for client in range(2):
            read = {(s, p) for c, s, p, _ in ledger.charges() if c == client}
            assert book.strict()[client] == len({s for s, _ in read})
            assert book.paper()[client] == len({s for s, p in read if p in ("initial", "pool")})
            assert set(book.labelled(client)) | set(book.unlabelled(client)) == set(
                book._shares[client].pool
            )
    assert again.charges() == ledger.charges()


VOTES = np.array([[1, 2, 2, 0, 0], [1, 3, -1, -1, -1], [1, 1, 2, 2, 2]])
"""On samples 0 to 2, in the order in which they are asked for."""


@pytest.fixture
def asked():
    """A client that trains on three samples, and one that has bought nothing."""
    nothing = ids()
    shares = [ClientShares(nothing, nothing, nothing, pool) for pool in (ids(0, 1, 2), ids(3))]
    asked = Ledger(lambda number: np.append(VOTES.T[number], 0), shares)
    asked.buy(0, ids(0, 1, 2), "initial", 0)
    return asked


def test_further_votes_cost_a_label_each_and_the_majority_counts(asked):
    assert asked.ask_again(0, ids(0), 1).tolist() == [2]
    assert asked.labels(0, ids(0)).tolist() == [1]  # a tie: what was said first
    assert asked.ask_again(0, ids(0, 1, 0), 2).tolist() == [2, 3, 0]
    assert asked.labels(0, ids(2, 1, 0)).tolist() == [1, 1, 2]
    assert asked.ask_again(0, ids(0), 2).tolist() == [0]
    assert asked.votes(0) == [1, 2, 2, 0, 0]
    assert asked.labels(0, ids(0)).tolist() == [2]  # two against two: 2 was said before 0
    assert asked.paper().tolist() == asked.strict().tolist() == [3 + 5, 0]
    assert [asked.asked(0, cycle) for cycle in range(3)] == [0, 1, 4]
    assert asked.left(0) == 0
    charges = [(0, 0, 1), (0, 0, 2), (0, 1, 2), (0, 0, 2), (0, 0, 2)]
    assert asked.charges()[3:] == [(c, s, "further-vote", cycle) for c, s, cycle in charges]
    again = Ledger(asked._Ledger__votes, asked._shares)
    again.restore(asked.charges())
    assert again.charges() == asked.charges()
    assert again.labels(0, ids(0, 1, 2)).tolist() == asked.labels(0, ids(0, 1, 2)).tolist()
    counts = count_charges(ledger_csv(asked.charges()).decode())
    assert counts == {(0, "initial", 0): 3, (1, "further-vote", 0): 1, (2, "further-vote", 0): 4}


@pytest.mark.parametrize(
    ("client", "samples", "message"),
    [(1, (3,), "sample 3"), (1, (0,), "sample 0"), (0, (0, 3), "sample 3"), (0, (0, 1, 1), "2 ra")],
)
def test_votes_that_are_not_to_be_had_are_refused_and_nothing_is_charged(
    asked, client, samples, message
):
    before = asked.charges()
    with pytest.raises(LabelAccessError, match=message):
        asked.ask_again(client, ids(*samples), 1)
    with pytest.raises(LabelAccessError):
        asked.buy(client, ids(*samples), "further-vote", 1)
    assert asked.charges() == before
    assert asked.strict().tolist() == [3, 0]


def test_those_with_raters_left_can_be_asked(asked):
    assert asked.askable(0).tolist() == [0, 1, 2]
    asked.ask_again(0, ids(1), 0)
    assert asked.askable(0).tolist() == [0, 2]
