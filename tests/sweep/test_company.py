"""Careless plugins beside built-in strategies: a sample of ``tests/campaign/careless.py``."""

import re

from untimed import untimed

from fal_bench import load
from fal_bench.inputs.selector import Selector
from fal_bench.plugins.registry import Registry
from fal_bench.sweep.groups import plan_groups
from fal_bench.sweep.spec import plan_runs
from fal_bench.task.suite import load_suite

# By name: what it does once to its process, and what is said of it; it may also just run.
DEEDS = {
    "dtype": ("torch.set_default_dtype(torch.float64)", "torch.set_default_dtype"),
    "fork": ("os.fork()", "fork"),
    "patch": ("import fal_bench.federation.loop as l; l.average = lambda w, c: w[0]", None),
}
METRIC = """
import sys
from fal_bench import metric

@metric
def careless(labels, probs):
    sys.setrecursionlimit(sys.getrecursionlimit() + 1)
    return 0.5

@metric
def leaving(labels, probs):
    import os
    os._exit(4)

@metric
def third(labels, probs):
    return 1 / 3
"""


def write(folder, write_plugin):
    folder.mkdir()
    for name, (deed, _) in DEEDS.items():
        once = (
            f"exec({deed!r}, globals() | locals()) if client.cycle == client.index == 0 else None"
        )
        write_plugin(folder / f"{name}.py", {name: once}, head="import torch")
    return folder


def test_careless_plugins_fail_by_name_or_run_and_change_no_bit_of_others(
    compare, tmp_path, write_plugin
):
    folder = write(tmp_path / "careless", write_plugin)
    alone = untimed(compare(["random"], "alone", backend="sequential", task="a", seeds=1))
    result = compare(["random", *DEEDS], jobs=2, plugins=[folder], task="a", seeds=1)
    beside = untimed(result)
    ours = beside[beside.strategy == "random"].reset_index(drop=True)
    assert ours.equals(alone)
    failed = {run.strategy: run.reason for run in result.context.missing}
    for name, (_, said) in DEEDS.items():
        assert (name in failed) == (said is not None)
        assert said is None or (said in failed[name] and repr(name) in failed[name])
    assert set(beside.groupby("strategy").size()) == {4}


def test_metrics_of_plugins_are_measured_apart(compare, tmp_path):
    (tmp_path / "third.py").write_text(METRIC.replace("@metric\ndef careless", "def careless")
                                       .replace("@metric\ndef leaving", "def leaving"))  # fmt: skip
    options = {"task": "a", "seeds": 1, "plugins": [tmp_path / "third.py"]}
    options["backend"] = "sequential"  # even there
    well = compare(["random"], "well", **options)
    assert set(well.curves.third) == {1 / 3}
    plain = compare(["random"], "plain", backend="sequential", task="a", seeds=1)
    assert untimed(well).drop(columns="third").equals(untimed(plain))
    for name, said in {"careless": "sys.setrecursionlimit", "leaving": "exit code 4"}.items():
        text = METRIC.replace(f"@metric\ndef {name}", f"@metric \ndef {name}")
        text = re.sub(r"@metric\n(?=def (?!third))", "", text)
        (tmp_path / "third.py").write_text(text)
        beside = compare(["random"], name, **options)
        assert untimed(beside).equals(untimed(well))  # it costs its own column alone
        [reasons] = load(tmp_path / name).runs["unrecorded"]
        assert repr(name) in reasons[name]
        assert said in reasons[name]


def test_a_group_is_of_one_company(suite, tmp_path, write_plugin):
    folder = write(tmp_path / "careless", write_plugin)
    names = ["random", "fal-margin", *DEEDS]
    registry = Registry.discover([folder])
    runs = plan_runs(load_suite(suite).tasks, [Selector(name) for name in names], [0, 1], registry)
    groups = plan_groups(runs, 2)
    assert sum(len(group) for group in groups) == len(runs)
    for group in groups:
        companies = {spec.company for spec in group}
        strategies = {spec.strategy.name for spec in group}
        assert len(companies) == 1
        assert strategies <= {"random", "fal-margin"} or len(strategies) == 1
