"""What is gathered from finished runs."""

from dataclasses import replace

import pytest
from stored import TINY, spec, store_run

from fal_bench.results.folder import CorruptRunError
from fal_bench.results.store import Store
from fal_bench.sweep.collect import finished_runs, read_charges, read_curves, read_environments


def test_unfinished_runs_are_not_gathered(tmp_path):
    store_run(tmp_path, spec(seed=0))
    store_run(tmp_path, spec(seed=1), finished=False)
    runs = finished_runs(Store(tmp_path), [spec(seed=1), spec(seed=0), spec(seed=2)])
    assert [(run.task, run.strategy, run.seed) for run in runs] == [("tiny", "random", 0)]
    assert len(read_curves(runs)) == TINY.fixed_cycles


def test_curves_say_of_which_task_they_are_and_whether_they_are_a_yardstick(tmp_path):
    oracle = replace(spec("oracle"), reference=True)
    store_run(tmp_path, spec())
    store_run(tmp_path, oracle)
    curves = read_curves(finished_runs(Store(tmp_path), [spec(), oracle]))
    assert set(curves["task_hash"]) == {TINY.hash}
    assert curves.groupby("strategy")["reference"].all().to_dict() == {
        "oracle": True, "random": False,
    }  # fmt: skip


def test_charges_add_up_to_the_strict_labels_of_every_cycle(tmp_path):
    store_run(tmp_path, spec())
    runs = finished_runs(Store(tmp_path), [spec()])
    charges, curve = read_charges(runs), read_curves(runs)
    assert charges.groupby("purpose")["labels"].sum().to_dict() == {
        "initial": 10, "pool": 40, "warm-start": 3,
    }  # fmt: skip
    for row in curve.itertuples():
        known = charges[(charges["purpose"] == "initial") | (charges["cycle"] < row.cycle)]
        assert known["labels"].sum() == row.labels_strict


def test_a_broken_ledger_is_named(tmp_path):
    folder = store_run(tmp_path, spec())
    runs = finished_runs(Store(tmp_path), [spec()])
    (folder.path / "ledger.csv").write_text("client,sample,purpose\n0,1,initial\n")
    with pytest.raises(CorruptRunError, match=f"ledger of run {folder.path.name[:12]}"):
        read_charges(runs)


def test_environments_are_counted_most_first(tmp_path):
    for seed in range(3):
        changes = {"torch": "3.0"} if seed == 1 else {}
        store_run(tmp_path, spec(seed=seed), environment=changes)
    runs = finished_runs(Store(tmp_path), [spec(seed=seed) for seed in range(3)])
    (most, usual), (least, other) = read_environments(runs)
    assert (most, least) == (2, 1)
    assert (usual["torch"], other["torch"], usual["device"]) == ("2.9", "3.0", "cpu")
