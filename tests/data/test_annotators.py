"""Labels that are wrong as often as the task says."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fal_bench.data.annotators import annotated
from fal_bench.errors import InvalidSpecError
from fal_bench.federation.setting import Setting
from fal_bench.plugins.strategy import Strategy
from fal_bench.task import ConfusedAnnotators, NoisyAnnotators, Task

TRUTH = np.random.default_rng(0).integers(4, size=40_000)


def said(annotators, labels=TRUTH, classes=4, seed=1):
    return annotated(labels, annotators, classes, np.random.default_rng(seed))


@given(rate=st.floats(0.001, 0.999), classes=st.integers(2, 30))
def test_wrong_labels_are_as_many_as_asked_and_of_all_other_classes(rate, classes):
    labels = np.arange(20_000) % classes
    found = said(NoisyAnnotators(rate=rate), labels, classes)
    assert set(found) <= set(range(classes))
    assert abs((found != labels).mean() - rate) < 0.02
    wrong = np.bincount((found - labels) % classes, minlength=classes)[1:]
    assert wrong.max() <= wrong.mean() + 6 * np.sqrt(wrong.mean()) + 1


def test_what_is_wrong_at_a_low_rate_is_wrong_at_a_higher_one():
    few, many = (said(NoisyAnnotators(rate=rate)) != TRUTH for rate in (0.1, 0.3))
    assert not (few & ~many).any()


def test_classes_are_confused_as_the_table_says():
    table = ((0.7, 0.3, 0, 0), (0, 1, 0, 0), (0.25, 0.25, 0.25, 0.25), (0, 0, 1, 0))
    found = said(ConfusedAnnotators(confusion=table))
    for label, row in enumerate(table):
        shares = np.bincount(found[label == TRUTH], minlength=4) / (label == TRUTH).sum()
        np.testing.assert_allclose(shares, row, atol=0.02)


@pytest.mark.parametrize(
    ("annotators", "message"),
    [
        ({"kind": "noisy", "rate": 0}, "rate"),
        ({"kind": "noisy", "rate": 1}, "rate"),
        ({"kind": "confused", "confusion": [[1, 0], [0.5, 0.4]]}, "row 1 adds up to 0.9"),
        ({"kind": "confused", "confusion": [[1, 0], [1]]}, "row 1 has 1"),
        ({"kind": "confused", "confusion": [[1]]}, "confusion"),
    ],
)
def test_tables_that_are_none_are_refused(annotators, message):
    with pytest.raises(ValueError, match=message):
        Task.model_validate({"annotators": annotators})


def test_a_table_of_other_classes_is_refused(tiny, blobs):
    task = Task.model_validate(
        {
            **tiny.model_dump(),
            "annotators": {"kind": "confused", "confusion": [[1, 0], [0, 1]]},
        }
    )
    with pytest.raises(InvalidSpecError, match="2 classes"):
        Setting.draw(task, 0, blobs)


def test_clients_buy_what_is_said_and_are_tested_on_the_truth(tiny, blobs):
    noisy = Task.model_validate({**tiny.model_dump(), "annotators": {"kind": "noisy", "rate": 0.5}})
    right, wrong = (Setting.draw(task, 3, blobs) for task in (tiny, noisy))
    assert noisy.hash != tiny.hash
    truth, said = blobs.train_labels.numpy(), wrong.votes(0)
    assert 0.3 < (said != truth).mean() < 0.7
    assert wrong.dataset is blobs
    for client, ids in enumerate(wrong.initial):
        assert ids.tolist() == right.initial[client].tolist()  # a pair
        assert wrong.open_ledger().labels(client, ids).tolist() == said[ids].tolist()
        assert right.open_ledger().labels(client, ids).tolist() == truth[ids].tolist()


def test_raters_of_data_without_votes_are_refused(tiny, blobs):
    task = Task.model_validate({**tiny.model_dump(), "annotators": {"kind": "raters"}})
    with pytest.raises(InvalidSpecError, match="single votes"):
        Setting.draw(task, 0, blobs)


def test_raters_are_asked_in_an_order_of_the_seed_and_each_once(tiny, blobs):
    votes = np.tile([0, 1, 2, -1, 3], (blobs.n_train, 1))
    task = Task.model_validate({**tiny.model_dump(), "annotators": {"kind": "raters"}})
    assert task.problem == tiny.problem
    data = replace(blobs, train_votes=votes)
    one, same, other = (Setting.draw(task, seed, data).votes for seed in (0, 0, 1))
    heard = np.stack([one(number) for number in range(6)], axis=1)
    assert (np.sort(heard[:, :4], axis=1) == np.arange(4)).all()
    assert (heard[:, 4:] == -1).all()
    assert np.bincount(heard[:, 0]).min() > blobs.n_train / 8  # any of them may be first
    assert (one(0) == same(0)).all()
    assert (one(0) != other(0)).any()


def test_further_votes_of_noisy_annotators_are_drawn_apart_and_without_noise_are_the_same(
    tiny, blobs
):
    noisy = Task.model_validate({**tiny.model_dump(), "annotators": {"kind": "noisy", "rate": 0.5}})
    truth = blobs.train_labels.numpy()
    votes = Setting.draw(noisy, 0, blobs).votes
    wrong = [votes(number) != truth for number in (0, 1, 0)]
    assert (wrong[0] == wrong[2]).all()
    assert 0.15 < (wrong[0] & wrong[1]).mean() < 0.35
    assert (Setting.draw(tiny, 0, blobs).votes(7) == truth).all()


class AsksAgain(Strategy):
    """Half of every budget on votes."""

    name = "asks-again"

    def select(self, client, budget):
        client.ask_again(client.labelled[: budget // 2])
        return np.arange(budget - budget // 2)


def test_votes_and_new_labels_share_a_budget(tiny, blobs, run):
    noisy = Task.model_validate({**tiny.model_dump(), "annotators": {"kind": "noisy", "rate": 0.3}})
    journal = run(noisy, AsksAgain, blobs)
    assert [row.labels for row in journal.rows] == list(noisy.looks)
    assert [row.labels_strict for row in journal.rows] == list(noisy.looks)
    votes = [charge for charge in journal.charges if charge[2] == "further-vote"]
    queries = len(journal.rows) - 1
    assert len(votes) == queries * noisy.clients * (noisy.query_size // 2)
