"""Merging results folders."""

from dataclasses import replace

import pytest
from stored import TINY, as_schema_1, charges, spec, store_run

from fal_bench import load
from fal_bench import merge as merge_folders
from fal_bench.errors import StoreError
from fal_bench.results.store import Store


def merge(out, *sources, keep=None):
    return merge_folders(sources, out, keep=keep)


def tree(root):
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def folders(tmp_path):
    """Two folders: one equal run but for its timings, and one of their own each."""
    one, two = tmp_path / "one", tmp_path / "two"
    store_run(one, spec(seed=0), seconds=1)
    store_run(one, spec(seed=1))
    store_run(two, spec(seed=0), seconds=99)
    store_run(two, spec("logo[n_init=2]"))
    return one, two


def test_runs_of_all_folders_come_together(folders, tmp_path):
    out = tmp_path / "out"
    merged = merge(out, *folders)
    assert (merged.copied, merged.equal, merged.conflicts, merged.unfinished) == (3, 1, 0, 0)
    assert merged.warnings == ()
    results = load(out)
    runs = results.here[["strategy", "seed", "state"]].sort_values(["strategy", "seed"])
    assert runs.to_numpy().tolist() == [
        ["logo[n_init=2]", 0, "done"], ["random", 0, "done"], ["random", 1, "done"],
    ]  # fmt: skip
    assert results.provenance.problems == ()
    key = spec(seed=1).key
    for name in ("run.json", "curve.csv", "ledger.csv", "status.json"):
        copy, source = (root / "runs" / key / name for root in (out, folders[0]))
        assert copy.read_bytes() == source.read_bytes()
    assert not list((out / "runs").glob(".*"))


def test_merging_again_changes_nothing(folders, tmp_path):
    out = tmp_path / "out"
    merge(out, *folders)
    before = tree(out / "runs")
    merged = merge(out, *folders)
    assert (merged.copied, merged.equal) == (0, 4)
    assert tree(out / "runs") == before


def test_conflicts_are_refused_before_anything_is_written(folders, tmp_path):
    store_run(folders[1], spec(seed=1), start=0.2)
    out = tmp_path / "out"
    with pytest.raises(StoreError, match=r"1 run .*seed 1.*--keep"):
        merge(out, *folders)
    assert not out.exists()


def test_a_ledger_alone_can_conflict(folders, tmp_path):
    other = Store(folders[1]).folder(spec(seed=0))
    curve = other.rows()
    other.resume()
    for one in curve:
        other.append(one)
    other.finish(
        [
            (*read[:2], read[2].replace("warm-start", "validation"), read[3])
            for read in charges(TINY, len(curve))
        ],
        [],
    )
    with pytest.raises(StoreError, match="different results"):
        merge(tmp_path / "out", *folders)


@pytest.mark.parametrize(("keep", "first_accuracy"), [("first", "0.1"), ("last", "0.2")])
def test_keep_chooses_by_the_order_of_the_folders(folders, tmp_path, keep, first_accuracy):
    store_run(folders[1], spec(seed=1), start=0.2)
    out = tmp_path / "out"
    merged = merge(out, *folders, keep=keep)
    assert merged.conflicts == 1
    first = load(out).curves.set_index(["key", "cycle"]).loc[(spec(seed=1).key, 0)]
    assert str(first["accuracy"]) == first_accuracy


def test_runs_that_are_there_already_come_first(folders, tmp_path):
    out = tmp_path / "out"
    store_run(out, spec(seed=1), start=0.3)
    with pytest.raises(StoreError, match="different results"):
        merge(out, *folders)
    assert merge(out, *folders, keep="first").conflicts == 1
    folder = Store(out).folder(spec(seed=1))
    assert folder.rows()[0].metrics["accuracy"] == 0.3
    merge(out, *folders, keep="last")
    assert folder.rows()[0].metrics["accuracy"] == 0.1
    assert folder.phase() == "done"


def test_unfinished_runs_stay_behind_and_broken_ones_are_named(folders, tmp_path):
    store_run(folders[0], spec(seed=7), finished=False)
    broken = store_run(folders[1], spec(seed=8))
    (broken.path / "curve.csv").write_text("cycle\n")
    merged = merge(tmp_path / "out", *folders)
    assert (merged.copied, merged.unfinished) == (3, 1)
    (warning,) = merged.warnings
    assert warning.startswith(f"Run {broken.path.name[:12]} in ")


def test_nothing_of_a_strangers_folder_is_followed_or_copied_but_runs(folders, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("mine")
    one, two = folders
    whole, linked = (one / "runs" / spec(seed=seed).key for seed in (0, 1))
    (whole / "more").write_text("no file of a run")
    (linked / "curve.csv").unlink()
    (linked / "curve.csv").symlink_to(secret)
    away = tmp_path / "away"
    other = two / "runs" / spec("logo[n_init=2]").key
    other.rename(away)
    other.symlink_to(away)
    out = tmp_path / "out"
    merged = merge(out, one, two)
    assert (merged.copied, merged.equal, len(merged.warnings)) == (1, 1, 2)
    assert sorted(path.name for path in (out / "runs" / whole.name).iterdir()) == [
        "curve.csv", "ledger.csv", "run.json", "status.json",
    ]  # fmt: skip
    assert not any(path.is_symlink() for path in out.rglob("*"))


@pytest.mark.parametrize("name", ["runs", "cells"])
def test_runs_behind_a_link_are_refused(folders, tmp_path, name):
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    (stranger / name).symlink_to(folders[0] / "runs")
    with pytest.raises(StoreError, match="symbolic link"):
        merge(tmp_path / "out", stranger)


def test_mixed_environments_are_pointed_out(folders, tmp_path):
    store_run(
        folders[1], spec(seed=5), environment={"processor": "Toy 2", "torch": "3.0", "new": "1"}
    )
    merged = merge(tmp_path / "out", *folders)
    assert [warning.partition(" different ")[2] for warning in merged.warnings] == [
        "new: 1, unknown.", "processor: Toy 1, Toy 2.", "torch: 2.9, 3.0.",
    ]  # fmt: skip


def test_an_empty_folder_is_a_mistake(folders, tmp_path):
    with pytest.raises(StoreError, match="nothing-here"):
        merge(tmp_path / "out", folders[0], tmp_path / "nothing-here")


def add_metric(folder, value):
    """Give a finished run one more metric, as a falbench that knows it would have."""
    rows = [replace(row, metrics={**row.metrics, "macro_f1": value}) for row in folder.rows()]
    (folder.path / "curve.csv").unlink()
    folder.resume()
    for row in rows:
        folder.append(row)
    folder.finish(charges(TINY, len(rows)), [])


def test_a_metric_that_one_side_lacks_is_no_conflict_but_another_value_is(folders, tmp_path):
    add_metric(Store(folders[1]).folder(spec(seed=0)), 0.5)
    assert merge(tmp_path / "out", *folders).equal == 1
    add_metric(Store(folders[0]).folder(spec(seed=0)), 0.6)
    with pytest.raises(StoreError, match="different results"):
        merge(tmp_path / "other", *folders)


def test_frames_merge_as_folders_do(folders):
    one, two = map(load, folders)
    assert one.conflicts(two) == []
    whole = one.merge(two)
    assert sorted(whole.runs["key"]) == sorted({*one.runs["key"], *two.runs["key"]})
    assert len(whole.curves) == 3 * TINY.fixed_cycles
    assert whole.tasks["hash"].tolist() == [TINY.hash]
    store_run(folders[1], spec(seed=1), start=0.2)
    two = load(folders[1])
    assert one.conflicts(two) == [spec(seed=1).key]
    with pytest.raises(StoreError, match="seed 1"):
        one.merge(two)
    for keep, first in (("first", 0.1), ("last", 0.2)):
        curves = one.merge(two, keep).curves
        chosen = curves[(curves["key"] == spec(seed=1).key) & (curves["cycle"] == 0)]
        assert chosen["accuracy"].tolist() == [first]


def test_a_folder_of_the_old_layout_is_a_source_too(folders, tmp_path):
    as_schema_1(folders[0])
    merge(tmp_path / "out", *folders)
    assert len(load(tmp_path / "out").runs) == 3
    assert not list((tmp_path / "out").rglob("cell.json"))
    assert (folders[0] / "cells").is_dir()
