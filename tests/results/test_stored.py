"""Reports from stored runs alone."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from stored import ENVIRONMENT, METRICS, TINY, as_schema_1, as_schema_2, spec, store_run

from fal_bench import load, report
from fal_bench.cli.options import Format
from fal_bench.cli.output import show_and_write
from fal_bench.errors import StoreError, UnknownNameError
from fal_bench.federation.state import RunState
from fal_bench.inputs.selector import Selector
from fal_bench.results import chosen_results as read
from fal_bench.results.store import SCHEMA, Corrupt, Store
from fal_bench.task.suite import load_suite
from fal_bench.task.target import DEFAULT_TARGETS

OTHER = TINY.model_copy(update={"name": "other", "budget_cap": 50})


@pytest.fixture
def root(tmp_path):
    for seed in (0, 1, 4):
        store_run(tmp_path, spec(seed=seed))
        store_run(tmp_path, spec("my-own[k=2]", seed=seed, fingerprint="abc"), start=0.2)
    return tmp_path


def test_everything_stored_takes_part_without_suite_or_plugin(root):
    results = read(root)
    assert results.strategies == ("my-own[k=2]", "random")
    assert results.seeds == (0, 1, 4)
    assert results.title == "all stored tasks"
    result = report(root, target_acc=0.3)
    (facts,) = result.context.tasks
    assert facts.name == "tiny"
    assert (facts.grid, facts.pool, facts.rounds) == (TINY.label_grid, 200, TINY.rounds)
    assert results.missing == ()
    board = result.leaderboard
    # 0.3 is reached at 20 and 30 paper labels, and three more were read for a warm start.
    assert board.set_index("strategy")["labels"].to_dict() == pytest.approx(
        {"my-own[k=2]": 23, "random": 33}
    )


def test_unfinished_and_absent_runs_are_missing_with_a_reason(root):
    store_run(root, spec("slow", seed=0), finished=False)
    Store(root).folder(spec("slow", seed=0)).fail("it broke")
    store_run(root, spec("slow", seed=1), finished=False)
    reasons = {(run.strategy, run.seed): run.reason for run in read(root).missing}
    assert set(reasons) == {("slow", 0), ("slow", 1), ("slow", 4)}
    assert reasons["slow", 0] == "it broke"
    assert "end" in reasons["slow", 1]
    assert "stored" in reasons["slow", 4]


def test_without_a_finished_run_the_frames_are_empty(tmp_path):
    store_run(tmp_path, spec(), finished=False)
    results = load(tmp_path)
    assert len(results.runs) == 1
    assert results.shown_curves().empty
    assert results.shown_charges().empty
    assert results.curves.merge(results.imported, on="key").empty  # their keys are of one kind


@pytest.mark.parametrize(
    ("make", "name", "message"),
    [
        ((), "nowhere", "'nowhere', which does not exist; run falbench compare first, or name"),
        (("empty/x",), "empty", "'empty'; run falbench compare first, or name another folder."),
        (("r/store.json", "r/runs/x"), "r/runs", "a part of the results folder 'r', name that."),
    ],
)
def test_a_folder_without_runs_says_what_it_holds(tmp_path, monkeypatch, make, name, message):
    monkeypatch.chdir(tmp_path)
    for file in make:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).touch()
    with pytest.raises(StoreError) as caught:
        read(Path(name))
    assert f"no runs in {name!r}" in str(caught.value)
    assert message in str(caught.value)


def test_a_folder_that_cannot_be_written_still_gets_its_answer(root, capsys):
    (root / "leaderboard.csv").mkdir()
    result = report(root, target_acc=0.3)
    with pytest.raises(StoreError, match=r"write .*leaderboard\.csv"):
        show_and_write(result, root, Format.csv)
    assert capsys.readouterr().out == result.text("csv")


def test_filters(root):
    store_run(root, spec(task=OTHER))
    name = "other"
    results = read(root, task=name)
    assert (list(results.tasks["name"]), results.title) == ([name], name)
    assert read(root, strategies=("my-own[ k=2 ]",)).strategies == ("my-own[k=2]",)
    assert read(root, strategies=("all",)).strategies == ("my-own[k=2]", "random")
    assert read(root, seeds=2).seeds == (0, 1)
    with pytest.raises(UnknownNameError, match="'my-won'"):
        read(root, strategies=("my-won",))
    with pytest.raises(UnknownNameError, match="Unknown task"):
        read(root, task="elsewhere")


def test_tasks_get_their_names_from_the_suite(tmp_path):
    quick = load_suite("quick")
    store_run(tmp_path, spec(task=quick.tasks[0]))
    results = read(tmp_path)
    assert list(results.tasks["name"]) == [quick.tasks[0].name]
    assert results.title == "quick (1 of 2 tasks)"
    whole = read(tmp_path, suite="quick")
    assert (whole.title, len(whole.tasks)) == ("quick", 2)
    assert [run.task for run in whole.missing] == [quick.tasks[1].name]
    with pytest.raises(StoreError, match="'smoke'"):
        read(tmp_path, suite="smoke")
    store_run(tmp_path, spec(task=TINY))
    mixed = read(tmp_path)
    assert mixed.title == "all stored tasks"
    assert quick.tasks[0].name in list(mixed.tasks["name"])


def test_two_versions_of_a_task_of_one_name_stand_apart(tmp_path):
    store_run(tmp_path, spec(task=TINY))
    assert list(read(tmp_path).tasks["name"]) == ["tiny"]
    edited = TINY.model_copy(update={"rounds": TINY.rounds + 1})
    store_run(tmp_path, spec(task=edited))
    names = {f"tiny-{task.hash[:8]}" for task in (TINY, edited)}
    assert set(read(tmp_path).tasks["name"]) == names


@pytest.mark.parametrize("called", ["digits-iid", "mine"])
def test_a_suites_task_keeps_its_name_beside_another_of_that_name(tmp_path, called):
    """Whatever it was called when it was run."""
    shipped = load_suite("smoke").tasks[0]
    edited = shipped.model_copy(update={"rounds": shipped.rounds + 1})
    store_run(tmp_path, spec(task=shipped.model_copy(update={"name": called})))
    store_run(tmp_path, spec(seed=7, task=edited))
    names = [shipped.name, f"{shipped.name}-{edited.hash[:8]}"]
    assert list(read(tmp_path).tasks["name"]) == names


def test_a_task_brings_its_suites_targets_whatever_else_the_folder_holds(tmp_path):
    kafal = load_suite("kafal-cifar10")
    for task in (kafal.tasks[0], load_suite("quick").tasks[0]):
        store_run(tmp_path, spec(task=task))
    assert read(tmp_path).targets == DEFAULT_TARGETS
    assert read(tmp_path, task=kafal.tasks[0].name).targets == kafal.targets


def test_variants_of_one_strategy_stand_apart(root):
    store_run(root, spec("my-own[k=2]", seed=0, fingerprint="changed"))
    labels = read(root).strategies
    assert len(labels) == 3
    assert [label.partition(" @")[0] for label in labels] == ["my-own[k=2]"] * 2 + ["random"]


def test_the_command_repeats_the_report(root):
    text = read(root, strategies=("my-own[k=2]", "random"), seeds=2).provenance.command
    assert text == f"falbench report {root} -s 'my-own[k=2]' -s random --seeds 2"


def test_an_empty_folder_is_an_error_and_a_broken_run_a_warning(root, tmp_path):
    with pytest.raises(StoreError, match="falbench compare"):
        read(tmp_path / "nothing")
    broken = store_run(root, spec(seed=9))
    (broken.path / "status.json").write_text("{")
    results = read(root)
    assert 9 not in results.seeds
    (problem,) = results.provenance.problems
    assert broken.path.name[:12] in problem


def test_one_task_on_two_states_of_its_data_is_two_tasks(tmp_path):
    store_run(tmp_path, replace(spec(task=TINY), data="ab"))
    store_run(tmp_path, replace(spec(task=OTHER), data="cd"))
    assert read(tmp_path).strategies == ("random",)
    store_run(tmp_path, replace(spec("logo", task=TINY), data="ef"))
    results = read(tmp_path)
    assert results.strategies == ("logo", "random")
    tiny = "tiny"
    here = results.here.set_index("data")["task"]
    first, second = here["ab"], here["ef"]
    assert first != second
    assert {name.partition(" @")[0] for name in (first, second)} == {tiny}
    # A strategy is never compared with one that saw other data.
    assert {(one.task, one.strategy) for one in results.missing} >= {
        (first, "logo"), (second, "random"),
    }  # fmt: skip
    one = read(tmp_path, task=second)
    assert (one.title, one.strategies, len(one.tasks)) == (second, ("logo",), 1)
    assert len(read(tmp_path, task=tiny).tasks) == 2
    with pytest.raises(UnknownNameError, match=f"{tiny} @"):
        read(tmp_path, task=f"{tiny} @xy")


def test_a_folder_of_the_old_layout_is_read_as_it_is_and_moved_over_when_written_to(root):
    feal = replace(spec("feal"), trainer=Selector("evidential"), own_trainer=Selector("evidential"))
    store_run(root, feal)
    now = report(root, target_acc=0.3)
    as_schema_1(root)  # which does not say what tasks were called
    curves = now.curves.assign(task=f"task-{TINY.hash[:8]}")
    before = sorted(path.name for path in root.iterdir())
    said = []

    def report_old():
        return report(root, target_acc=0.3, notify=lambda _, text: said.append(text))

    then = report_old()
    assert [text.split()[0] for text in said] == ["7"]  # runs that are not sealed
    assert "feal[trainer=evidential]" in list(then.leaderboard["strategy"])
    pd.testing.assert_frame_equal(now.leaderboard, then.leaderboard)
    pd.testing.assert_frame_equal(curves, then.curves)
    assert sorted(path.name for path in root.iterdir()) == before
    Store(root).prepare()
    assert not [*root.rglob("cell*"), root / "runs.jsonl"][:-1]
    assert json.loads((root / "store.json").read_text())["schema"] == SCHEMA
    pd.testing.assert_frame_equal(curves, report_old().curves)


def test_a_label_of_the_old_layout_that_is_not_its_strategys_costs_its_run(root):
    as_schema_1(root)
    path = root / "cells" / spec(seed=1).key / "cell.json"
    path.write_text(path.read_text().replace('"label": "random"', '"label": "my-own[k=2]"'))
    results = read(root)
    assert len(results.runs) == 5
    assert spec(seed=1).key[:12] in results.provenance.problems[0]


def test_memories_of_earlier_versions_are_read_and_damage_to_them_is_named(tmp_path):
    agent = [{"policy": {"bias": [1.5]}}, {}]
    folder = store_run(tmp_path, spec(), kept=agent)
    as_schema_2(tmp_path)
    assert (folder.phase(), folder.kept()) == ("done", agent)
    (folder.path / "memory.npz").write_bytes(b"PK\x03\x04")
    assert isinstance(Store(tmp_path).phase(spec()), Corrupt)


def test_what_an_earlier_version_had_begun_starts_over(tmp_path):
    """Its checkpoint does not hold the rows, which may have been changed."""
    folder = store_run(tmp_path, spec(), finished=False)
    state = RunState(1, [], [{}, {}, {}])
    facts = json.loads((folder.path / "run.json").read_text())
    del facts["seal"]
    (folder.path / "run.json").write_text(json.dumps(facts))
    (folder.path / "status.json").write_text('{"phase": "partial", "run": "a", "pid": "1"}')
    np.savez(folder.path / "checkpoint.npz", **state.to_arrays())
    assert folder.phase() == "partial"
    again = Store(tmp_path).folder(spec())
    again.create({**spec().facts, "metrics": METRICS}, ENVIRONMENT)
    assert again.resume() is None
    assert again.rows() == []


def test_moving_over_goes_on_after_a_kill(root):
    as_schema_1(root)
    some, *_ = (root / "cells").iterdir()
    (some / "cell.json").rename(some / "run.json")
    assert len(load(root).runs) == 6
    Store(root).prepare()
    assert (len(load(root).runs), (root / "cells").exists()) == (6, False)
