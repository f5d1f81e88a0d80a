"""The label store, and labels out and in."""

import csv
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fal_bench.deploy.labels import LabelStore
from fal_bench.deploy.messages import DeploymentError


def test_a_question_is_open_until_it_is_answered_and_again_when_that_is_taken_back(desk):
    store = desk.store
    assert [one.sample for one in store.pending()] == [3, 5, 7]
    assert desk.answer(5, "dog", "ann")
    assert not desk.answer(5, "dog", "ben")
    assert [one.sample for one in store.pending()] == [3, 7]
    store.take_back(5, "ann")
    assert [one.sample for one in store.pending()] == [3, 5, 7]
    desk.answer(5, "cat", "ben")
    assert store.labels(9).tolist() == [-1] * 5 + [0] + [-1] * 3
    assert [(one.label, one.annotator) for one in store.history()] == [
        (1, "ann"), (None, "ann"), (0, "ben")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("sample", "label", "annotator", "culprit"),
    [(4, "dog", "ann", "sample 4"), (5, "cow", "ann", "cow"), (5, "dog", " ", "annotator")],
)
def test_what_was_not_asked_is_not_taken(desk, sample, label, annotator, culprit):
    with pytest.raises(DeploymentError, match=culprit):
        desk.answer(sample, label, annotator)
    assert desk.store.history() == []


steps = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.integers(0, 5), st.sampled_from(["pool", "validation"])),
        st.tuples(st.just("answer"), st.integers(0, 5), st.integers(0, 1)),
        st.tuples(st.just("back"), st.integers(0, 5), st.none()),
    ),
    max_size=12,
)


@settings(max_examples=10)
@given(steps)
def test_nothing_is_lost_or_paid_twice_whatever_is_repeated(tmp_path_factory, steps):
    store = LabelStore(tmp_path_factory.mktemp("store"))
    asked, known = set(), {}
    for kind, sample, what in steps:
        for _ in range(2):
            try:
                if kind == "ask":
                    store.ask([sample], what, 0)
                    asked.add(sample)
                elif kind == "answer":
                    store.answer([(sample, what)], "ann", 2)
                    known[sample] = what
                else:
                    store.take_back(sample, "ann")
                    known.pop(sample)
            except DeploymentError:
                assert sample not in asked or (kind == "back" and sample not in known)
    assert store.paid() == len(asked)
    assert {one.sample for one in store.pending()} == asked - set(known)
    assert {i: int(one) for i, one in enumerate(store.labels(6)) if one >= 0} == known


def test_a_query_is_closed_once(tmp_path):
    store = LabelStore(tmp_path)
    assert store.closed_query(0) is None
    for _ in range(2):
        store.close_query(0, [1, 2], "pool", 2)
    assert store.closed_query(0) == 2
    assert store.paid() == 2


def test_a_damaged_store_is_said_to_be_one(tmp_path):
    LabelStore(tmp_path).path.write_bytes(b"no database" * 100)
    with pytest.raises(DeploymentError, match="label store"):
        LabelStore(tmp_path)


def test_a_table_goes_out_and_comes_back_as_often_as_one_likes(desk, tmp_path):
    assert desk.export(tmp_path / "out") == 3
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out" / "to-label.csv").read_text())))
    filled = tmp_path / "filled.csv"
    lines = [
        f"{row['sample']},{label}" for row, label in zip(rows, ["cat", "", "dog"], strict=True)
    ]
    filled.write_text("\n".join(["sample,label", *lines]))
    assert desk.import_table(filled, "ann") == 2
    assert desk.import_table(filled, "ann") == 0
    assert [one.sample for one in desk.store.pending()] == [5]


@pytest.mark.parametrize(
    ("text", "culprit"),
    [
        ("sample\n3", "label"),
        ("sample,label\n3,cat\nx,dog", "line 3"),
        ("sample,label\n3,cat\n5,cow", "cow"),
        ("sample,label\n3,cat\n4,dog", "sample 4"),
        ("label,sample\ncat", "line 2"),
    ],
)
def test_a_wrong_table_changes_nothing(desk, tmp_path, text, culprit):
    (tmp_path / "wrong.csv").write_text(text)
    with pytest.raises(DeploymentError, match=culprit):
        desk.import_table(tmp_path / "wrong.csv", "ann")
    assert desk.store.history() == []


def test_a_table_of_several_people_is_taken_as_a_whole_or_not_at_all(desk, tmp_path):
    path = tmp_path / "people.csv"
    path.write_text("sample,label,annotator\n3,cat,ann\n5,dog,ben\n8,dog,ben\n")
    with pytest.raises(DeploymentError, match=r"line 4: .*sample 8"):
        desk.import_table(path, "")
    assert desk.store.history() == []
    path.write_text("sample,label,annotator\n3,cat,ann\n5,dog,ben\n")
    assert desk.import_table(path, "") == 2
    assert [one.annotator for one in desk.store.history()] == ["ann", "ben"]


@pytest.mark.parametrize("digits", [18, 19, 20, 5000])
def test_a_number_in_a_table_that_no_sample_can_have_is_refused(desk, tmp_path, digits):
    (tmp_path / "long.csv").write_text(f"sample,label\n{'9' * digits},cat\n")
    with pytest.raises(DeploymentError, match=r"line 2: .*sample"):
        desk.import_table(tmp_path / "long.csv", "ann")


@pytest.mark.parametrize("sample", [2**63, -(2**63) - 1])
def test_a_number_that_the_store_cannot_hold_is_no_sample(desk, sample):
    with pytest.raises(DeploymentError, match="Nothing asked"):
        desk.answer(sample, "cat", "ann")
    with pytest.raises(DeploymentError, match="no label to take back"):
        desk.store.take_back(sample, "ann")


def test_labels_in_a_table_are_not_written_over(desk, falbench, tmp_path):
    out, site = tmp_path / "out", tmp_path / "north.toml"
    asked = ["labels", "export", site, out, "--federation", tmp_path / "federation.toml"]
    for _ in range(2):  # an empty one is
        assert falbench(*asked)[0] == 0
    table = out / "to-label.csv"
    filled = table.read_text().rstrip("\n") + "cat\n"
    table.write_text(filled)
    code, _, error = falbench(*asked)
    assert (code, error.count("\n"), "to-label.csv" in error) == (2, 1, True)
    assert table.read_text() == filled
    assert desk.import_table(table, "ann") == 1


@pytest.mark.parametrize("count", [8, 2])
def test_other_samples_than_the_questions_are_about_are_not_shown(desk, falbench, tmp_path, count):
    site, federation = tmp_path / "north.toml", ["--federation", tmp_path / "federation.toml"]
    assert falbench("labels", "pending", site, *federation)[0] == 0
    np.savez(tmp_path / "north.npz", samples=np.ones((count, 1, 4, 4)))
    for command in (["pending", site], ["export", site, tmp_path / "out"], ["serve", site]):
        code, _, error = falbench("labels", *command, *federation)
        assert (code, error.count("\n"), "other data" in error) == (2, 1, True)


def test_pictures_are_sorted_into_folders(desk, tmp_path):
    desk.export(tmp_path / "out")
    for picture, name in zip(
        sorted((tmp_path / "out" / "unsorted").iterdir()), ("0-cat", "1-dog", "1-dog"), strict=True
    ):
        picture.rename(tmp_path / "out" / name / picture.name)
    assert desk.import_folder(tmp_path / "out", "ben") == 3
    assert desk.store.labels(9)[[3, 5, 7]].tolist() == [0, 1, 1]


def test_the_command_shows_takes_and_takes_back(desk, falbench, tmp_path):
    site, federation = tmp_path / "north.toml", ["--federation", tmp_path / "federation.toml"]
    (tmp_path / "filled.csv").write_text("sample,label\n3,cat\n")
    code, out, _ = falbench("labels", "pending", site, *federation)
    assert (code, out.count("\n")) == (0, 4)
    read = ["labels", "import", site, tmp_path / "filled.csv", "--annotator", "ann", *federation]
    assert falbench(*read)[0] == 0
    assert falbench("labels", "take-back", site, 3, "--annotator", "ann", *federation)[0] == 0
    assert falbench("labels", "history", site, *federation)[1].count("\n") == 2
    assert falbench("labels", "take-back", site, 3, "--annotator", "ann", *federation)[0] == 2
