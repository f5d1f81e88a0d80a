"""Labels that are wrong as often as the task says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fal_bench.data.annotators import annotated
from fal_bench.errors import InvalidSpecError
from fal_bench.federation.setting import Setting
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
    truth, told = blobs.train_labels.numpy(), wrong.votes(0)
    assert 0.3 < (told != truth).mean() < 0.7
    assert wrong.dataset is blobs
    for client, ids in enumerate(wrong.initial):
        assert ids.tolist() == right.initial[client].tolist()  # a pair
        assert wrong.open_ledger().labels(client, ids).tolist() == told[ids].tolist()
        assert right.open_ledger().labels(client, ids).tolist() == truth[ids].tolist()
