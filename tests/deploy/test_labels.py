"""The label store, and labels out and in."""

import csv
import io

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
