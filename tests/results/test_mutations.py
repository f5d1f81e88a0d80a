"""Every kind of damage to every file: nothing false is shown, and what is lost is named.

``tests/campaign/mutations.py`` does the same with many more random changes.
"""

import shutil
from functools import partial

import numpy as np
import pandas as pd
import pytest
from mutated import (
    CHANGES,
    FILES,
    HALF,
    SPECS,
    UNHARMED,
    finished,
    half,
    judge_finished,
    judge_half,
    pipe,
    shown,
)
from stored import store_run

from fal_bench import compare, report
from fal_bench.errors import StoreError

FOLDER = ["store.json", "sessions.jsonl"]
HALF_FILES = ["checkpoint.npz", "curve.csv", "run.json", "status.json"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    root = tmp_path_factory.mktemp("whole") / "results"
    finished(root)
    return root, shown(root)


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    root = tmp_path_factory.mktemp("begun") / "results"
    half(root)
    return root


def test_what_is_damaged_here_is_all_that_there_is(whole, begun):
    root, (before, problems) = whole
    assert problems == ()
    assert len(before) == len(SPECS) + 2
    for place, one, names in ((root, UNHARMED, FILES), (begun, HALF["one"], HALF_FILES)):
        assert sorted(path.name for path in (place / "runs" / one.key).iterdir()) == names
        assert [path.name for path in place.iterdir() if path.is_file()] <= FOLDER


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_damage_costs_the_damaged_runs_and_no_other(whole, tmp_path, change):
    root, (before, _) = whole
    rng, copy = np.random.default_rng(1), tmp_path / "copy"
    shutil.copytree(root, copy)
    content = {name: (copy / "runs" / one.key / name).read_bytes() for name, one in SPECS.items()}
    for name, one in SPECS.items():
        change(copy / "runs" / one.key / name, root / "runs" / UNHARMED.key / name, rng)
    for name, other in zip(FOLDER, FOLDER[::-1], strict=True):
        change(copy / name, root / other, rng)
    judge_finished(copy, before)
    after, _ = shown(copy)
    assert UNHARMED.key in after
    for name in FILES[:-1]:  # of which every byte counts
        path = copy / "runs" / SPECS[name].key / name
        if path.is_symlink() or not path.is_file() or path.read_bytes() != content[name]:
            assert SPECS[name].key not in after


def test_two_runs_in_each_others_place_are_both_named(tmp_path):
    first, second = (store_run(tmp_path, one).path for one in (HALF["one"], HALF["two"]))
    aside = first.rename(tmp_path / "aside")
    second.rename(first)
    aside.rename(second)
    found, problems = shown(tmp_path)
    assert [*found] == ["sessions"]
    assert len(problems) == 2


def test_a_comparison_names_what_is_damaged_and_runs_it_again(tmp_path):
    out, said = tmp_path / "results", []
    compared = partial(
        compare, "random", task="digits-iid", seeds=2, out=out, backend="sequential",
        progress=False, notify=lambda _, text: said.append(text),
    )  # fmt: skip
    before = compared().curves
    first, second = sorted((out / "runs").iterdir())
    pipe(first / "curve.csv", None, None)
    (second / "status.json").write_bytes(b"[" * 100_000)
    (out / "store.json").write_bytes(b"\xff")
    after = compared().curves
    timings = ["train_seconds", "select_seconds"]
    pd.testing.assert_frame_equal(after.drop(columns=timings), before.drop(columns=timings))
    assert len(said) == 3
    for name, file in ((first.name[:12], "curve.csv"), (second.name[:12], "status.json")):
        assert [file for text in said if name in text and file in text]
    assert len(list((out / "set-aside").iterdir())) == 3
    said.clear()
    compared()
    assert said == []


def test_a_report_of_damaged_runs_alone_names_one(tmp_path):
    folder = store_run(tmp_path, UNHARMED)
    (folder.path / "curve.csv").unlink()
    with pytest.raises(StoreError, match=folder.path.name[:12]):
        report(tmp_path)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_damaged_run_that_was_stopped_ends_as_it_should_or_is_set_aside(begun, tmp_path, change):
    for name in HALF_FILES:
        copy = tmp_path / name
        shutil.copytree(begun, copy)
        place, other = (copy / "runs" / HALF[which].key / name for which in HALF)
        change(place, other, np.random.default_rng(1))
        judge_half(copy, "one")
