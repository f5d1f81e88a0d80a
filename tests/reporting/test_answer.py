"""Comparisons of stored runs: what is refused, and what is written."""

import json
from dataclasses import replace

import pytest
from stored import TINY, row, spec, store_run

from fal_bench import import_curves, publish, report
from fal_bench.errors import InvalidSpecError, StoreError
from fal_bench.task.suite import load_suite


@pytest.mark.parametrize("name", ["random", "logo,fal-margin", "logo[n_init=1,2]"])
def test_a_baseline_that_stands_for_several_strategies_is_refused(tmp_path, name):
    for one in (spec(), spec("logo"), spec("fal-margin"), spec("random", fingerprint="version 9")):
        store_run(tmp_path, one)
    with pytest.raises(InvalidSpecError, match=r"several strategies .*name one"):
        report(tmp_path, baseline=name)
    labels = {row["strategy"] for row in report(tmp_path).leaderboard.to_dict("records")}
    for label in labels:
        assert report(tmp_path, baseline=label).context.baseline == label


def test_published_results_are_not_overwritten(tmp_path):
    root, to = tmp_path / "results", tmp_path / "published"
    for task in load_suite("quick").tasks:
        for seed in (0, 1):
            store_run(root, spec(seed=seed, task=task))
    publish(root, to)
    before = {path.name: path.read_bytes() for path in to.iterdir()}
    with pytest.raises(StoreError, match="holds published results"):
        report(to, seeds=1).write(to)
    assert {path.name: path.read_bytes() for path in to.iterdir()} == before


def test_json_has_no_value_where_a_fact_has_none(tmp_path):
    """A strategy that stops early, one run of which recorded a metric less."""
    for seed in (0, 1):
        store_run(tmp_path, spec(seed=seed))
        rows = [row(TINY, cycle, 0.1 * (cycle + 1)) for cycle in range(3)]
        rows += [replace(rows[-1], cycle=cycle) for cycle in range(3, TINY.cycle_limit)]
        if seed:
            less = {name: one for name, one in rows[0].metrics.items() if name != "precision"}
            rows = [replace(one, metrics=less) for one in rows]
        store_run(tmp_path, spec("mine", seed), rows=rows)
    result = report(tmp_path, target=0.25)

    def refuse(name):
        raise AssertionError(name)

    assert json.loads(result.text("json"), parse_constant=refuse)


def test_a_metric_of_imported_curves_alone_is_no_target(tmp_path):
    """It is not known whether less of it is better."""
    store_run(tmp_path, spec())
    lines = [f"tiny,theirs,0,{10 * k},{10 * k},{1 - k / 10},{TINY.hash}" for k in range(1, 5)]
    file = tmp_path / "theirs.csv"
    file.write_text("\n".join(["task,strategy,seed,labels,labels_strict,rmse,task_hash", *lines]))
    suite = tmp_path / "suite.toml"
    fields = {name: getattr(TINY, name) for name in ("clients", "initial_labels", "query_size")}
    settings = "".join(f"{name} = {value}\n" for name, value in fields.items())
    suite.write_text(f"[tasks.tiny]\n{settings}budget_cap = {TINY.budget_cap}\n")
    import_curves(file, out=tmp_path, suite=str(suite))
    with pytest.raises(InvalidSpecError, match="Whether a higher 'rmse' is better is not known"):
        report(tmp_path, target="rmse=0.7")
