"""The frames of results: what they hold, and how they are narrowed."""

from dataclasses import replace

import pytest
from stored import TINY, spec, store_run

import fal_bench
from fal_bench.errors import InvalidSpecError, UnknownNameError
from fal_bench.inputs.selector import Selector
from fal_bench.results.folder import CorruptRunError

OTHER = TINY.model_copy(update={"name": "other", "budget_cap": 50})
TINY_NAME, OTHER_NAME = TINY.name, OTHER.name


def test_identity_stands_in_columns(tmp_path):
    run = replace(
        spec("logo[n_init=2]", 3), trainer=Selector("kcfu", {"a": 1}), data="ab", model="cd"
    )
    store_run(tmp_path, run)
    (row,) = fal_bench.load(tmp_path).runs.to_dict("records")
    assert row["key"] == run.key
    assert (row["strategy"], row["parameters"], row["seed"]) == ("logo", '{"n_init":2}', 3)
    assert (row["trainer"], row["trainer_parameters"]) == ("kcfu", '{"a":1}')
    assert (row["fingerprint"], row["trainer_fingerprint"]) == ("version 1", "version 1")
    assert (row["task"], row["task_hash"], row["data"], row["model"]) == (
        TINY_NAME, TINY.hash, "ab", "cd",
    )  # fmt: skip
    assert (row["origin"], row["state"], row["reference"]) == ("", "done", False)
    assert (row["device"], row["environment"]["torch"]) == ("cpu", "2.9")


def test_tasks_may_have_other_models_and_aggregations_without_a_strategy_being_another(tmp_path):
    store_run(tmp_path, spec(seed=0))
    own = {"data": "ab", "model": "cd", "aggregation": "version 1"}
    store_run(tmp_path, replace(spec(seed=0), task=OTHER, **own))
    shown = fal_bench.load(tmp_path).here
    assert dict(zip(shown["task"], shown["strategy"], strict=True)) == {
        TINY_NAME: "random", OTHER_NAME: "random",
    }  # fmt: skip


@pytest.mark.parametrize("part", ["data", "model", "aggregation"])
def test_one_task_with_two_of_its_own_is_two_tasks(part, tmp_path):
    for known in ("version 1", "version 2"):
        store_run(tmp_path, replace(spec(seed=0), **{part: known}))
    results = fal_bench.load(tmp_path)
    assert set(results.here["strategy"]) == {"random"}
    first, second = results.here["task"]
    assert first != second
    assert {name.partition(" @")[0] for name in (first, second)} == {TINY_NAME}
    (row,) = results.narrow(tasks=second).runs.to_dict("records")
    assert row[part] == results.runs[part].iloc[1]


def test_only_finished_runs_have_curves(tmp_path):
    store_run(tmp_path, spec(seed=0))
    store_run(tmp_path, spec(seed=1), finished=False)
    store_run(tmp_path, spec(seed=2), finished=False).fail("it broke")
    results = fal_bench.load(tmp_path)
    runs = results.runs.set_index("seed")
    assert runs["state"].to_dict() == {0: "done", 1: "partial", 2: "failed"}
    assert (runs["reason"][0], runs["reason"][2]) == ("", "it broke")
    assert "end" in runs["reason"][1]
    assert set(results.curves["key"]) == {spec(seed=0).key}
    assert len(results.curves) == TINY.fixed_cycles


def test_charges_add_up_to_the_strict_labels_of_every_cycle(tmp_path):
    store_run(tmp_path, spec())
    results = fal_bench.load(tmp_path)
    charges = results.charges
    assert charges.groupby("purpose")["labels"].sum().to_dict() == {
        "initial": 10, "pool": 40, "warm-start": 3,
    }  # fmt: skip
    assert charges.groupby("client")["labels"].sum().to_dict() == {0: 25, 1: 28}
    for row in results.curves.itertuples():
        known = charges[(charges["purpose"] == "initial") | (charges["cycle"] < row.cycle)]
        assert known["labels"].sum() == row.labels_strict


def test_a_broken_ledger_is_named(tmp_path):
    folder = store_run(tmp_path, spec())
    (folder.path / "ledger.csv").write_text("client,sample,purpose\n0,1,initial\n")
    with pytest.raises(CorruptRunError, match="ledger"):
        folder.phase()


def test_environments_are_counted_most_first(tmp_path):
    for seed in range(3):
        changes = {"torch": "3.0"} if seed == 1 else {}
        store_run(tmp_path, spec(seed=seed), environment=changes)
    most, least = fal_bench.load(tmp_path).environments
    assert (most.runs, least.runs) == (2, 1)
    assert (dict(most.facts)["torch"], dict(least.facts)["torch"]) == ("2.9", "3.0")
    assert dict(most.facts)["device"] == "cpu"


@pytest.fixture
def results(tmp_path):
    for task in (TINY, OTHER):
        for seed in (0, 1, 4):
            store_run(tmp_path, spec(seed=seed, task=task))
            store_run(tmp_path, spec("mine[k=2]", seed=seed, task=task))
            trained = replace(spec("mine[k=2]", seed, task=task), trainer=Selector("kcfu"))
            store_run(tmp_path, trained)
    return fal_bench.load(tmp_path)


@pytest.mark.parametrize(
    ("chosen", "runs"),
    [
        ({}, 18),
        ({"tasks": TINY_NAME}, 9),
        ({"tasks": [TINY_NAME, OTHER_NAME]}, 18),
        ({"seeds": 2}, 12),
        ({"seeds": "2"}, 12),
        ({"seeds": [4]}, 6),
        ({"seeds": "0-1"}, 12),
        ({"seeds": range(2)}, 12),
        ({"strategies": "random"}, 6),
        ({"strategies": "mine[ k=2 ]"}, 6),  # as in tables, not with another trainer
        ({"strategies": "random,mine[k=2]"}, 12),
        ({"strategies": "mine[k=2,trainer=kcfu]"}, 6),
        ({"strategies": ["mine[k=1,2]", "random"][1:]}, 6),
        ({"strategies": "all"}, 18),
        ({"tasks": TINY_NAME, "strategies": "random", "seeds": 1}, 1),
    ],
)
def test_narrow_is_a_filter(results, chosen, runs):
    narrowed = results.narrow(**chosen)
    assert len(narrowed.runs) == runs
    assert set(narrowed.curves["key"]) == set(narrowed.charges["key"]) == set(narrowed.runs["key"])


@pytest.mark.parametrize(
    "chosen", [{"tasks": "tsk"}, {"strategies": "mine"}, {"strategies": "mine[k=1,2]"}]
)
def test_names_that_stand_for_nothing_are_refused(results, chosen):
    with pytest.raises(UnknownNameError):
        results.narrow(**chosen)


@pytest.mark.parametrize("seeds", [0, True, "x", "5-2", [-1], 1.5, "0-2", [7]])
def test_seeds_that_are_not_here_or_no_seeds_are_refused(results, seeds):
    with pytest.raises(InvalidSpecError, match="seed"):
        results.narrow(seeds=seeds)


def test_labels_are_made_of_what_is_shown(tmp_path):
    store_run(tmp_path, spec())
    store_run(tmp_path, spec(fingerprint="source ab"))
    results = fal_bench.load(tmp_path)
    first, second = results.strategies
    assert first.startswith("random @")
    assert second.startswith("random @")
    alone = results.narrow(strategies=first)
    assert alone.strategies == ("random",)
    assert alone.narrow(strategies=first).runs["key"].tolist() == alone.runs["key"].tolist()
