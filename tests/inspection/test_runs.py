"""The runs of an inspection: pairs that differ in training alone, computed once."""

import json
from pathlib import Path

import numpy as np
import pytest

import fal_bench
from fal_bench.errors import InvalidSpecError, StoreError, UnknownNameError
from fal_bench.federation.journal import MemoryJournal
from fal_bench.federation.loop import simulate
from fal_bench.federation.setting import Setting
from fal_bench.inspection.facts import NotRun, Rise, SeedsNeeded, Separation, Training
from fal_bench.inspection.runs import inspection_plan, twice_trained
from fal_bench.strategies.random import Random
from fal_bench.task import Task


def test_twice_the_training_changes_nothing_else(tiny, blobs, run):
    task = Task.model_validate({**tiny.model_dump(), "optimiser": {"milestones": (1,)}})
    twice = twice_trained(task)
    assert (twice.rounds, twice.optimiser.milestones) == (4, (2,))
    assert twice.hash != task.hash
    assert twice_trained(twice).twin_of == task.hash
    settings = [Setting.draw(one, 3, blobs) for one in (task, twice)]
    for mine, its in zip(*(one.initial for one in settings), strict=True):
        np.testing.assert_array_equal(mine, its)
    charges = []
    for one in (task, twice):
        journal = run(one, Random, blobs)
        charges.append(journal.charges)
        assert [row.labels for row in journal.rows][-1] > task.budget_cap
    assert charges[0] == charges[1]


def test_first_trainings_are_not_shared_by_tasks_that_train_differently(tiny, blobs):
    keys = {
        next(simulate(Setting.draw(one, 0, blobs), Random, MemoryJournal())).key
        for one in (tiny, twice_trained(tiny))
    }
    assert len(keys) == 2


def test_rounds_that_cannot_be_doubled_are_refused(tiny):
    with pytest.raises(InvalidSpecError, match="tiny"):
        twice_trained(tiny.model_copy(update={"rounds": 600_000}))


@pytest.mark.parametrize(
    ("name", "of", "tasks"),
    [
        ("smoke", None, ["digits-iid", "digits-shards"]),
        ("digits-shards", None, ["digits-shards"]),
        ("digits-iid", "smoke", ["digits-iid"]),
        (None, "smoke", ["digits-iid", "digits-shards"]),
        ("FILE", None, ["a", "b"]),
        ("b", "FILE", ["b"]),
    ],
)
def test_tasks_and_suites_are_named_alike(name, of, tasks, suite):
    name, of = (suite if one == "FILE" else one for one in (name, of))
    plan = inspection_plan(name, suite=of, seeds=2)
    names = [run.task.name for run in plan.runs if run.label == "oracle-greedy" and run.seed == 0]
    assert names == tasks
    assert len(plan.runs) == 2 * 5 * len(tasks)


@pytest.mark.parametrize(
    ("name", "of", "kind"),
    [("digit-iid", None, "task or suite"), ("c", "FILE", "task"), ("a", "smok", "suite")],
)
def test_a_wrong_name_is_named(name, of, kind, suite):
    with pytest.raises(UnknownNameError, match=kind):
        inspection_plan(name, suite=suite if of == "FILE" else of, seeds=2)


def test_an_inspection_runs_once_and_stays_out_of_reports(suite, tmp_path, falbench):
    out = tmp_path / "results"
    options = {"suite": suite, "seeds": 2, "out": out, "backend": "sequential", "progress": False}
    compared = {"margin-fixed-batch", "random"}
    fal_bench.compare(sorted(compared), task="a", target_acc=0.2, **options)
    found = fal_bench.inspect("a", **options)
    files = {path: path.stat().st_mtime_ns for path in out.rglob("run*/*/*")}
    assert len(list((out / "runs").iterdir())) == 2 * 2
    assert len(list((out / "inspection" / "runs").iterdir())) == 2 * 4  # random's are shared
    assert found.missing == ()
    assert list(found.facts) == ["a"]
    fit = next(one for one in found.facts["a"] if isinstance(one, Training))
    assert fit.grade == "fault"  # after two rounds
    code, text, _ = falbench("inspect", "a", "--suite", suite, "--seeds", 2, "--format", "json")
    assert (code, json.loads(text)) == (0, json.loads(found.text("json")))
    code, text, _ = falbench("inspect", "a", "--suite", suite, "--seeds", 2)
    assert (code, found.tasks[0].verdict.worth) == (0, False)
    assert "fault" in text
    assert {path: path.stat().st_mtime_ns for path in out.rglob("run*/*/*")} == files
    assert len(fal_bench.load(out).tasks) == 1
    assert set(fal_bench.load(out).strategies) == compared
    assert not fal_bench.report(out, target_acc=0.2).missing


def test_what_cannot_be_run_is_named(suite, tmp_path, monkeypatch):
    def select(*_):
        raise RuntimeError("no idea")

    monkeypatch.setattr(Random, "select", select)
    found = fal_bench.inspect(
        "a", suite=suite, seeds=2, out=tmp_path / "out", backend="sequential", progress=False
    )
    assert {one.strategy for one in found.missing} == {"random"}
    assert len(found.missing) == 4
    assert found.tasks[0].verdict.worth is None
    assert all("no idea" in one["reason"] for one in found.data()["missing"])


def test_the_target_of_the_suite_or_of_the_user_is_what_is_judged(suite, tmp_path):
    file = tmp_path / "other.toml"
    file.write_text(f'targets = ["loss=auto", 0.5]\n{Path(suite).read_text()}')
    asked = {"suite": file, "seeds": 2, "out": tmp_path / "out", "backend": "sequential"}
    asked |= {"progress": False}
    by_suite = fal_bench.inspect("a", **asked)
    runs = fal_bench.load(tmp_path / "out" / "inspection")
    random = runs.curves[
        runs.curves["key"].isin(runs.runs["key"][runs.runs["strategy"] == "random"])
    ]
    first = random[random["cycle"] == 0].mean(numeric_only=True)
    by_user = fal_bench.inspect("a", target="balanced_accuracy=auto", **asked)
    for found, metric in ((by_suite, "loss"), (by_user, "balanced_accuracy")):
        rise = next(one for one in found.facts["a"] if isinstance(one, Rise))
        assert rise.metric == metric
        assert rise.higher_is_better == (metric != "loss")
        assert rise.start == pytest.approx(first[metric])
        assert metric.replace("_", " ") in str(found)
    with pytest.raises(UnknownNameError, match="lose"):
        fal_bench.inspect("a", target="lose=auto", **asked)


def test_published_results_are_inspected_as_they_are(falbench):
    folder = Path(__file__).parents[2] / "results" / "published" / "cifar10-jpegq75"
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    found = fal_bench.inspect(folder)
    facts = {type(one): one for one in found.tasks[0].findings}
    assert facts[Separation].seeds == 7  # all that are published
    assert facts[SeedsNeeded].pairs == 7
    assert {one.strategy for one in found.tasks[0].findings if isinstance(one, NotRun)} == {
        "random", "fal-margin",
    }  # fmt: skip
    few = {type(one): one for one in fal_bench.inspect(folder, seeds=3).tasks[0].findings}
    assert few[Separation].seeds == 3
    code, text, _ = falbench("inspect", folder, "--format", "markdown")
    assert (code, text) == (0, found.text("markdown"))
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    code, _, error = falbench("inspect", folder, "--dry-run")
    assert code == 2
    assert "published" in error


def test_an_inspection_writes_nothing_into_published_results(suite, tmp_path):
    (tmp_path / "provenance.json").write_text("{}")
    with pytest.raises(StoreError, match="published"):
        fal_bench.inspect("a", suite=suite, seeds=2, out=tmp_path, progress=False)
    assert not (tmp_path / "inspection").exists()
